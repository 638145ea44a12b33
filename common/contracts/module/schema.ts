import { z } from 'zod';
import { LABEL_KEY } from '../cluster-control.ts';
import {
  age,
  checksum,
  choice,
  cidr,
  dnsLabel,
  duration,
  flag,
  leaf,
  pattern,
  text,
  url,
  wholeNumber,
} from './leaves.ts';
import { type Parsed, quoted } from './parsed.ts';
import { localPathField } from './references.ts';
import { httpDirectorySchema, nicSchema, resourcesSchema, vmSchema } from './schema-vm.ts';
import { NAME_PATTERN } from './secret-text.ts';
import { anything, dictionary, keyHint, list, map } from './shapes.ts';

/** A declared variable: its default, or null when each build must give a value. */
export type VariableDefault = string | number | boolean | null;

const VARIABLE_NAMES = {
  names: new RegExp(`^${NAME_PATTERN}$`),
  meaning: 'use letters, digits, underscores and hyphens, and begin with a letter or an underscore',
};
const LABEL_KEYS = {
  names: LABEL_KEY,
  meaning:
    'use letters, digits and inner dots, hyphens and underscores, 63 at most behind a prefix such as example.org/',
};

/** The value of a variable, or a map of `default` and `description`. */
function readVariable(written: unknown): Parsed<VariableDefault> {
  if (typeof written === 'string' || typeof written === 'number' || typeof written === 'boolean')
    return { value: written };
  if (written === null) return { value: null };
  if (typeof written !== 'object' || Array.isArray(written)) {
    return { complaint: 'must be a default value, or a map of default and description' };
  }
  const unknown = Object.keys(written).find((key) => key !== 'default' && key !== 'description');
  if (unknown) return { complaint: `unknown key ${quoted(unknown)}${keyHint(unknown, ['default', 'description'])}` };
  const value = 'default' in written ? written.default : null;
  if (typeof value === 'object' && value !== null)
    return { complaint: 'the default must be text, a number or a boolean' };
  return { value: value === null || value === undefined ? null : (value as VariableDefault) };
}

const SCALAR_TYPES = ['string', 'number', 'boolean'];
const variableSchema = leaf(
  {
    anyOf: [
      { type: [...SCALAR_TYPES, 'null'] },
      {
        type: 'object',
        properties: { default: { type: SCALAR_TYPES }, description: { type: 'string' } },
        additionalProperties: false,
      },
    ],
    description: 'Its default, or a map of default and description. Without a default a value must be given.',
  },
  readVariable,
  () => null,
);

const internetSchema = leaf(
  { enum: [true, false, 'build'], default: false, description: '`build`: while building only.' },
  (written): Parsed<'never' | 'build' | 'always'> => {
    if (written === true || written === 'true') return { value: 'always' };
    if (written === false || written === 'false') return { value: 'never' };
    return written === 'build' ? { value: 'build' } : { complaint: `${quoted(written)} is not true, false or build` };
  },
);

const networkSchema = map(
  'VPCs and subnets; without it one of each, with internet.',
  {
    vpcs: list(
      'Isolated networks.',
      map('A VPC.', { name: dnsLabel('Its name.'), internet: internetSchema.optional() }),
    ).optional(),
    subnets: list(
      'Subnets of the VPCs.',
      map('A subnet.', {
        name: dnsLabel('Its name.'),
        vpc: text('Its VPC; without one the automatic VPC `default`, which has internet.').optional(),
        cidr: cidr('Its IPv4 network.'),
        dhcp: flag('Whether addresses are handed out.', true).optional(),
        dns: text('Name servers that DHCP hands out, separated by commas.').optional(),
        unmanaged: flag('A bare segment whose addresses a guest hands out.', false).optional(),
      }),
    ).optional(),
  },
  'network',
);

const overridesSchema = map(
  'Settings that apply only while building.',
  {
    vpcs: list(
      'Internet of VPCs.',
      map('A VPC.', {
        name: text('A declared VPC.'),
        internet: flag('Whether it has internet while building.', false),
      }),
    ).optional(),
    subnets: list(
      'Mode of subnets.',
      map('A subnet.', {
        name: text('A declared subnet.'),
        unmanaged: flag('Whether it is unmanaged while building.', false),
      }),
    ).optional(),
    vms: list(
      'Hardware of machines.',
      map('A machine.', {
        name: text('A VM of this module.'),
        resources: resourcesSchema.optional(),
        nics: list('Replaces its network cards.', nicSchema).optional(),
      }),
    ).optional(),
  },
  'buildOverrides',
);

/** All machines of a module wait for each other at its end. */
const MAX_VMS = 200;

const bodyShape = {
  variables: dictionary(
    'Values that can be set at submission; scalars refer to them by a dollar sign and {var.NAME}.',
    VARIABLE_NAMES,
    variableSchema,
  ).optional(),
  vms: list('The machines; at least one.', vmSchema, MAX_VMS),
  files: list(
    'Files for floppies, the HTTP directory and file steps.',
    map('A file: its text, its URL or its path.', {
      name: pattern(
        'File name with extension; by default the last part of `path`.',
        /^(?!\.{1,2}$)[^/\\\0]{1,255}$/,
        'a file name: leave out directories',
      ).optional(),
      inline: text('Its text.').optional(),
      url: url('Its URL.').optional(),
      checksum: checksum('Expected checksum of the file at `url`.').optional(),
      path: localPathField('A file or folder').optional(),
    }),
  ).optional(),
  network: networkSchema.optional(),
  httpDirectory: httpDirectorySchema.optional(),
  buildOverrides: overridesSchema.optional(),
  timeout: duration(
    'Limit for building the module, all generations together. Waiting for slots and for workers is not counted.',
    '30m',
  ).optional(),
  retries: wholeNumber('How often a failed build starts again.', { min: 0, max: 100, whenMissing: 0 }).optional(),
  maxAge: age(
    'A layer older than this is built again instead of reused, and so are the layers on top of it.',
  ).optional(),
  placement: map('Constraints on the clusters that may build it.', {
    clusterLabels: dictionary(
      'Labels that its cluster must have, all of them.',
      LABEL_KEYS,
      text('A value.'),
    ).optional(),
  }).optional(),
  isoCacheTTL: duration(
    'How long an imported ISO or image stays on its cluster after the last build that used it has ended.',
    '24h',
  ).optional(),
  namespace: dnsLabel('Kept for manifests of RudderVirt.').optional(),
  namespacePrefix: text('Kept for manifests of RudderVirt.', { default: 'vm-' }).optional(),
  output: anything('Deprecated; has no effect.').optional(),
};

const labelsSchema = dictionary('User-defined labels.', LABEL_KEYS, text('A value.')).optional();
const nameSchema = dnsLabel('Name of the module; others refer to it in `buildRef`.');

export const bodySchema = map('The specification of the module.', bodyShape, 'module');

const metadataSchema = map('Name and labels.', { name: nameSchema, labels: labelsSchema });

/** Objects that were read back from a cluster carry more metadata than a person wrote. */
const looseMetadataSchema = z
  .looseObject({ name: nameSchema, labels: labelsSchema }, { error: 'must be a map of keys and values' })
  .meta({ description: 'Name and labels; the rest has no effect.' });

/** The three forms of a document, by the name of the form. */
export const DOCUMENT_SCHEMAS = {
  module: map("Slipway's own form.", {
    apiVersion: choice('Version of the format.', ['slipway.dev/v1']),
    kind: choice('Kind of the document.', ['Module']),
    metadata: metadataSchema,
    spec: bodySchema,
  }),
  virtualMachineBuild: map('A manifest of RudderVirt, unchanged.', {
    apiVersion: choice('Version of the format.', ['ruddervirt.io/v1alpha1']),
    kind: choice('Kind of the document.', ['VirtualMachineBuild']),
    metadata: looseMetadataSchema,
    spec: bodySchema,
    status: anything('Has no effect.').optional(),
  }),
  bare: map('The body alone.', { name: nameSchema, labels: labelsSchema, ...bodyShape }),
} as const;

/** A body whose scalars have been read: durations are milliseconds, sizes bytes. */
export type ModuleBody = z.output<typeof bodySchema>;
export type VmBody = z.output<typeof vmSchema>;
export type NicBody = z.output<typeof nicSchema>;
export type ResourcesBody = z.output<typeof resourcesSchema>;

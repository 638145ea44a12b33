import type { CompiledModule, CompiledVm, VmSource } from '../../common/contracts/module/compiled.ts';
import { localContent, localFolderFields, objectKeyRef } from '../../common/contracts/module/content-keys.ts';
import type { FieldRules, KeyRule, VariantRules } from '../../common/contracts/module/key-rule.ts';
import type { Step } from '../../common/contracts/module/step-types.ts';
import { STEP_TYPES } from '../../common/contracts/module/step-types.ts';

/**
 * Raise it when the way in which keys are made changes, or the effect of a module on its guest: every layer is rebuilt.
 * 2: user data reaches the guest byte for byte.
 */
export const KEY_SCHEMA = 2;

const resources = { fields: { cpu: 'in', memoryBytes: 'in' } } as const;

/** The name too: the template's interfaces carry it. */
const nic = { fields: { name: 'in', subnet: 'in', ip: 'in', mac: 'in', model: 'in', slot: 'in' } } as const;

const source: VariantRules<VmSource> = {
  by: 'kind',
  variants: {
    /** Credentials are out, here and below: the content of the URL decides, not the account that fetches it. */
    url: { fields: { kind: 'in', url: 'source', credentials: 'out', checksum: 'source', maxAgeMs: 'out' } },
    blank: { fields: { kind: 'in' } },
    buildRef: { fields: { kind: 'in', module: 'parent', vm: 'parent', namespace: 'parent', image: 'parent' } },
    containerDisk: { fields: { kind: 'in', image: 'source', maxAgeMs: 'out' } },
    /** Never known, so reused for `maxAge` at most: see `claimIdentity`. */
    sourcePvc: { fields: { kind: 'in', name: 'source', namespace: 'source', maxAgeMs: 'out' } },
  },
};

/** A step's own name is for its reader, and its timeout decides only whether a layer is built, not its content. */
const stepBase = { type: 'in', name: 'out', timeoutMs: 'out' } as const;

/** The fields of each type are decided on beside the type. */
const step: VariantRules<Step> = {
  by: 'type',
  variants: Object.fromEntries(
    Object.entries(STEP_TYPES).map(([type, { layerKey }]) => [type, { fields: { ...stepBase, ...layerKey } }]),
  ) as unknown as VariantRules<Step>['variants'],
};

const vm: FieldRules<CompiledVm> = {
  fields: {
    /** It decides the host name. */
    name: 'in',
    source,
    resources,
    disks: { each: { fields: { name: 'in', sizeBytes: 'in', bus: 'in', storageClass: 'in' } } },
    isos: { each: { fields: { url: 'source', credentials: 'out', checksum: 'source', maxAgeMs: 'out' } } },
    floppy: 'in',
    firmware: {
      by: 'kind',
      variants: { bios: { fields: { kind: 'in' } }, efi: { fields: { kind: 'in', secureBoot: 'in', tpm: 'in' } } },
    },
    cpuModel: 'in',
    machineType: 'in',
    bootCommand: 'in',
    cloudInit: { fields: { userData: 'in', userDataFrom: objectKeyRef, networkData: 'in' } },
    communicator: {
      fields: {
        type: 'in',
        shell: 'in',
        sshUsername: 'in',
        sshPort: 'in',
        sshPassword: 'secret',
        sshTimeoutMs: 'out',
        sshPrivateKeySecret: objectKeyRef,
      },
    },
    nics: { each: nic },
    steps: { each: step },
    /** Services that a guest finds at boot can affect its disk. */
    dependsOn: 'in',
    shutdownCommand: 'in',
    shutdownTimeoutMs: 'out',
    invisible: 'out',
  },
};

/**
 * The fields of a compiled module that decide the disks of its layer. A field that is added to the model does not
 * compile until it is decided on here. Beside the module, the key holds `KEY_SCHEMA` and the versions of its types of steps.
 */
export const KEY_FIELDS: KeyRule<CompiledModule> = {
  fields: {
    name: 'out',
    labels: 'out',
    origin: 'out',
    vms: { each: vm },
    files: {
      each: {
        by: 'kind',
        variants: {
          inline: { fields: { name: 'in', kind: 'in', content: 'content' } },
          url: { fields: { name: 'in', kind: 'in', url: 'file', credentials: 'out', checksum: 'file' } },
          local: { fields: { name: 'in', kind: 'in', content: localContent } },
        },
      },
    },
    httpDirectory: 'in',
    httpFolder: { fields: localFolderFields },
    network: {
      fields: {
        /** The origin of a VPC does not affect the guest. */
        vpcs: { each: { fields: { name: 'in', internet: 'in', automatic: 'out' } } },
        subnets: { each: { fields: { name: 'in', vpc: 'in', cidr: 'in', dhcp: 'in', dns: 'in', unmanaged: 'in' } } },
      },
    },
    buildOverrides: {
      fields: {
        vpcs: { each: { fields: { name: 'in', internet: 'in' } } },
        subnets: { each: { fields: { name: 'in', unmanaged: 'in' } } },
        vms: { each: { fields: { name: 'in', resources: 'out', nics: { each: nic } } }, unlessOnly: 'name' },
      },
    },
    timeoutMs: 'out',
    retries: 'out',
    isoCacheTtlMs: 'out',
    /** It decides when a layer is rebuilt, not which: see `chooseLayer`. */
    maxAgeMs: 'out',
    clusterLabels: 'out',
    namespace: 'out',
    namespacePrefix: 'out',
    /** The values are in the texts that refer to them. */
    secrets: 'out',
    notYetSupported: 'out',
    places: 'out',
    /** No two clones are one layer build. */
    run: { fields: { id: 'in', image: 'out', ttlMs: 'out', authorizedKey: 'out' } },
    /** A booted image differs from the imported one. */
    imported: 'in',
  },
};

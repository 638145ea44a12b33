import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { fieldAt, isJsonObject, type JsonObject, type KubeObject } from '../objects.ts';
import type { KindAdmission } from './admission.ts';
import { writeAsStored } from './as-stored.ts';
import { Causes } from './causes.ts';
import { checkDataVolumeSpec } from './data-volume.ts';
import { fillHypervFeatures } from './hyperv.ts';
import { checkInstanceSpec } from './instance-spec.ts';

const MACHINE_WEBHOOK = 'virtualmachine-validator.kubevirt.io';
const INSTANCE_WEBHOOK = 'virtualmachineinstances-create-validator.kubevirt.io';
const INSTANCE_UPDATE_WEBHOOK = 'virtualmachineinstances-update-validator.kubevirt.io';
const RUN_STRATEGIES = ['Always', 'Halted', 'Manual', 'RerunOnFailure', 'Once'];
const TOPOLOGY_ANNOTATION = 'kubevirt.io/pci-topology-version';

function part(owner: JsonObject, field: string): JsonObject {
  const present = owner[field];
  const value = isJsonObject(present) ? present : {};
  owner[field] = value;
  return value;
}

/** Fills in what KubeVirt writes into a new machine: identity of the firmware, machine type, architecture. */
function fillInstanceSpec(spec: JsonObject, before: unknown): void {
  spec['architecture'] ??= 'amd64';
  const domain = part(spec, 'domain');
  const machine = part(domain, 'machine');
  machine['type'] ||= 'q35';
  fillHypervFeatures(domain);
  const firmware = part(domain, 'firmware');
  firmware['uuid'] ??= fieldAt(before, 'domain', 'firmware', 'uuid') ?? randomUUID();
  firmware['serial'] ??= fieldAt(before, 'domain', 'firmware', 'serial') ?? randomUUID();
}

/** The defaults and checks of virt-api for a VirtualMachine. */
export const virtualMachineAdmission: KindAdmission = {
  mutate: ({ object, previous, subresource }) => {
    const template = object.spec?.['template'];
    if (subresource !== undefined || !isJsonObject(template)) return;
    writeAsStored(part(object, 'spec'));
    fillInstanceSpec(part(template, 'spec'), fieldAt(previous, 'spec', 'template', 'spec'));
    const annotations = part(part(template, 'metadata'), 'annotations');
    annotations[TOPOLOGY_ANNOTATION] ??= 'v3';
  },
  validate: ({ object, operation, subresource }) => {
    if (operation === 'DELETE' || subresource !== undefined) return;
    const causes = new Causes();
    checkRunStrategy(object.spec ?? {}, causes);
    const instanceSpec = fieldAt(object, 'spec', 'template', 'spec');
    if (isJsonObject(instanceSpec)) checkInstanceSpec(instanceSpec, 'spec.template.spec', causes);
    checkDataVolumeTemplates(object, causes);
    causes.refuseAs(MACHINE_WEBHOOK);
  },
};

function checkRunStrategy({ running, runStrategy }: JsonObject, causes: Causes): void {
  if (running !== undefined && runStrategy !== undefined) {
    causes.add(
      'spec.running',
      'Running and RunStrategy are mutually exclusive. Note that Running is deprecated, please use RunStrategy instead',
    );
  } else if (running === undefined && runStrategy === undefined) {
    causes.add('spec.runStrategy', 'One of Running or RunStrategy must be specified');
  } else if (runStrategy !== undefined && !RUN_STRATEGIES.includes(String(runStrategy))) {
    causes.add('spec.runStrategy', `Invalid RunStrategy (${String(runStrategy)})`);
  }
}

function checkDataVolumeTemplates(object: KubeObject, causes: Causes): void {
  const templates = object.spec?.['dataVolumeTemplates'];
  const volumes = fieldAt(object, 'spec', 'template', 'spec', 'volumes');
  if (!Array.isArray(templates)) return;
  const used = new Set(
    (Array.isArray(volumes) ? volumes : []).flatMap((volume) => [
      fieldAt(volume, 'dataVolume', 'name'),
      fieldAt(volume, 'persistentVolumeClaim', 'claimName'),
    ]),
  );
  const seen = new Set<unknown>();
  for (const [index, template] of templates.entries()) {
    const field = `spec.dataVolumeTemplates[${index}]`;
    const name = fieldAt(template, 'metadata', 'name');
    const spec = fieldAt(template, 'spec');
    if (typeof name !== 'string' || name === '')
      causes.require(`${field}.name`, `'name' field must not be empty for DataVolumeTemplate entry ${field}.`);
    else if (!used.has(name)) {
      causes.add(field, `DataVolumeTemplate entry ${field} must be referenced in the VMI template's 'volumes' list`);
    }
    if (seen.has(name)) causes.add(`${field}.name`, `DataVolumeTemplate entry ${field} has the name of another entry`);
    seen.add(name);
    if (isJsonObject(spec)) checkDataVolumeSpec(spec, `${field}.spec`, causes);
  }
}

/** Defaults of virt-api for an instance that a client creates itself; only the system changes one later. */
export const instanceAdmission: KindAdmission = {
  mutate: ({ object, operation }) => {
    if (operation !== 'CREATE' || !object.spec) return;
    writeAsStored(object.spec);
    fillInstanceSpec(object.spec, undefined);
  },
  validate: ({ object, previous, operation }) => {
    const causes = new Causes();
    if (operation === 'CREATE') {
      checkInstanceSpec(object.spec ?? {}, 'spec', causes);
      causes.refuseAs(INSTANCE_WEBHOOK);
    } else if (operation === 'UPDATE' && !isDeepStrictEqual(object.spec, previous?.spec)) {
      causes.add('spec', 'update of VMI object is restricted');
      causes.refuseAs(INSTANCE_UPDATE_WEBHOOK);
    }
  },
};

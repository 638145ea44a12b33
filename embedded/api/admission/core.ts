import { isDeepStrictEqual } from 'node:util';
import { parseQuantity } from '../../../common/text/quantity.ts';
import { STORAGE_CLASS } from '../bootstrap.ts';
import { listAt } from '../json-lists.ts';
import { fieldAt, isJsonObject, type JsonObject, type KubeObject } from '../objects.ts';
import type { KindAdmission } from './admission.ts';
import { Causes } from './causes.ts';

/** All values of a ConfigMap or Secret together, in bytes. */
const MAX_CONTENT_BYTES = 1024 * 1024;
const KEY = /^[-._a-zA-Z0-9]{1,253}$/;

function entries(value: unknown): [string, unknown][] {
  return isJsonObject(value) ? Object.entries(value) : [];
}

function checkImmutable(object: KubeObject, previous: KubeObject | undefined, causes: Causes): void {
  if (previous?.['immutable'] !== true) return;
  for (const field of ['data', 'binaryData', 'immutable']) {
    if (!isDeepStrictEqual(object[field], previous[field]))
      causes.add(field, 'Forbidden: field is immutable when `immutable` is set');
  }
}

function checkKeys(field: string, values: readonly [string, unknown][], causes: Causes): void {
  for (const [name] of values) {
    if (KEY.test(name) && name !== '.' && !name.startsWith('..')) continue;
    const rule = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
    causes.add(`${field}[${name}]`, `Invalid value: "${name}": ${rule}`);
  }
}

function checkSize(values: readonly [string, unknown][], causes: Causes): void {
  const bytes = values.reduce((sum, [, value]) => sum + Buffer.byteLength(String(value)), 0);
  if (bytes > MAX_CONTENT_BYTES) causes.add('data', `Too long: may not be more than ${MAX_CONTENT_BYTES} bytes`);
}

/** Required keys of Secrets of these types. */
const REQUIRED_DATA: Readonly<Record<string, readonly string[]>> = {
  'kubernetes.io/tls': ['tls.crt', 'tls.key'],
  'kubernetes.io/dockerconfigjson': ['.dockerconfigjson'],
  'kubernetes.io/ssh-auth': ['ssh-privatekey'],
};

/** Secrets: `stringData` becomes `data`; keys are names; the type stays. */
export const secretAdmission: KindAdmission = {
  mutate: ({ object }) => {
    const { stringData } = object;
    const plain = entries(stringData).map(([name, value]) => [name, Buffer.from(String(value)).toString('base64')]);
    if (stringData !== undefined) delete object['stringData'];
    if (plain.length > 0)
      object['data'] = { ...(isJsonObject(object['data']) ? object['data'] : {}), ...Object.fromEntries(plain) };
    object['type'] ||= 'Opaque';
  },
  validate: ({ object, previous, kind, operation }) => {
    if (operation === 'DELETE') return;
    const causes = new Causes();
    const data = entries(object['data']);
    checkKeys('data', data, causes);
    for (const name of REQUIRED_DATA[String(object['type'])] ?? []) {
      if (!data.some(([key]) => key === name)) causes.require(`data[${name}]`, 'Required value');
    }
    checkSize(data, causes);
    checkImmutable(object, previous, causes);
    if (previous && previous['type'] !== object['type']) causes.add('type', 'Invalid value: field is immutable');
    causes.refuseField(kind, object);
  },
};

/** ConfigMaps: keys are names; values stay when they are immutable. */
export const configMapAdmission: KindAdmission = {
  validate: ({ object, previous, kind, operation }) => {
    if (operation === 'DELETE') return;
    const causes = new Causes();
    for (const field of ['data', 'binaryData']) checkKeys(field, entries(object[field]), causes);
    checkSize([...entries(object['data']), ...entries(object['binaryData'])], causes);
    checkImmutable(object, previous, causes);
    causes.refuseField(kind, object);
  },
};

/** Claims: a size and an access mode; only the requested size may change afterwards. */
export const claimAdmission: KindAdmission = {
  mutate: ({ object, operation }) => {
    if (operation !== 'CREATE') return;
    object.spec = { volumeMode: 'Filesystem', storageClassName: STORAGE_CLASS, ...object.spec };
    object.status = { phase: 'Pending' };
  },
  validate: ({ object, previous, kind, operation, subresource }) => {
    if (operation === 'DELETE' || subresource !== undefined) return;
    const causes = new Causes();
    const modes = fieldAt(object.spec, 'accessModes');
    if (!Array.isArray(modes) || modes.length === 0) {
      causes.require('spec.accessModes', 'Required value: at least 1 access mode is required');
    }
    const size = fieldAt(object.spec, 'resources', 'requests', 'storage');
    if (size === undefined) causes.require('spec.resources[storage]', 'Required value');
    else if ((parseQuantity(size) ?? 0) <= 0)
      causes.add('spec.resources[storage]', `Invalid value: "${String(size)}": must be greater than zero`);
    if (previous && !isDeepStrictEqual(fixedClaimSpec(object.spec), fixedClaimSpec(previous.spec))) {
      causes.add(
        'spec',
        'Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
      );
    }
    causes.refuseField(kind, object);
  },
};

function fixedClaimSpec(spec: JsonObject = {}): JsonObject {
  const { resources: _, volumeAttributesClassName: __, ...rest } = spec;
  return rest;
}

/** Pods: containers with names and images; afterwards only images, tolerations and deadlines may change. */
export const podAdmission: KindAdmission = {
  mutate: ({ object, operation }) => {
    if (operation !== 'CREATE') return;
    object.spec = { restartPolicy: 'Always', terminationGracePeriodSeconds: 30, ...object.spec };
    object.status = { phase: 'Pending' };
  },
  validate: ({ object, previous, kind, operation, subresource }) => {
    if (operation === 'DELETE' || subresource !== undefined) return;
    const causes = new Causes();
    const containers = listAt(object.spec, 'containers');
    const volumes = listAt(object.spec, 'volumes').map((volume) => fieldAt(volume, 'name'));
    for (const [index, name] of volumes.entries()) {
      if (!name) causes.require(`spec.volumes[${index}].name`, 'Required value');
    }
    if (containers.length === 0) causes.require('spec.containers', 'Required value');
    for (const [index, container] of containers.entries()) {
      for (const field of ['name', 'image']) {
        if (!fieldAt(container, field)) causes.require(`spec.containers[${index}].${field}`, 'Required value');
      }
      checkMounts(container, `spec.containers[${index}].volumeMounts`, { volumes, causes });
      checkPorts(container, `spec.containers[${index}].ports`, causes);
    }
    if (previous && !isDeepStrictEqual(fixedPodSpec(object.spec), fixedPodSpec(previous.spec))) {
      causes.add(
        'spec',
        'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations`',
      );
    }
    causes.refuseField(kind, object);
  },
};

function checkMounts(
  container: unknown,
  field: string,
  { volumes, causes }: { readonly volumes: readonly unknown[]; readonly causes: Causes },
): void {
  for (const [index, mount] of listAt(container, 'volumeMounts').entries()) {
    const name = fieldAt(mount, 'name');
    if (!volumes.includes(name)) causes.add(`${field}[${index}].name`, `Not found: "${String(name ?? '')}"`);
    if (!fieldAt(mount, 'mountPath')) causes.require(`${field}[${index}].mountPath`, 'Required value');
  }
}

function checkPorts(container: unknown, field: string, causes: Causes): void {
  for (const [index, port] of listAt(container, 'ports').entries()) {
    const number = Number(fieldAt(port, 'containerPort') ?? 0);
    if (number >= 1 && number <= 65_535) continue;
    const rule = 'must be between 1 and 65535, inclusive';
    causes.add(`${field}[${index}].containerPort`, `Invalid value: ${number}: ${rule}`);
  }
}

function fixedPodSpec(spec: JsonObject = {}): JsonObject {
  const { activeDeadlineSeconds: _, tolerations: __, containers, ...rest } = spec;
  const fixed = Array.isArray(containers)
    ? containers.map((container: JsonObject) => ({ ...container, image: '' }))
    : [];
  return { ...rest, containers: fixed };
}

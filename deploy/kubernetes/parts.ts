import type { Scope, Slot } from './values.ts';

/** Any Kubernetes object. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** When an object or a field is part of a deployment: the value at `path` is true, or is `is`. */
export interface Condition {
  readonly path: string;
  readonly is?: string;
}

/** Objects that belong together: one template of the chart. */
export interface Part {
  readonly file: string;
  readonly when?: Condition;
  readonly objects: readonly Manifest[];
}

/** Labels that select the pods of a component. */
export function selectorLabels({ name }: Scope, component: string): Record<string, string> {
  return {
    'app.kubernetes.io/name': 'slipway',
    'app.kubernetes.io/instance': name,
    'app.kubernetes.io/component': component,
  };
}

/**
 * Metadata of a component's object outside of the namespace of the farm's processes. Other releases have theirs in the
 * same place, so its name tells both.
 */
export function metadataElsewhere(scope: Scope, component: string, namespace?: string) {
  return {
    // RBAC allows colons; nothing else does, so no two pairs of names give the same one.
    name: `${scope.namespace}:${scope.name}-${component}`,
    ...(namespace === undefined ? {} : { namespace }),
    labels: selectorLabels(scope, component),
  };
}

/** Metadata of an object of a component, in the namespace of the farm's processes. */
export function metadataOf(scope: Scope, component: string) {
  return {
    name: `${scope.name}-${component}`,
    namespace: scope.namespace,
    labels: selectorLabels(scope, component),
  };
}

/** What the `restricted` pod security standard asks of a pod; the user is the image's. */
export const POD_SECURITY = {
  runAsNonRoot: true,
  runAsUser: 65_532,
  runAsGroup: 65_532,
  fsGroup: 65_532,
  seccompProfile: { type: 'RuntimeDefault' },
} as const;

/** What it asks of a container, and a root file system that cannot be written. */
export const CONTAINER_SECURITY = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
} as const;

/** A slot that needs more than its value. */
export interface Insert {
  /**
   * `yaml`: the value as YAML text. `digest`: a hash of that text. `when`: left out unless the condition holds.
   * `or`: text in its place where the value is empty.
   */
  readonly insert: 'yaml' | 'digest' | 'when' | 'or';
  readonly slot: Slot;
  readonly when?: Condition;
  readonly otherwise?: string;
}

/** The value as YAML text. */
export function asYaml(slot: Slot): Insert {
  return { insert: 'yaml', slot };
}

/** A hash that changes with the value. */
export function digestOf(slot: Slot): Insert {
  return { insert: 'digest', slot };
}

/** The value where the condition holds; else its field is not there. */
export function onlyWhen(when: Condition, slot: Slot): Insert {
  return { insert: 'when', slot, when };
}

/** The value, or the text where it is empty. */
export function orElse(slot: Slot, otherwise: string): Insert {
  return { insert: 'or', slot, otherwise };
}

/** True for what the functions above give. */
export function isInsert(value: object): value is Insert {
  return 'insert' in value;
}

/** Text with slots in it. */
export function text(strings: TemplateStringsArray, ...slots: readonly Slot[]): string {
  // A stand-in for a number is text here.
  return strings.map((part, index) => `${part}${String(slots[index] ?? '').replace('⟦#', '⟦')}`).join('');
}

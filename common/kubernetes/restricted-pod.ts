import type { ObjectMeta, Pod } from './objects.ts';
import { RELAY_RESOURCES } from './relay-resources.ts';

/** What distinguishes one pod of the farm from another. */
export interface RestrictedPodOptions {
  readonly metadata: ObjectMeta;
  /** Of its container too. */
  readonly name: string;
  readonly image: string;
  /** Of the relay's program, which is the only one that the farm runs in pods of its own. */
  readonly args: readonly string[];
  /** User and group of its process, and group of its volumes. */
  readonly user: number;
  readonly sysctls?: readonly { readonly name: string; readonly value: string }[];
  /** Further fields of the container, such as its mounts. */
  readonly container: Readonly<Record<string, unknown>>;
  readonly volumes: readonly Readonly<Record<string, unknown>>[];
  /** Further fields of the pod's spec. */
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** A pod of the farm's image. It runs under the restricted pod security standard, without a token. */
export function restrictedPod(options: RestrictedPodOptions): Pod {
  const { metadata, name, image, args, user, sysctls, container, volumes, spec } = options;
  return {
    metadata,
    spec: {
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 1,
      ...spec,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: user,
        fsGroup: user,
        seccompProfile: { type: 'RuntimeDefault' },
        ...(sysctls ? { sysctls } : {}),
      },
      containers: [
        {
          name,
          image,
          command: ['node', 'dist/workers/relay/main.js'],
          args: [...args],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
          resources: RELAY_RESOURCES,
          ...container,
        },
      ],
      volumes: [...volumes],
    },
  };
}

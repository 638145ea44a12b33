import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { itemsOf, listAt } from '../api/json-lists.ts';
import { fieldAt, isJsonObject, type JsonObject, type KubeObject } from '../api/objects.ts';
import type { Store } from '../api/store.ts';
import { type Confiner, programFiles } from '../host/confinement.ts';
import { runCommand } from '../host/run-command.ts';
import type { PodPlan } from '../pods/pod-plan.ts';
import type { VolumeFiles } from '../storage/volumes.ts';
import { uidOf } from './context.ts';
import type { PodSecurity } from './pod-security.ts';
import { decodedData } from './secret-values.ts';

/** Dependencies for turning a pod into a process. */
export interface PodSources {
  readonly store: Store;
  readonly volumes: VolumeFiles;
  readonly confiner: Confiner;
  readonly security: PodSecurity;
  readonly pod: KubeObject;
  /** The command that stands for the container's image. */
  readonly command: readonly string[];
  readonly directory: string;
  readonly podIp: string | undefined;
}

/** The one container of a pod; others are not run. */
export function containerOf(pod: KubeObject): JsonObject {
  const container = fieldAt(pod.spec, 'containers', 0);
  return isJsonObject(container) ? container : {};
}

/**
 * The process of a pod: the command that stands for the image, then the container's `args`, with its environment. The
 * container's `command` is a path within the image, so the configured command stands for it too. It is confined as its
 * security context requires; of this host it sees system programs, and its own program. Volumes are directories, and a path below a
 * mount point is translated wherever an argument or a variable is such a path.
 */
export async function planPod(sources: PodSources): Promise<PodPlan> {
  const { pod, command, confiner, security } = sources;
  const container = containerOf(pod);
  const directory = join(sources.directory, 'home');
  const isShared = confiner.userOf(security) !== undefined;
  await mkdir(directory, { recursive: true });
  if (isShared && !security.isReadOnly) await chown(directory, security.user, security.group);
  const volumes = await makeVolumes(sources, container);
  const mounts = new Map(volumes.map(({ mountPath, path }) => [mountPath, path]));
  if (isShared) for (const { path, isWritable } of volumes) if (isWritable) await shareVolume(path, security);
  const translate = (text: string) => translatePath(text, mounts);
  const env: Record<string, string> = { PATH: process.env['PATH'] ?? '/usr/bin:/bin', HOME: directory };
  for (const variable of itemsOf(container, 'env')) {
    const value = variableValue(sources, variable);
    if (value !== undefined) env[String(variable['name'])] = translate(value);
  }
  const writable = volumes.filter(({ isWritable }) => isWritable);
  const readable = volumes.filter(({ isWritable }) => !isWritable);
  const argv = confiner.command([...command, ...listAt(container, 'args').map(String).map(translate)], {
    ...{ user: security.user, group: security.group, groups: security.groups, capabilities: security.capabilities },
    ...{ directory, isReadOnly: security.isReadOnly, writable: writable.map(({ path }) => path) },
    readable: [...programFiles(), ...readable.map(({ path }) => path)],
    ...{ hasNetwork: true, endsWithServer: true, environment: 'inherited' },
  });
  return { argv, env, directory };
}

/** A path at or below a mount point, as the path of this host. */
export function translatePath(text: string, mounts: ReadonlyMap<string, string>): string {
  for (const [mountPath, directory] of mounts) {
    if (text === mountPath) return directory;
    if (text.startsWith(`${mountPath}/`)) return join(directory, text.slice(mountPath.length + 1));
  }
  return text;
}

interface MadeVolume {
  readonly mountPath: string;
  readonly path: string;
  readonly isWritable: boolean;
}

/** As kubelet makes an `emptyDir`; no other user can read it. */
async function shareVolume(path: string, { fsGroup }: PodSecurity): Promise<void> {
  await chown(path, 0, fsGroup);
  await chmod(path, 0o2777);
}

async function makeVolumes(sources: PodSources, container: JsonObject): Promise<MadeVolume[]> {
  const { store, pod, directory } = sources;
  const volumes = new Map(itemsOf(pod.spec, 'volumes').map((volume) => [volume['name'], volume]));
  const made: MadeVolume[] = [];
  for (const mount of itemsOf(container, 'volumeMounts')) {
    const path = join(directory, 'volumes', String(mount['name']));
    await mkdir(path, { recursive: true });
    const volume = volumes.get(mount['name']);
    const namespace = pod.metadata.namespace;
    const secret = { kind: 'Secret', namespace, name: fieldAt(volume, 'secret', 'secretName') } as const;
    const configMap = { kind: 'ConfigMap', namespace, name: fieldAt(volume, 'configMap', 'name') } as const;
    const files = [...decodedData(store, secret), ...decodedData(store, configMap)];
    for (const [name, content] of files) await writeFile(join(path, name), content, { mode: 0o644 });
    const claim = fieldAt(volume, 'persistentVolumeClaim', 'claimName');
    if (claim !== undefined) await copyClaim(sources, { claim: String(claim), to: join(path, 'disk.img') });
    const isData = fieldAt(volume, 'secret') !== undefined || fieldAt(volume, 'configMap') !== undefined;
    const mountPath = String(mount['mountPath']).replace(/\/+$/, '');
    made.push({ mountPath, path, isWritable: !isData && mount['readOnly'] !== true });
  }
  return made;
}

/**
 * A claim is a file system with one file in it, the raw disk: a copy, so that what a pod writes there is lost.
 * @throws FarmError `ClusterUnavailable` when there is no such claim with a content
 */
async function copyClaim({ store, volumes, pod }: PodSources, { claim, to }: { claim: string; to: string }) {
  const found = store.get('PersistentVolumeClaim', { namespace: pod.metadata.namespace, name: claim });
  if (!found || !(await volumes.exists(uidOf(found)))) {
    throw new FarmError('ClusterUnavailable', `persistentvolumeclaim "${claim}" not found`);
  }
  // A machine may have written another file's name into its disk.
  await volumes.layersBelow(uidOf(found));
  await runCommand('qemu-img', ['convert', '-q', '-U', '-f', 'qcow2', '-O', 'raw', volumes.disk(uidOf(found)), to]);
  await chmod(to, 0o644);
}

function variableValue({ store, pod, podIp }: PodSources, variable: JsonObject): string | undefined {
  if (variable['value'] !== undefined) return String(variable['value']);
  const namespace = pod.metadata.namespace;
  const field = fieldAt(variable, 'valueFrom', 'fieldRef', 'fieldPath');
  if (field === 'status.podIP') return podIp ?? '';
  if (field === 'metadata.name') return pod.metadata.name;
  if (field === 'metadata.namespace') return namespace;
  for (const [kind, reference] of [
    ['Secret', 'secretKeyRef'],
    ['ConfigMap', 'configMapKeyRef'],
  ] as const) {
    const from = fieldAt(variable, 'valueFrom', reference);
    if (!isJsonObject(from)) continue;
    return decodedData(store, { kind, namespace, name: from['name'] }).get(String(from['key']))?.toString();
  }
  return undefined;
}

import { relayOf } from '../../common/contracts/guest-route.ts';
import type { Pod } from '../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { waitFor, waitUntilGone } from '../../common/kubernetes/wait-for.ts';
import type { ModuleScope } from '../cluster/build-scope.ts';
import { sharedPublicKey } from '../cluster/login-keys.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { runStage } from '../context/stage.ts';
import { readyFile, servedFiles, withFiles } from '../files/module-files.ts';
import { putFile, waitForRelay } from '../relay/relay-client.ts';
import { RELAY_PORTS } from '../relay/relay-pod.ts';
import { networkOf } from './networks.ts';

const START_MS = 180_000;
const ANSWER_MS = 60_000;
const MIB = 1024 ** 2;
/** Room on a relay; files that lie elsewhere may be installers' images. */
const ROOM_BYTES = { inline: 64 * MIB, fetched: 2048 * MIB } as const;

/**
 * Makes the relays of the module, or adopts them, and puts the files of `httpDirectory` on each, templates filled.
 * May be called again at any time: a relay that was evicted is replaced, files that are there are not sent again.
 */
export async function ensureRelays(context: PhaseContext, scope: ModuleScope): Promise<void> {
  const vpcs = relayedVpcs(scope);
  await Promise.all(vpcs.map((vpc) => ensureRelay(context, scope, vpc)));
  const { module } = scope.spec;
  const served = servedFiles(module);
  if (served.length === 0) return;
  const publicKey = await sharedPublicKey(context, scope);
  await withFiles(context, served, async (contents) => {
    for (const vpc of vpcs) {
      const relay = await networkOf(scope.spec).relayAddress(context, scope, vpc);
      const values = fileValues(scope, { relay, publicKey });
      for (const content of contents) {
        const file = await readyFile(content, values);
        await putFile(context.cluster, scope.names.relay(vpc), { ...file, signal: context.signal });
      }
    }
  });
}

function relayedVpcs({ spec }: ModuleScope): string[] {
  return spec.network.vpcs.flatMap(({ name }) => (relayOf(spec, name) ? [name] : []));
}

/** `Name` is known only where one VM can ask; else the text stays as it is. */
function fileValues(
  { spec }: ModuleScope,
  { relay, publicKey }: { readonly relay: string; readonly publicKey: string },
): Record<string, string> {
  const [only, ...others] = spec.vms;
  return {
    HTTPIP: relay,
    HTTPPort: String(RELAY_PORTS.http),
    SSHPublicKey: publicKey,
    ...(only && others.length === 0 ? { Name: only.name } : {}),
  };
}

async function ensureRelay(context: PhaseContext, scope: ModuleScope, vpc: string): Promise<void> {
  const { cluster, signal } = context;
  const name = scope.names.relay(vpc);
  await requestRelay(context, scope, vpc);
  const stage = { reason: 'NotScheduled', subjects: [{ kind: 'Pod', name }], pod: name } as const;
  await runStage(cluster, stage, async () => {
    const what = `the relay of the VPC "${vpc}" to run`;
    await waitFor(
      cluster,
      { resource: RESOURCES.pods, name },
      { signal, deadlineMs: START_MS, what, until: (object) => (object && isRunning(object) ? true : undefined) },
    );
    await waitForRelay(cluster, name, { signal, deadlineMs: ANSWER_MS });
    await networkOf(scope.spec).fillRelay(context, scope, vpc);
  });
}

async function requestRelay(context: PhaseContext, scope: ModuleScope, vpc: string): Promise<void> {
  const { cluster, clusterConfig, signal } = context;
  const mayBeLarge = servedFiles(scope.spec.module).some(({ kind }) => kind !== 'inline');
  const maxFileBytes = mayBeLarge ? ROOM_BYTES.fetched : ROOM_BYTES.inline;
  const pod = networkOf(scope.spec).relayPod(scope, vpc, { image: clusterConfig.relayImage, maxFileBytes });
  if (!pod) return;
  await runStage(cluster, { reason: 'ClusterRefused', subjects: [] }, async () => {
    const found = await cluster.createIfAbsent(RESOURCES.pods, pod, { signal });
    if (!(await removeEnded(context, found))) return;
    await cluster.createIfAbsent(RESOURCES.pods, pod, { signal });
  });
}

function isRunning({ status }: Pod): boolean {
  return status?.phase === 'Running' && (status.containerStatuses ?? []).every(({ ready }) => ready);
}

/** A pod that was evicted stays as Failed and is never started again. True when it was one, and is gone. */
async function removeEnded({ cluster, store, claim, signal }: PhaseContext, pod: Pod): Promise<boolean> {
  const hasEnded = pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';
  if (!(hasEnded || pod.metadata?.deletionTimestamp)) return false;
  const { name = '', uid } = pod.metadata ?? {};
  await store.assertCurrent(claim);
  await cluster.delete(RESOURCES.pods, name, { signal, ...(uid === undefined ? {} : { uid }) });
  const removal = { signal, deadlineMs: START_MS, what: `the ended relay "${name}" to be removed` };
  await waitUntilGone(cluster, { resource: RESOURCES.pods, name }, removal);
  return true;
}

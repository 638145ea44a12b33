import ssh2 from 'ssh2';
import type { CompiledVm } from '../../common/contracts/module/compiled.ts';
import type { ObjectKeyRef } from '../../common/contracts/module/contents.ts';
import { objectKeyName } from '../../common/contracts/object-content.ts';
import type { SshKeyPair } from '../../common/ssh/key-pair.ts';
import type { PhaseContext } from '../context/phase-context.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import { ensureBuildKey } from './build-key.ts';
import type { ModuleScope } from './build-scope.ts';
import { readPlannedObject } from './object-content.ts';

/** The keys by which the farm gets into a guest. */
export interface LoginKeys {
  /** In the order in which they are tried; OpenSSH's formats or PEM. Secrets. */
  readonly privateKeys: readonly string[];
  /** Public half for the guest: one line of `authorized_keys`. */
  readonly publicKey: string;
  /** The pair that was made for the build alone; no image keeps it. */
  readonly buildKey: SshKeyPair;
}

/**
 * The key of the VM's Secret where it names one, else that of the build. The build's is tried in any case: files that
 * several VMs are served may carry it.
 * @throws PhaseFailure `KeyUnusable`, or as `readPlannedObject`
 */
export async function loginKeys(
  context: PhaseContext,
  scope: ModuleScope,
  { communicator }: Pick<CompiledVm, 'communicator'>,
): Promise<LoginKeys> {
  const buildKey = await ensureBuildKey(context.cluster, scope, context.signal);
  const ref = communicator.sshPrivateKeySecret;
  if (!ref) return { privateKeys: [buildKey.privateKey], publicKey: buildKey.publicKey, buildKey };
  const privateKey = String(await readPlannedObject(context, ref, context.signal));
  return { privateKeys: [privateKey, buildKey.privateKey], publicKey: publicHalf(privateKey, ref), buildKey };
}

/** The public key in files that all VMs of the module are served: theirs where they share one, else the build's. */
export async function sharedPublicKey(context: PhaseContext, scope: ModuleScope): Promise<string> {
  const { vms } = scope.spec.module;
  const [first] = vms;
  const named = new Set(
    vms.map(({ communicator: { sshPrivateKeySecret: ref } }) => (ref === null ? null : objectKeyName(ref))),
  );
  if (first && named.size === 1) return (await loginKeys(context, scope, first)).publicKey;
  return (await ensureBuildKey(context.cluster, scope, context.signal)).publicKey;
}

function publicHalf(privateKey: string, ref: ObjectKeyRef): string {
  const key = ssh2.utils.parseKey(privateKey);
  if (!(key instanceof Error) && key.isPrivateKey()) return `${key.type} ${key.getPublicSSH().toString('base64')}`;
  const why = key instanceof Error ? key.message : 'It is a public key';
  throw new PhaseFailure('KeyUnusable', `${objectKeyName(ref)} holds no private key that can be used: ${why}`);
}

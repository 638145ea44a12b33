import { FarmError } from '../../common/errors/farm-error.ts';
import type { ClusterClient } from '../../common/kubernetes/cluster-client.ts';
import { RESOURCES } from '../../common/kubernetes/resources.ts';
import { generateKeyPair, type SshKeyPair } from '../../common/ssh/key-pair.ts';
import { type ModuleScope, moduleLabels } from './build-scope.ts';

const PRIVATE = 'id_ed25519';
const PUBLIC = 'id_ed25519.pub';

/** The key of a layer build's generation; made once, by the first caller. */
export async function ensureBuildKey(
  cluster: ClusterClient,
  scope: ModuleScope,
  signal: AbortSignal,
): Promise<SshKeyPair> {
  const name = scope.names.sshKey();
  const known = await cluster.get(RESOURCES.secrets, name, { signal });
  if (known) return readKey(name, known.data);
  const pair = generateKeyPair('slipway-build');
  const secret = {
    metadata: { name, labels: moduleLabels(scope, 'build') },
    type: 'Opaque',
    data: { [PRIVATE]: encode(pair.privateKey), [PUBLIC]: encode(pair.publicKey) },
  };
  const winner = await cluster.createIfAbsent(RESOURCES.secrets, secret, { signal });
  return readKey(name, winner.data);
}

function encode(text: string): string {
  return Buffer.from(text).toString('base64');
}

function readKey(name: string, data: Readonly<Record<string, string>> | undefined): SshKeyPair {
  const decode = (key: string) => Buffer.from(data?.[key] ?? '', 'base64').toString();
  const key = { privateKey: decode(PRIVATE), publicKey: decode(PUBLIC).trim() };
  if (key.privateKey && key.publicKey) return key;
  throw new FarmError('BrokenInvariant', `The secret "${name}" does not hold the key of its build`);
}

import { buffer } from 'node:stream/consumers';
import type { Secret } from '../../../common/kubernetes/objects.ts';
import { RESOURCES } from '../../../common/kubernetes/resources.ts';
import { type BuildScope, vmLabels } from '../../cluster/build-scope.ts';
import type { LoginKeys } from '../../cluster/login-keys.ts';
import { readPlannedObject } from '../../cluster/object-content.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { PhaseFailure } from '../../context/phase-failure.ts';
import { runStage } from '../../context/stage.ts';
import { moduleFiles, readyFile, withFiles } from '../../files/module-files.ts';
import { relayAddressOf } from '../../networks/networks.ts';
import { RELAY_PORTS } from '../../relay/relay-pod.ts';
import { withLogin } from './cloud-init.ts';
import { fillUserData } from './fill-user-data.ts';

/** A Secret holds 1 MiB with its encoding and metadata. */
const MAX_ANSWER_BYTES = 900 * 1024;

/** The Secrets behind the VM's cloud-init drive and its answer CD; existing ones are kept. */
export async function ensureBuildSecrets(context: PhaseContext, scope: BuildScope, keys: LoginKeys): Promise<void> {
  const { vm, names } = scope;
  if (vm.cloudInit) {
    await ensureSecret(context, scope, {
      name: names.cloudInit(vm.name),
      makeData: () => cloudInitData(context, scope, keys),
    });
  }
  if (vm.floppy.length > 0) {
    await ensureSecret(context, scope, {
      name: names.answers(vm.name),
      makeData: () => answerData(context, scope, keys),
    });
  }
}

type Data = Record<string, string>;

interface RequestedSecret {
  readonly name: string;
  /** Values in base64. */
  readonly makeData: () => Promise<Data>;
}

async function ensureSecret(
  { cluster, signal }: PhaseContext,
  scope: BuildScope,
  { name, makeData }: RequestedSecret,
): Promise<void> {
  if (await cluster.get(RESOURCES.secrets, name, { signal })) return;
  const secret: Secret = {
    metadata: { name, labels: vmLabels(scope, 'build') },
    type: 'Opaque',
    data: await makeData(),
  };
  await runStage(cluster, { reason: 'ClusterRefused', subjects: [] }, () =>
    cluster.createIfAbsent(RESOURCES.secrets, secret, { signal }),
  );
}

async function cloudInitData(context: PhaseContext, { vm }: BuildScope, { publicKey }: LoginKeys): Promise<Data> {
  const { userData = null, userDataFrom = null, networkData = null } = vm.cloudInit ?? {};
  const { fill } = context.secrets;
  const found = userDataFrom && (await readPlannedObject(context, userDataFrom, context.signal));
  const given = userData === null ? found : Buffer.from(fillUserData(userData, fill));
  const person = context.claim.spec.module.run?.authorizedKey;
  const login = { username: vm.communicator.sshUsername, publicKeys: [publicKey, ...(person ? [person] : [])] };
  return {
    userdata: withLogin(given, login).toString('base64'),
    ...(networkData === null ? {} : { networkdata: Buffer.from(fill(networkData)).toString('base64') }),
  };
}

async function answerData(context: PhaseContext, scope: BuildScope, { publicKey }: LoginKeys): Promise<Data> {
  const { vm } = scope;
  const values = {
    Name: vm.name,
    HTTPIP: await relayAddressOf(context, scope),
    HTTPPort: String(RELAY_PORTS.http),
    SSHPublicKey: publicKey,
  };
  return withFiles(context, moduleFiles(context.claim.spec.module, vm.floppy), async (contents) => {
    const data: Data = {};
    let totalBytes = 0;
    for (const content of contents) {
      const file = await readyFile(content, values);
      totalBytes += file.sizeBytes;
      if (totalBytes > MAX_ANSWER_BYTES) {
        const message = `The floppy files of VM "${vm.name}" are larger than ${MAX_ANSWER_BYTES / 1024} KiB together`;
        throw new PhaseFailure('ClusterRefused', message);
      }
      data[file.name] = (await buffer(file.content())).toString('base64');
    }
    return data;
  });
}

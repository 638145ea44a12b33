import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Clock } from '../../../common/clock/clock.ts';
import { anySignal } from '../../../common/lifecycle/any-signal.ts';
import { ApiError, badRequest } from '../api-error.ts';
import type { UpgradeRequest } from '../http/api-server.ts';
import { isTrue } from '../http/list-query.ts';
import { fieldAt, type KubeObject } from '../objects.ts';
import type { Store } from '../store.ts';
import { isPaused, machineError, phaseOf } from './instance-state.ts';
import type { MachineAccess, MachineRef } from './machine-access.ts';
import { acceptWebSocket, joinPlain } from './web-socket.ts';

const PLAIN_PROTOCOL = 'plain.kubevirt.io';
/** The default VPC of pods. */
const DEFAULT_VPC = 'ovn-cluster';
const PING_INTERVAL_MS = 1000;
/** A port-forward whose client answers no ping for so long is closed. */
const PONG_TIMEOUT_MS = 60_000;
/** virt-api waits for the kernel's own timeout, about two minutes; waiting longer adds nothing. */
const DIAL_TIMEOUT_MS = 10_000;

/** Dependencies of the streams. */
export interface MachineStreamOptions {
  readonly store: Store;
  readonly access: MachineAccess;
  readonly clock: Clock;
}

/** Opens the stream behind a machine's subresource. Every failure is answered before the upgrade. */
export async function streamMachine(
  upgrade: UpgradeRequest,
  instance: KubeObject,
  { store, access, clock }: MachineStreamOptions,
): Promise<void> {
  const [subresource, ...rest] = upgrade.path.subresource;
  const ref: MachineRef = { namespace: instance.metadata.namespace ?? '', name: instance.metadata.name };
  if (subresource === 'vnc' && rest.length === 0) {
    assertGraphics(instance);
    const preserveSession = isTrue(upgrade.url.searchParams.get('preserveSession'));
    await join(upgrade, await access.openVnc(ref, { preserveSession }));
  } else if (subresource === 'console') {
    assertSerial(instance);
    await join(upgrade, await access.openSerial(ref));
  } else if (subresource === 'portforward') {
    const client = await join(upgrade, await dial(instance, portOf(rest[0]), store));
    void keepAlive(client, clock, upgrade.signal);
  } else throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
}

async function join(upgrade: UpgradeRequest, stream: Duplex): Promise<WebSocket> {
  const client = await acceptWebSocket(upgrade, (offered) =>
    offered.has(PLAIN_PROTOCOL) ? PLAIN_PROTOCOL : undefined,
  );
  joinPlain(client, upgrade, stream);
  return client;
}

/** A refusal unless the machine has a screen and runs. */
export function assertGraphics(instance: KubeObject): void {
  if (fieldAt(instance.spec, 'domain', 'devices', 'autoattachGraphicsDevice') === false) {
    throw badRequest('No graphics devices are present.');
  }
  if (phaseOf(instance) !== 'Running') throw badRequest('VMI is not running');
}

function assertSerial(instance: KubeObject): void {
  if (fieldAt(instance.spec, 'domain', 'devices', 'autoattachSerialConsole') === false) {
    throw badRequest('No serial consoles are present.');
  }
  if (phaseOf(instance) === 'Failed') throw machineError(instance, 'VMI is in failed status');
  if (phaseOf(instance) !== 'Running') throw badRequest('VMI is not running');
}

function portOf(text: string | undefined): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw badRequest(`"${text ?? ''}" is not a valid port`);
  return port;
}

/**
 * Connects to the machine's first address from where the server is, as virt-api does. That reaches the default
 * network only: a machine in a VPC of its own is refused, because a cluster has no route to it.
 */
async function dial(instance: KubeObject, port: number, store: Store): Promise<Duplex> {
  if (isPaused(instance)) throw machineError(instance, 'VMI is paused');
  const address = fieldAt(instance.status, 'interfaces', 0, 'ipAddress');
  if (fieldAt(instance.status, 'interfaces', 0) === undefined) throw badRequest('no network interfaces are present');
  const target = `${typeof address === 'string' ? address : ''}:${port}`;
  if (!isOnDefaultNetwork(instance, store) || typeof address !== 'string' || address === '') {
    throw dialError(target, 'connect: no route to host');
  }
  const socket = connect({ host: address, port, timeout: DIAL_TIMEOUT_MS });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', (error) => reject(dialError(target, error.message)));
    socket.once('timeout', () => {
      socket.destroy();
      reject(dialError(target, 'i/o timeout'));
    });
  });
  return socket.setTimeout(0);
}

function dialError(target: string, why: string): ApiError {
  return new ApiError(500, 'InternalError', `Internal error occurred: dialing VM: dial tcp ${target}: ${why}`);
}

function isOnDefaultNetwork(instance: KubeObject, store: Store): boolean {
  const networks = fieldAt(instance.spec, 'networks');
  const hasPodNetwork = !Array.isArray(networks) || networks.some((network) => fieldAt(network, 'pod') !== undefined);
  const subnetName = instance.metadata.annotations?.['ovn.kubernetes.io/logical_switch'];
  if (subnetName === undefined) return hasPodNetwork;
  const vpc = store.get('Subnet', { name: subnetName })?.spec?.['vpc'];
  return hasPodNetwork && (vpc ?? DEFAULT_VPC) === DEFAULT_VPC;
}

/** Pings each second, as virt-api does on port-forwards, and gives up on a client that no longer answers. */
async function keepAlive(client: WebSocket, clock: Clock, signal: AbortSignal): Promise<void> {
  const closed = new AbortController();
  client.once('close', () => closed.abort());
  const ended = anySignal(signal, closed.signal);
  let heardAt = clock.now();
  client.on('pong', () => {
    heardAt = clock.now();
  });
  while (!ended.aborted && clock.now() - heardAt < PONG_TIMEOUT_MS) {
    client.ping();
    await clock.after(PING_INTERVAL_MS, ended).catch(() => {});
  }
  client.terminate();
}

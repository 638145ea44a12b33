import type { Clock } from '../../../common/clock/clock.ts';
import { ApiError } from '../api-error.ts';
import { KUBEVIRT_VERSION } from '../bootstrap.ts';
import type { UpgradeRequest } from '../http/api-server.ts';
import type { VirtualResource } from '../http/discovery.ts';
import { type Exchange, sendBytes, sendJson } from '../http/exchange.ts';
import { keyOfPath } from '../http/resource-handler.ts';
import type { ResourcePath } from '../http/resource-path.ts';
import type { KubeObject } from '../objects.ts';
import type { Store } from '../store.ts';
import { actOnInstance, answerScreenshot } from './instance-actions.ts';
import { machineError } from './instance-state.ts';
import { type MachineAccess, requireAccess } from './machine-access.ts';
import { changeMachine, readOptions } from './machine-lifecycle.ts';
import { streamMachine } from './machine-streams.ts';

/** The group of KubeVirt's aggregated API. */
export const SUBRESOURCES_GROUP = 'subresources.kubevirt.io';

function virtual(name: string, verbs: readonly string[]): VirtualResource {
  return { group: SUBRESOURCES_GROUP, version: 'v1', name, kind: '', namespaced: true, verbs };
}

/** Discovery list of KubeVirt's subresource API. */
export const KUBEVIRT_SUBRESOURCES: readonly VirtualResource[] = [
  ...['start', 'stop', 'restart'].map((action) => virtual(`virtualmachines/${action}`, ['update'])),
  virtual('virtualmachines/portforward', ['get']),
  ...['pause', 'unpause', 'softreboot', 'reset'].map((action) =>
    virtual(`virtualmachineinstances/${action}`, ['update']),
  ),
  ...['vnc', 'vnc/screenshot', 'console', 'portforward'].map((name) =>
    virtual(`virtualmachineinstances/${name}`, ['get']),
  ),
];

const KINDS: Readonly<Record<string, string>> = {
  virtualmachines: 'VirtualMachine',
  virtualmachineinstances: 'VirtualMachineInstance',
};

/** Dependencies of the handler; without `access` no machine runs, and every request for one is a 503. */
export interface KubeVirtHandlerOptions {
  readonly store: Store;
  readonly access: MachineAccess | undefined;
  readonly clock: Clock;
}

/** KubeVirt's aggregated API `subresources.kubevirt.io/v1`: the API of virt-api. */
export class KubeVirtHandler {
  readonly #store: Store;
  readonly #access: MachineAccess | undefined;
  readonly #clock: Clock;

  constructor({ store, access, clock }: KubeVirtHandlerOptions) {
    this.#store = store;
    this.#access = access;
    this.#clock = clock;
  }

  /** Answers a request of the group; false for unknown paths. */
  async handle(exchange: Exchange, path: ResourcePath): Promise<boolean> {
    if (path.name === undefined) return answerRoot(exchange, path);
    const isPicture = path.resource === 'virtualmachineinstances' && path.subresource.join('/') === 'vnc/screenshot';
    if (exchange.method === 'GET' && isPicture) {
      await answerScreenshot(exchange, { find: () => this.#find(path), reach: () => requireAccess(this.#access) });
      return true;
    }
    const object = this.#find(path);
    const [subresource = '', second] = path.subresource;
    if (exchange.method !== 'PUT' || second !== undefined) return false;
    if (object.kind === 'VirtualMachineInstance') {
      return await actOnInstance(exchange, object, { action: subresource, access: requireAccess(this.#access) });
    }
    const body = await readOptions(exchange.request);
    const isKnown = await changeMachine(subresource, { store: this.#store, machine: this.#find(path), body });
    if (isKnown) exchange.response.writeHead(202, { 'Content-Length': 0 }).end();
    return isKnown;
  }

  /** Opens VNC, the serial console, or a forwarded port. */
  async upgrade(upgrade: UpgradeRequest): Promise<void> {
    const object = this.#find(upgrade.path);
    const options = { store: this.#store, access: requireAccess(this.#access), clock: this.#clock };
    await streamMachine(upgrade, this.#instanceOf(object, upgrade.path), options);
  }

  #instanceOf(object: KubeObject, path: ResourcePath): KubeObject {
    if (object.kind === 'VirtualMachineInstance') return object;
    if (path.subresource[0] !== 'portforward') {
      throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    }
    const instance = this.#store.get('VirtualMachineInstance', keyOfPath(path));
    if (object.status?.['created'] !== true || !instance) throw machineError(object, 'VMI is not started');
    return instance;
  }

  /** @throws ApiError 404 in virt-api's words, with the singular name */
  #find(path: ResourcePath): KubeObject {
    const kind = KINDS[path.resource];
    if (!kind) throw new ApiError(404, 'NotFound', 'the server could not find the requested resource');
    const object = this.#store.get(kind, keyOfPath(path));
    if (object) return object;
    const name = path.name ?? '';
    const singular = kind.toLowerCase();
    throw new ApiError(404, 'NotFound', `${singular}.kubevirt.io "${name}" not found`, {
      name,
      group: 'kubevirt.io',
      kind: singular,
    });
  }
}

function answerRoot(exchange: Exchange, path: ResourcePath): boolean {
  if (exchange.method !== 'GET') return false;
  if (path.resource === 'version') {
    sendJson(exchange.response, 200, { gitVersion: KUBEVIRT_VERSION, gitTreeState: 'clean', platform: 'linux/amd64' });
    return true;
  }
  if (path.resource !== 'healthz') return false;
  sendBytes(exchange.response, 'text/plain', 'ok');
  return true;
}

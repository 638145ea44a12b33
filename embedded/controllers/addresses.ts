import { hash } from 'node:crypto';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { KubeObject } from '../api/objects.ts';
import { isWithin, nextFreeAddress } from '../network/addresses.ts';
import type { ControllerContext } from './context.ts';
import type { Networks, SubnetSettings } from './networks.ts';
import { NODE_NAME } from './vmi-status.ts';

/** Owner of an address. */
export interface AddressRequest {
  readonly namespace: string;
  /** The VM's (or VMI's, or pod's) name: addresses belong to it as long as it exists. */
  readonly owner: string;
  readonly ownerType: 'VirtualMachine' | 'Pod';
  readonly subnet: SubnetSettings;
  readonly provider: string;
  readonly requestedIp: string | undefined;
  readonly requestedMac: string | undefined;
}

export interface Address {
  readonly ip: string;
  readonly mac: string;
}

/**
 * The address of a card, from its IP object, which is made on first use and kept over restarts of the machine.
 * @throws FarmError `ExceedsLimits` when the requested address is taken or outside, or none is left
 */
export async function ensureAddress(
  { store }: ControllerContext,
  networks: Networks,
  request: AddressRequest,
): Promise<Address> {
  const { namespace, owner, subnet, provider, requestedIp, requestedMac } = request;
  const name = `${owner}.${namespace}${provider === 'ovn' ? '' : `.${provider}`}`;
  const known = store.get('IP', { name });
  if (known && (requestedIp === undefined || known.spec?.['v4IpAddress'] === requestedIp)) {
    const mac = String(known.spec?.['macAddress']);
    if (requestedMac === undefined || requestedMac.toLowerCase() === mac) {
      return { ip: String(known.spec?.['v4IpAddress']), mac };
    }
  }
  if (known) await store.delete('IP', { name });
  const used = new Set(networks.addressesIn(subnet.name).map(({ spec }) => String(spec?.['v4IpAddress'])));
  const ip = requestedIp ?? nextFreeAddress({ cidr: subnet.cidr, excluded: subnet.excluded, used });
  if (ip === undefined) throw new FarmError('ExceedsLimits', `Subnet "${subnet.name}" has no free address`);
  if (!isWithin(subnet.cidr, ip)) throw new FarmError('ExceedsLimits', `${ip} is outside subnet "${subnet.name}"`);
  if (used.has(ip)) throw new FarmError('ExceedsLimits', `${ip} in subnet "${subnet.name}" is taken`);
  const address = { ip, mac: (requestedMac ?? generatedMac(name)).toLowerCase() };
  await store.create(addressObject(name, request, address));
  return address;
}

/** Always the same for the same card, so that a guest that remembers its card finds it again. */
export function generatedMac(name: string): string {
  const digits = hash('sha256', name).slice(0, 10);
  return `02:${digits.match(/../g)?.join(':') ?? ''}`;
}

function addressObject(name: string, request: AddressRequest, { ip, mac }: Address): KubeObject {
  const { namespace, owner, ownerType, subnet } = request;
  return {
    apiVersion: 'kubeovn.io/v1',
    kind: 'IP',
    metadata: { name, labels: { 'ovn.kubernetes.io/subnet': subnet.name } },
    spec: {
      podName: owner,
      namespace,
      subnet: subnet.name,
      nodeName: NODE_NAME,
      ipAddress: ip,
      v4IpAddress: ip,
      v6IpAddress: '',
      macAddress: mac,
      attachIps: [],
      attachMacs: [],
      attachSubnets: [],
      containerID: '',
      podType: ownerType === 'VirtualMachine' ? 'VirtualMachine' : '',
    },
  };
}

const OWNER_KINDS = ['VirtualMachine', 'VirtualMachineInstance', 'Pod'];
/** KubeOVN's `gc-interval`. */
const COLLECTION_MS = 360_000;

/**
 * Frees the addresses of a pod when it goes, as KubeOVN does: unless it is the pod of a machine whose VM or VMI lives on
 * at that moment. Addresses that were kept then, and lose their owner later, go at the start of the server or by the second of two
 * collections that find it so.
 */
export function startAddressCollector(context: ControllerContext): void {
  const { store, signal } = context;
  store.subscribe(['Pod'], ({ type, object }) => (type === 'DELETED' ? freeOf(context, object) : undefined), signal);
  free(context, unowned(context));
  collectAgain(context, []).catch(() => undefined);
}

function freeOf(context: ControllerContext, { metadata }: KubeObject): void {
  const machine = metadata.ownerReferences?.find(({ kind }) => kind === 'VirtualMachineInstance')?.name;
  const name = machine ?? metadata.name;
  const owner = { namespace: metadata.namespace ?? '', name };
  if (machine !== undefined && isAlive(context, owner)) return;
  const isOfPod = ({ spec }: KubeObject) => spec?.['namespace'] === owner.namespace && spec['podName'] === name;
  free(context, context.store.list('IP').filter(isOfPod));
}

/** Objects that are being deleted have released their addresses. */
function isAlive({ store }: ControllerContext, owner: { readonly namespace: string; readonly name: string }): boolean {
  return OWNER_KINDS.some((kind) => {
    const found = store.get(kind, owner);
    return found !== undefined && found.metadata.deletionTimestamp === undefined;
  });
}

function unowned(context: ControllerContext): KubeObject[] {
  const ownerOf = ({ spec }: KubeObject) => ({
    namespace: String(spec?.['namespace']),
    name: String(spec?.['podName']),
  });
  return context.store
    .list('IP')
    .filter((address) => OWNER_KINDS.every((kind) => context.store.get(kind, ownerOf(address)) === undefined));
}

function free({ store, logger }: ControllerContext, addresses: readonly KubeObject[]): void {
  for (const { metadata } of addresses) {
    store
      .delete('IP', { name: metadata.name })
      .catch((error: unknown) => logger.debug({ err: error }, 'An address had gone before'));
  }
}

async function collectAgain(context: ControllerContext, before: readonly string[]): Promise<void> {
  await context.clock.after(COLLECTION_MS, context.signal);
  const found = unowned(context);
  free(
    context,
    found.filter(({ metadata }) => before.includes(metadata.name)),
  );
  await collectAgain(
    context,
    found.map(({ metadata }) => metadata.name),
  );
}

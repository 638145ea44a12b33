import { itemsOf } from '../json-lists.ts';
import { fieldAt, type JsonObject } from '../objects.ts';
import type { Causes } from './causes.ts';

const BINDINGS = ['bridge', 'masquerade', 'sriov', 'passtBinding', 'binding'];
const REMOVED_BINDINGS = ['slirp', 'macvtap', 'passt'];
const MODELS = ['e1000', 'e1000e', 'igb', 'ne2k_pci', 'pcnet', 'rtl8139', 'virtio'];
const MAC = /^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$/;
const PCI_ADDRESS = /^[\da-fA-F]{4}:[\da-fA-F]{2}:[01][\da-fA-F]\.[0-7]$/;
const STATES = ['up', 'down', 'absent'];

/** Checks `networks` and `domain.devices.interfaces` of an instance spec. */
export function checkNetworks(spec: JsonObject, field: string, causes: Causes): void {
  const networks = itemsOf(spec, 'networks');
  const interfaces = itemsOf(spec, 'domain', 'devices', 'interfaces');
  checkNetworkList(networks, `${field}.networks`, causes);
  const names = new Set<unknown>();
  for (const [index, nic] of interfaces.entries()) {
    const at = `${field}.domain.devices.interfaces[${index}]`;
    const network = networks.find((candidate) => candidate['name'] === nic['name']);
    if (names.has(nic['name'])) causes.add(`${at}.name`, 'Only one interface can be connected to one specific network');
    names.add(nic['name']);
    if (!network) causes.add(`${at}.name`, `${at}.name '${String(nic['name'])}' not found.`);
    checkBinding(nic, { at, network }, causes);
    checkNic(nic, at, causes);
  }
  for (const [index, network] of networks.entries()) {
    const at = `${field}.networks[${index}].name`;
    if (!names.has(network['name'])) causes.require(at, `${at} '${String(network['name'])}' not found.`);
  }
}

function checkNetworkList(networks: readonly JsonObject[], field: string, causes: Causes): void {
  for (const [index, network] of networks.entries()) {
    const sources = ['pod', 'multus', 'resourceClaim'].filter((source) => network[source] !== undefined);
    if (sources.length !== 1) causes.add(`${field}[${index}]`, 'should only have one network type');
    if (network['multus'] !== undefined && !fieldAt(network, 'multus', 'networkName')) {
      causes.require(`${field}[${index}]`, 'CNI delegating plugin must have a networkName');
    }
  }
  const podNetworks = networks.filter((network) => network['pod'] !== undefined);
  const defaults = networks.filter((network) => fieldAt(network, 'multus', 'default') === true);
  if (podNetworks.length > 1) causes.add(field, 'more than one interface is connected to a pod network');
  if (podNetworks.length > 0 && defaults.length > 0)
    causes.add(field, 'Pod network cannot be defined when Multus default network is defined');
  if (defaults.length > 1) causes.add(field, 'Multus CNI should only have one default network');
}

function checkBinding(
  nic: JsonObject,
  { at, network }: { at: string; network: JsonObject | undefined },
  causes: Causes,
): void {
  const removed = REMOVED_BINDINGS.find((binding) => nic[binding] !== undefined);
  if (removed)
    causes.add(`${at}.${removed}`, `${removed} interface has been deprecated since v1.3 and is no longer supported`);
  const bindings = BINDINGS.filter((binding) => nic[binding] !== undefined);
  if (bindings.length !== 1 && !removed) causes.add(at, `${at} must have exactly one binding method`);
  if (nic['masquerade'] !== undefined && network && network['pod'] === undefined) {
    causes.add(`${at}.name`, 'Masquerade interface only implemented with pod network');
  }
  if (nic['sriov'] !== undefined && network?.['multus'] === undefined)
    causes.add(`${at}.name`, 'SR-IOV interface only implemented with Multus network');
}

function checkNic(nic: JsonObject, at: string, causes: Causes): void {
  const { model, macAddress, pciAddress, state } = nic;
  if (model !== undefined && model !== '' && !MODELS.includes(String(model))) {
    causes.add(`${at}.model`, `interface ${at}.name uses model ${String(model)} that is not supported.`);
  }
  if (typeof macAddress === 'string' && macAddress !== '' && !MAC.test(macAddress)) {
    causes.add(`${at}.macAddress`, `interface ${at}.name has malformed MAC address (${macAddress}).`);
  }
  if (typeof pciAddress === 'string' && pciAddress !== '' && !PCI_ADDRESS.test(pciAddress)) {
    causes.add(`${at}.pciAddress`, `interface ${at}.name has malformed PCI address (${pciAddress}).`);
  }
  if (state !== undefined && state !== '' && !STATES.includes(String(state))) {
    causes.add(`${at}.state`, `logical ${at}.name interface state value is unsupported: ${String(state)}`);
  } else if (state === 'absent' && nic['bridge'] === undefined) {
    causes.add(`${at}.state`, `interface ${at}.name's state "absent" is supported only for bridge binding`);
  }
}

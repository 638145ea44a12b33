import { FarmError } from '../../common/errors/farm-error.ts';
import type { MachineSpec, NicModel, NicSpec } from './machine-spec.ts';

const FUNCTIONS_PER_SLOT = 8;
/** So many slots of the root complex are full of root ports at most. */
const PORT_SLOTS = 2;
const MAX_PORTS = PORT_SLOTS * FUNCTIONS_PER_SLOT;
/** Slots begin with the one after the graphics card, which has the first. */
const SLOTS = Array.from({ length: 29 }, (_, index) => index + 2);
/** These are not PCI Express cards and do not fit a root port. */
const CONVENTIONAL: readonly NicModel[] = ['e1000', 'rtl8139', 'pcnet', 'ne2k_pci'];
/** Behind the bridge to conventional PCI, which keeps slot 0 for itself. */
const FIRST_BRIDGED_SLOT = 1;

interface PciAddress {
  readonly bus: number;
  readonly slot: number;
  readonly fn: number;
}

/** Where devices are that are not simply in the next free slot. */
export interface PciLayout {
  /** Root ports, whose buses the firmware numbers from 1 up, and the bridge. */
  readonly arguments: string[];
  readonly placeOf: (nic: NicSpec) => string;
}

/** Reads KubeVirt's `0000:XX:YY.Z`. */
function parse(address: string): PciAddress {
  const match = /^[0-9a-f]{4}:([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(address);
  if (!match) throw new FarmError('ExceedsLimits', `"${address}" is not a PCI address such as 0000:01:00.0`);
  const [bus = 0, slot = 0, fn = 0] = match.slice(1).map((part) => Number.parseInt(part, 16));
  return { bus, slot, fn };
}

/**
 * As libvirt arranges the machines of KubeVirt: a card with an address is there; the others are behind root ports, so after all of
 * the root complex in the order of PCI addresses. Conventional cards come first of these, on one bridge, which takes two buses.
 */
export function layOut({ drives, nics }: Pick<MachineSpec, 'drives' | 'nics'>): PciLayout {
  const asked = [...drives, ...nics].flatMap(({ pciAddress }) => (pciAddress === undefined ? [] : [parse(pciAddress)]));
  const free = nics.filter(({ pciAddress }) => pciAddress === undefined);
  const bridged = free.filter(({ model }) => CONVENTIONAL.includes(model));
  const ported = free.filter(({ model }) => !CONVENTIONAL.includes(model));
  const bridge = Math.max(0, ...asked.map(({ bus }) => bus)) + 1;
  const firstPort = bridged.length > 0 ? bridge + 1 : bridge;
  const places = new Map([
    ...bridged.map(
      (nic, index) => [nic.name, `,bus=bridge,addr=${(index + FIRST_BRIDGED_SLOT).toString(16)}.0`] as const,
    ),
    ...ported.map((nic, index) => [nic.name, `,bus=pci.${firstPort + index}`] as const),
  ]);
  const ports = firstPort + ported.length - 1;
  return {
    arguments: [
      ...rootPorts(ports, asked),
      ...(bridged.length > 0 ? ['-device', `pcie-pci-bridge,id=bridge,bus=pci.${bridge}`] : []),
    ],
    placeOf: ({ name, pciAddress }) => places.get(name) ?? devicePlace(pciAddress),
  };
}

function rootPorts(count: number, asked: readonly PciAddress[]): string[] {
  if (count > MAX_PORTS)
    throw new FarmError('ExceedsLimits', `PCI bus ${count} is not offered; the highest is ${MAX_PORTS}`);
  const taken = new Set(asked.flatMap(({ bus, slot }) => (bus === 0 ? [slot] : [])));
  const slots = SLOTS.filter((slot) => !taken.has(slot));
  return Array.from({ length: count }, (_, index) => {
    const slot = slots[Math.floor(index / FUNCTIONS_PER_SLOT)] ?? 0;
    const place = `addr=${slot.toString(16)}.${index % FUNCTIONS_PER_SLOT},multifunction=on`;
    return ['-device', `pcie-root-port,id=pci.${index + 1},chassis=${index + 1},bus=pcie.0,${place}`];
  }).flat();
}

/** Where a device goes; empty without an address, then QEMU takes the next free slot. */
export function devicePlace(address: string | undefined): string {
  if (address === undefined) return '';
  const { bus, slot, fn } = parse(address);
  return `,bus=${bus === 0 ? 'pcie.0' : `pci.${bus}`},addr=${slot.toString(16)}.${fn}`;
}

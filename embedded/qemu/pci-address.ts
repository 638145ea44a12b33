import { FarmError } from '../../common/errors/farm-error.ts';

/** Root ports stand at the functions of these slots of the root complex, so that buses are numbered from 1 upwards. */
const PORT_SLOTS = [0x1c, 0x1d];
const FUNCTIONS_PER_SLOT = 8;

interface PciAddress {
  readonly bus: number;
  readonly slot: number;
  readonly fn: number;
}

/** Reads KubeVirt's `0000:XX:YY.Z`. */
function parse(address: string): PciAddress {
  const match = /^[0-9a-f]{4}:([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i.exec(address);
  if (!match) throw new FarmError('ExceedsLimits', `"${address}" is not a PCI address such as 0000:01:00.0`);
  const [bus = 0, slot = 0, fn = 0] = match.slice(1).map((part) => Number.parseInt(part, 16));
  return { bus, slot, fn };
}

/** The highest bus number among the addresses; buses above 0 need a root port each. */
export function highestBus(addresses: readonly (string | undefined)[]): number {
  return Math.max(0, ...addresses.map((address) => (address === undefined ? 0 : parse(address).bus)));
}

/** Root ports whose secondary buses the firmware numbers 1 to `count`. */
export function rootPortArguments(count: number): string[] {
  if (count > PORT_SLOTS.length * FUNCTIONS_PER_SLOT) {
    throw new FarmError('ExceedsLimits', `PCI bus ${count} is not offered; the highest is 16`);
  }
  return Array.from({ length: count }, (_, index) => {
    const slot = PORT_SLOTS[Math.floor(index / FUNCTIONS_PER_SLOT)] ?? 0;
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

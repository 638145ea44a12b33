import { itemsOf } from '../json-lists.ts';
import { fieldAt, isJsonObject, type JsonObject } from '../objects.ts';
import type { Causes } from './causes.ts';

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const SERIAL = /^[A-Za-z0-9_.+-]+$/;
const TARGETS = ['disk', 'lun', 'cdrom'];
const BUSES = ['virtio', 'sata', 'scsi', 'usb'];
const CACHES = ['none', 'writethrough', 'writeback'];
const IO_MODES = ['native', 'threads'];
const ERROR_POLICIES = ['stop', 'ignore', 'report', 'enospace'];
const MAX_SERIAL_LENGTH = 256;

/** Checks `domain.devices.disks` of an instance spec. */
export function checkDisks(spec: JsonObject, field: string, causes: Causes): void {
  const volumes = new Set(itemsOf(spec, 'volumes').map((volume) => volume['name']));
  const names = new Set<unknown>();
  for (const [index, disk] of itemsOf(spec, 'domain', 'devices', 'disks').entries()) {
    const at = `${field}.domain.devices.disks[${index}]`;
    const { name } = disk;
    if (names.has(name)) causes.add(`${at}.name`, `${at} and another disk must not have the same Name.`);
    names.add(name);
    if (typeof name !== 'string' || !DNS_LABEL.test(name)) {
      causes.add(`${at}.name`, `${at}.name must be a lowercase RFC 1123 label`);
    } else if (!volumes.has(name) && disk['cdrom'] === undefined) {
      causes.add(`${at}.name`, `${at}.Name '${name}' not found.`);
    }
    checkTarget(disk, at, causes);
    checkOptions(disk, at, causes);
  }
}

function checkTarget(disk: JsonObject, at: string, causes: Causes): void {
  const targets = TARGETS.filter((target) => disk[target] !== undefined);
  if (targets.length > 1) causes.add(at, `${at} can only have a single target type defined`);
  const [target = 'disk'] = targets;
  const device = isJsonObject(disk[target]) ? disk[target] : {};
  const { bus, readonly, pciAddress } = device;
  const field = `${at}.${target}.bus`;
  if (bus === 'ide') causes.add(field, 'IDE bus is not supported');
  else if (bus !== undefined && bus !== '' && !BUSES.includes(String(bus))) {
    causes.add(field, `${field} is set with an unrecognized bus ${String(bus)}, must be one of: ${BUSES.join(', ')}`);
  }
  if (target === 'cdrom' && bus === 'virtio') causes.add(field, `Bus type ${bus} is invalid for CD-ROM device`);
  if (target === 'disk' && bus === 'sata' && readonly === true) causes.add(field, `${bus} disks cannot be readonly`);
  if (pciAddress !== undefined && pciAddress !== '' && bus !== undefined && bus !== 'virtio') {
    causes.add(
      `${at}.${target}.pciAddress`,
      `disk ${String(disk['name'])} - setting a PCI address is only possible with bus type virtio.`,
    );
  }
}

function checkOptions(disk: JsonObject, at: string, causes: Causes): void {
  const { serial, cache, io, errorPolicy } = disk;
  if (typeof serial === 'string' && serial !== '') {
    if (serial.length > MAX_SERIAL_LENGTH) {
      causes.add(
        `${at}.serial`,
        `${at}.serial must be less than or equal to ${MAX_SERIAL_LENGTH} in length, if specified`,
      );
    }
    if (!SERIAL.test(serial))
      causes.add(`${at}.serial`, `${at}.serial must be made up of the characters [A-Za-z0-9_.+-], if specified`);
  }
  for (const [option, value, known] of [
    ['cache', cache, CACHES],
    ['io', io, IO_MODES],
    ['errorPolicy', errorPolicy, ERROR_POLICIES],
  ] as const) {
    if (value !== undefined && value !== '' && !known.some((name) => name === value)) {
      causes.add(`${at}.${option}`, `${at}.${option} has invalid value ${String(value)}`);
    }
  }
  const custom = fieldAt(disk, 'blockSize', 'custom');
  if (custom !== undefined && fieldAt(disk, 'blockSize', 'matchVolume', 'enabled') === true) {
    causes.add(`${at}.blockSize`, "Block size matching can't be enabled together with a custom value");
  }
}

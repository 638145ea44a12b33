import { itemsOf } from '../json-lists.ts';
import { fieldAt, isJsonObject, type JsonObject } from '../objects.ts';
import type { Causes } from './causes.ts';
import { checkHypervFeatures } from './hyperv.ts';
import { checkDisks } from './instance-disks.ts';
import { checkNetworks } from './instance-networks.ts';
import { checkVolumes } from './instance-volumes.ts';

const MACHINE_TYPES = ['q35*', 'pc-q35*'];
const EVICTION_STRATEGIES = ['None', 'LiveMigrate', 'LiveMigrateIfPossible', 'External'];

/**
 * Checks a VirtualMachineInstance spec as virt-api does (KubeVirt v1.9): a spec that a cluster refuses must be refused
 * here. `field` is the path of the spec in its object.
 */
export function checkInstanceSpec(spec: JsonObject, field: string, causes: Causes): void {
  checkMemory(spec, field, causes);
  checkMachine(spec, field, causes);
  checkFirmware(spec, field, causes);
  checkDisks(spec, field, causes);
  checkVolumes(spec, field, causes);
  checkNetworks(spec, field, causes);
  checkBootOrders(spec, field, causes);
  checkInputs(spec, field, causes);
  checkHypervFeatures(spec, field, causes);
  const { startStrategy, evictionStrategy } = spec;
  if (startStrategy !== undefined && startStrategy !== 'Paused') {
    causes.add(
      `${field}.startStrategy`,
      `${field}.startStrategy is set with an unrecognized option: ${String(startStrategy)}`,
    );
  }
  if (evictionStrategy !== undefined && !EVICTION_STRATEGIES.includes(String(evictionStrategy))) {
    causes.add(
      `${field}.evictionStrategy`,
      `${field}.evictionStrategy is set with an unrecognized option: ${String(evictionStrategy)}`,
    );
  }
}

function checkMemory(spec: JsonObject, field: string, causes: Causes): void {
  const { domain } = spec;
  const given = [
    fieldAt(domain, 'memory', 'guest'),
    fieldAt(domain, 'memory', 'hugepages'),
    fieldAt(domain, 'resources', 'requests', 'memory'),
    fieldAt(domain, 'resources', 'limits', 'memory'),
  ];
  if (given.every((value) => value === undefined)) {
    causes.require(
      `${field}.domain.memory`,
      'no memory requested, at least one of memory guest size, memory request or memory limit must be set',
    );
  }
}

function checkMachine(spec: JsonObject, field: string, causes: Causes): void {
  const type = fieldAt(spec, 'domain', 'machine', 'type');
  if (typeof type !== 'string' || type === '') return;
  if (!MACHINE_TYPES.some((glob) => type.startsWith(glob.slice(0, -1)))) {
    causes.add(
      `${field}.domain.machine.type`,
      `${field}.domain.machine.type is not supported: ${type} (allowed values: [${MACHINE_TYPES.join(' ')}])`,
    );
  }
}

function checkFirmware(spec: JsonObject, field: string, causes: Causes): void {
  const bootloader = fieldAt(spec, 'domain', 'firmware', 'bootloader');
  const efi = fieldAt(bootloader, 'efi');
  if (efi !== undefined && fieldAt(bootloader, 'bios') !== undefined) {
    causes.add(
      `${field}.domain.firmware.bootloader.efi`,
      `${field}.domain.firmware.bootloader has both EFI and BIOS configured, but they are mutually exclusive.`,
    );
  }
  if (!isJsonObject(efi) || efi['secureBoot'] === false) return;
  const smm = fieldAt(spec, 'domain', 'features', 'smm');
  if (!isJsonObject(smm) || smm['enabled'] === false) {
    causes.add(
      `${field}.domain.firmware.bootloader.efi.secureBoot`,
      `${field}.domain.firmware.bootloader.efi.secureBoot has EFI SecureBoot enabled. SecureBoot requires SMM, which is currently disabled.`,
    );
  }
}

/** Boot orders begin at 1 and are unique over disks and interfaces together. */
function checkBootOrders(spec: JsonObject, field: string, causes: Causes): void {
  const seen = new Set<unknown>();
  for (const list of ['disks', 'interfaces']) {
    const devices = fieldAt(spec, 'domain', 'devices', list);
    for (const [index, device] of (Array.isArray(devices) ? devices : []).entries()) {
      const order = fieldAt(device, 'bootOrder');
      if (order === undefined) continue;
      const at = `${field}.domain.devices.${list}[${index}].bootOrder`;
      if (typeof order === 'number' && order < 1) causes.add(at, `${at} must have a boot order > 0, if supplied`);
      else if (seen.has(order)) causes.add(at, `Boot order for ${at} already set for a different device.`);
      seen.add(order);
    }
  }
}

function checkInputs(spec: JsonObject, field: string, causes: Causes): void {
  for (const [index, { type, bus }] of itemsOf(spec, 'domain', 'devices', 'inputs').entries()) {
    const at = `${field}.domain.devices.inputs[${index}]`;
    if (type !== 'tablet') causes.add(`${at}.type`, `Input device can have only tablet type, not "${String(type)}"`);
    if (bus !== undefined && bus !== '' && bus !== 'virtio' && bus !== 'usb') {
      causes.add(`${at}.bus`, 'Input device can have only virtio or usb bus.');
    }
  }
}

import { expect, test } from 'vitest';
import { startRefusal } from './start-machine.ts';

const LIBVIRT =
  `server error. command SyncVMI failed: "LibvirtError(Code=1, Domain=10, Message='internal error: process exited while connecting to monitor: ` +
  `2026-11-29T01:02:03Z qemu-kvm: unable to find CPU model 'no-such'')"`;

test.each([
  ['KubeVirt, with the words of QEMU', 'Synchronizing with the Domain failed.', LIBVIRT, LIBVIRT],
  ['the embedded cluster', 'FailedCreate', 'QEMU: unable to find CPU model', 'QEMU: unable to find CPU model'],
  ['a lock that is given back', 'FailedCreate', 'QEMU: Failed to get "write" lock', undefined],
  ['a volume that is still attached', 'FailedCreate', 'PVC "a" is attached to another machine', undefined],
  ['a claim that is missing', 'FailedPvcNotFound', 'PVC default/a does not exist', undefined],
])('takes the word of %s', (_name, reason, message, expected) => {
  const condition = { type: 'Synchronized', status: 'False', reason, message };
  expect(startRefusal({ spec: {}, status: { phase: 'Scheduled', conditions: [condition] } } as never)).toBe(expected);
  expect(
    startRefusal({ spec: {}, status: { conditions: [{ ...condition, status: 'True' }] } } as never),
  ).toBeUndefined();
});

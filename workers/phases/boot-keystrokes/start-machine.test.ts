import { expect, test } from 'vitest';
import { startRefusal } from './start-machine.ts';

const LIBVIRT =
  `server error. command SyncVMI failed: "LibvirtError(Code=1, Domain=10, Message='internal error: process exited while connecting to monitor: ` +
  `2026-11-29T01:02:03Z qemu-kvm: unable to find CPU model 'no-such'')"`;
/** What libvirt has of a QEMU that ended without a word (`qemuProcessReportLogError`). */
const KILLED = "LibvirtError(Code=1, Domain=10, Message='internal error: process exited while connecting to monitor')";

test.each([
  ['KubeVirt, with the words of QEMU', 'Synchronizing with the Domain failed.', LIBVIRT, LIBVIRT],
  ['the embedded cluster', 'FailedCreate', 'QEMU: unable to find CPU model', 'QEMU: unable to find CPU model'],
  ['a lock that is given back', 'FailedCreate', 'QEMU: Failed to get "write" lock', undefined],
  ['KubeVirt, when QEMU was killed', 'Synchronizing with the Domain failed.', KILLED, undefined],
  ['a QEMU that was asked to end', 'FailedCreate', 'QEMU: qemu-kvm: terminating on signal 15 from pid 1', undefined],
  [
    'a QEMU whose TPM was killed',
    'FailedCreate',
    `QEMU: qemu-system-x86_64: -chardev socket,id=tpm0,path=/r/tpm.sock: Failed to connect`,
    undefined,
  ],
  ['a volume that is still attached', 'FailedCreate', 'PVC "a" is attached to another machine', undefined],
  ['a claim that is missing', 'FailedPvcNotFound', 'PVC default/a does not exist', undefined],
])('takes the word of %s', (_name, reason, message, expected) => {
  const condition = { type: 'Synchronized', status: 'False', reason, message };
  expect(startRefusal({ spec: {}, status: { phase: 'Scheduled', conditions: [condition] } } as never)).toBe(expected);
  expect(
    startRefusal({ spec: {}, status: { conditions: [{ ...condition, status: 'True' }] } } as never),
  ).toBeUndefined();
});

import { expect, test } from 'vitest';
import { FarmError } from '../../common/errors/farm-error.ts';
import { describeAttemptError } from './attempts.ts';
import { type GuestSigns, likelyCauses } from './likely-causes.ts';

const SIGNS: GuestSigns = {
  ...{ reason: 'GuestNeverAnswered', cause: undefined, serialTail: ['Linux version 6.1', 'ready'] },
  ...{ host: '10.0.2.2', port: 22, username: 'root', nicModel: 'virtio', hasCloudInit: true },
};
const lost = (message: string, level?: string) =>
  new FarmError('ConnectionLost', message, { details: level === undefined ? {} : { level } });

test.each([
  [
    'Reaching 10.0.2.2:22: connect EHOSTUNREACH 10.0.2.2:22',
    undefined,
    'no route to host',
    /address 10\.0\.2\.2.*DHCP/,
  ],
  [
    'Reaching 10.0.2.2:22: connect ECONNREFUSED 10.0.2.2:22',
    undefined,
    'connection refused',
    /nothing listens at port 22/,
  ],
  ['Reaching 10.0.2.2:22: no answer within 10000 ms', undefined, 'no answer', /firewall/],
  ['SSH: All configured authentication methods failed', 'client-authentication', 'login refused', /login of "root"/],
  ['SSH: Timed out while waiting for handshake', 'client-timeout', 'no login in time', /overloaded.*`sshTimeout`/],
  ['SSH: Connection lost before handshake', 'client-socket', 'connection closed before the login', /host keys/],
])('%s reports what was there, and what was missing', (message, level, words, cause) => {
  const error = lost(message, level);
  expect(describeAttemptError(error)).toBe(words);
  expect(likelyCauses({ ...SIGNS, cause: error }).join('\n')).toMatch(cause);
});

test('takes a try that ran out of time for silence', () => {
  expect(describeAttemptError(AbortSignal.abort(new DOMException('late', 'TimeoutError')).reason)).toBe('no answer');
});

test('names the card of a guest without an address, and the other driver', () => {
  const cause = lost('connect EHOSTUNREACH');
  expect(likelyCauses({ ...SIGNS, cause, nicModel: 'e1000' })[1]).toContain('`model: virtio`');
  expect(likelyCauses({ ...SIGNS, cause })[1]).toContain('`e1000e`');
});

test.each([
  ['[    3.1] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)', /panicked/],
  ['You are in emergency mode. After logging in, type "journalctl -xb"', /fstab/],
  ['Give root password for maintenance', /fstab/],
  ['Gave up waiting for root file system device.', /initramfs/],
  ['No bootable device.', /efiFirmware/],
  ['BdsDxe: failed to load Boot0001 "UEFI QEMU HARDDISK": Not Found', /efiFirmware/],
  ['grub rescue> ', /GRUB/],
])('"%s" on the serial port comes first', (line, means) => {
  const causes = likelyCauses({ ...SIGNS, cause: lost('connect EHOSTUNREACH'), serialTail: ['before', line] });
  expect(causes[0]).toMatch(means);
  expect(causes.join()).toContain('DHCP');
});

test('distinguishes a booted guest from one without output', () => {
  expect(likelyCauses({ ...SIGNS, serialTail: ['', 'Debian GNU/Linux 13 vm ttyS0'] }).at(-1)).toMatch(/login prompt/);
  expect(likelyCauses({ ...SIGNS, serialTail: [] }).at(-1)).toMatch(/not come past its firmware/);
  // What refuses a connection has come further than its firmware.
  const refused = { ...SIGNS, cause: lost('connect ECONNREFUSED') };
  expect(likelyCauses({ ...refused, serialTail: [] }).at(-1)).toMatch(/network is up.*no `console=ttyS0`/);
  expect(likelyCauses(refused).at(-1)).toMatch(/still be booting.*sshTimeout/);
  // A cluster that keeps no such log reports nothing of the guest.
  expect(likelyCauses({ ...SIGNS, serialTail: undefined })).toEqual([]);
});

test('explains a crash by the serial port only, and leaves what is not a failure of the guest alone', () => {
  const serialTail = ['Kernel panic - not syncing: Attempted to kill init!'];
  expect(likelyCauses({ ...SIGNS, reason: 'GuestCrashed', serialTail })).toHaveLength(1);
  expect(likelyCauses({ ...SIGNS, reason: 'StepFailed', serialTail })).toEqual([]);
});

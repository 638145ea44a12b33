import type { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterClient } from '../../../common/kubernetes/cluster-client.ts';
import { openSubresourceStream } from '../../../common/kubernetes/subresource-stream.ts';
import { generateKeyPair } from '../../../common/ssh/key-pair.ts';
import { layoutOf, runDirOf } from '../../../embedded/host/layout.ts';
import { findProcesses } from '../../../embedded/host/processes.ts';
import { type ServedFile, serveFile } from '../../harness/file-server.ts';
import { guestImages } from '../../harness/guest-images.ts';
import { runInGuest, streamClient } from './guest-login.ts';
import { Laboratory, type Seen } from './laboratory.ts';
import { createLan } from './lan.ts';
import { dataVolume, FORWARDER, machine, scriptPod } from './manifests.ts';

/** Under emulation the firmware takes its time to check a kernel. */
const BOOT_MS = 240_000;
const SECURE = {
  memory: { guest: '512Mi' },
  features: { acpi: {}, smm: { enabled: true } },
  firmware: { bootloader: { efi: { secureBoot: true } } },
};
/** TPM2_NV_ReadPublic of 0x01c00002, where a TPM keeps the certificate of its RSA endorsement key. */
const READ_CERTIFICATE = String.raw`\x80\x01\x00\x00\x00\x0e\x00\x00\x01\x69\x01\xc0\x00\x02`;

const key = generateKeyPair('conformance');
let laboratory: Laboratory;
let client: ClusterClient;
let signed: ServedFile;
let unsigned: ServedFile;

beforeAll(async () => {
  const images = await guestImages();
  [signed, unsigned] = await Promise.all([serveFile(images.signedImage), serveFile(images.cloudImage)]);
  laboratory = await Laboratory.open({ podCommands: { forwarder: FORWARDER } });
  client = streamClient(laboratory.cluster.kubeconfig);
  await createLan(laboratory, '10.89.0.0/24', key.publicKey);
  const args = ['2210', '10.89.0.10', '22'];
  await laboratory.create('Pod', scriptPod('door', { network: 'lan', ip: '10.89.0.2', image: 'forwarder', args }));
  await laboratory.create('VirtualMachine', withStick(secureMachine('guarded', signed, 10)));
  await laboratory.act('virtualmachines/guarded/start');
}, 120_000);

afterAll(async () => {
  await laboratory?.close();
  await Promise.all([signed?.stop(), unsigned?.stop()]);
});

type Machine = ReturnType<typeof machine>;

/** A machine with Secure Boot and a TPM. */
function secureMachine(name: string, image: ServedFile, host: number): Machine {
  const mac = `02:00:00:89:00:${host}`;
  const vm = machine(name, { source: { http: { url: image.url } }, network: 'lan', ip: `10.89.0.${host}`, mac });
  Object.assign(vm.spec.template.spec.domain, SECURE);
  Object.assign(vm.spec.template.spec.domain.devices, { tpm: {} });
  return vm;
}

/** Gives a machine a second disk on the usb bus. */
function withStick(vm: Machine): Machine {
  const claim = `${vm.metadata.name}-stick`;
  vm.spec.dataVolumeTemplates.push(dataVolume(claim, { blank: {} }, '64Mi'));
  vm.spec.template.spec.domain.devices.disks.push({ name: 'stick', disk: { bus: 'usb' } });
  vm.spec.template.spec.volumes.push({ name: 'stick', dataVolume: { name: claim } });
  return vm;
}

const inGuarded = (command: string, deadlineMs = 30_000) =>
  runInGuest({ client, pod: 'door', port: 2210, privateKey: key.privateKey, deadlineMs }, command);

const readPcr = () => inGuarded('cat /sys/class/tpm/tpm0/pcr-sha256/7');

/** Reads a console until its output matches. */
async function untilPrinted(console: Duplex, pattern: RegExp): Promise<string> {
  let text = '';
  for await (const chunk of console) {
    text += (chunk as Buffer).toString('latin1');
    if (pattern.test(text)) return text;
  }
  throw new Error(`The console ended without ${pattern}:\n${text}`);
}

test(
  'a signed guest starts under Secure Boot and knows it',
  async () => {
    const variable = '/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c';
    // Four bytes of attributes, then the value.
    expect(await inGuarded(`od -An -tu1 ${variable}`, BOOT_MS)).toMatch(/ 1$/);
    expect(await inGuarded('dmesg')).toContain('locked down from EFI Secure Boot');
  },
  BOOT_MS,
);

test('its TPM answers, has the boot measurements of the firmware, and holds no certificate of its maker', async () => {
  expect(await readPcr()).toMatch(/^(?!0{64})[0-9A-F]{64}$/);
  const ask = `exec 3<>/dev/tpm0; printf '${READ_CERTIFICATE}' >&3; dd bs=64 count=1 <&3 2> /dev/null | od -An -tx1`;
  // TPM_ST_NO_SESSIONS, ten bytes, TPM_RC_HANDLE of the first handle: there is no such index.
  expect(await inGuarded(ask)).toBe('80 01 00 00 00 0a 00 00 01 8b');
}, 60_000);

test('a data disk on the usb bus is read and written', async () => {
  const find = 'until stick=$(ls -d /sys/block/sd*); do usleep 50000; done; disk=/dev/$(basename $stick)';
  const use = 'echo on-the-stick > $disk && sync && head -c 12 $disk && readlink -f $stick && cat $stick/size';
  expect(await inGuarded(`${find}; ${use}`)).toMatch(/^on-the-stick.*\/usb\d.*\n131072$/);
}, 60_000);

test('the TPM of a machine continues when the server was killed, and ends with its machine', async () => {
  const before = await readPcr();
  await laboratory.cluster.kill('SIGKILL');
  await laboratory.cluster.restart();
  expect(await readPcr()).toBe(before);
  const { metadata } = (await laboratory.get('VirtualMachineInstance', 'guarded')) as Seen;
  const runDir = runDirOf(layoutOf(laboratory.cluster.dataDir ?? ''), 'machines', metadata.uid);
  const programs = async () => (await findProcesses(runDir)).map(({ argv }) => argv.join(' '));
  expect((await programs()).filter((line) => line.startsWith('swtpm '))).toHaveLength(1);
  await laboratory.act('virtualmachines/guarded/stop', { gracePeriod: 0 });
  await laboratory.untilGone('VirtualMachineInstance', 'guarded');
  expect(await programs()).toEqual([]);
}, 90_000);

test(
  'an unsigned loader is refused by the firmware',
  async () => {
    const vm = secureMachine('unsigned', unsigned, 11);
    Object.assign(vm.spec.template.spec, { startStrategy: 'Paused' });
    await laboratory.create('VirtualMachine', vm);
    await laboratory.act('virtualmachines/unsigned/start');
    await laboratory.untilPhase('VirtualMachineInstance', 'unsigned', 'Running');
    const console = await openSubresourceStream(client, 'unsigned', { stream: 'console' });
    await laboratory.act('virtualmachineinstances/unsigned/unpause');
    // Boot0001 is the disk; the firmware's own shell, tried next, is refused as well.
    const output = await untilPrinted(
      console,
      /failed to (load|start) Boot0001 [^\n]*(Access Denied|Security Violation)/,
    );
    expect(output).not.toContain('tiny:');
    console.destroy();
    await laboratory.act('virtualmachines/unsigned/stop', { gracePeriod: 0 });
  },
  BOOT_MS,
);

test.each([
  ['variables', { firmware: { bootloader: { efi: { secureBoot: true, persistent: true } } } }, {}],
  ['TPM', {}, { tpm: { persistent: true } }],
])(
  'what a persistent %s would keep is refused, not forgotten',
  async (what, domain, devices) => {
    const name = `keeps-${what.toLowerCase()}`;
    const vm = secureMachine(name, unsigned, 12);
    Object.assign(vm.spec.template.spec.domain, domain);
    Object.assign(vm.spec.template.spec.domain.devices, devices);
    await laboratory.create('VirtualMachine', vm);
    await laboratory.act(`virtualmachines/${name}/start`);
    const isRefused = ({ status }: Seen) =>
      status?.conditions?.some(({ type, message }) => type === 'Synchronized' && message?.startsWith('Persistent ')) ??
      false;
    await laboratory.until('VirtualMachineInstance', name, isRefused);
    await laboratory.delete('VirtualMachine', name);
  },
  60_000,
);

import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'ssh2';
import { systemClock } from '../../common/clock/clock.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { generateKeyPair } from '../../common/ssh/key-pair.ts';
import { Confiner } from '../../embedded/host/confinement.ts';
import { probeKvm } from '../../embedded/qemu/probe-kvm.ts';
import { makeDisc } from '../../embedded/storage/media.ts';
import { startFarm, type TestFarm } from '../harness/farm.ts';
import { serveFile } from '../harness/file-server.ts';
import { guestImages } from '../harness/guest-images.ts';
import type { Measurement } from './measurement.ts';
import { imageModule } from './packer/modules.ts';
import { makeDisk, runRaw } from './packer/raw.ts';
import { buildOnFarm } from './packer/slipway.ts';

const ROUNDS = 3;

/** From asking for a clone until a person is logged in, against a start of the same system by QEMU alone. */
export async function benchClone(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  resources.defer('folder', () => rmSync(folder, { recursive: true }));
  const { cloudImage } = await guestImages();
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const confiner = await Confiner.open(folder, logger);
  const accelerator = (await probeKvm({ directory: folder, confiner, clock: systemClock, logger })) ? 'kvm' : 'tcg';
  const image = resources.use('image', await serveFile(cloudImage), (served) => served.stop());
  const farm = resources.use('farm', await startFarm(), (started) => started.purge());
  await buildOnFarm(farm, imageModule(image, ['echo built > /etc/layers']));
  const raw: number[] = [];
  const clones: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    raw.push(await rawBoot({ folder: join(folder, `round-${round}`), accelerator, cloudImage }));
    clones.push(await cloneBoot(farm));
  }
  const [least, clone] = [Math.min(...raw), Math.min(...clones)];
  return [
    { what: 'raw boot to a login', value: least / 1000, unit: 's', target: '' },
    { what: 'clone to a login', value: clone / 1000, unit: 's', target: '' },
    { what: 'clone against the raw boot', value: clone / least, unit: 'x', target: '<= 1.15 x' },
  ];
}

interface RawBoot {
  /** Is made. */
  readonly folder: string;
  readonly accelerator: 'kvm' | 'tcg';
  readonly cloudImage: string;
}

async function rawBoot({ folder, accelerator, cloudImage }: RawBoot): Promise<number> {
  mkdirSync(folder);
  const { publicKey, privateKey } = generateKeyPair('bench');
  const cdrom = join(folder, 'seed.iso');
  const files = new Map([
    ['meta-data', 'instance-id: raw\n'],
    ['user-data', `#cloud-config\nssh_authorized_keys: ["${publicKey}"]\n`],
  ]);
  await makeDisc({ label: 'cidata', files, path: cdrom });
  const disk = await makeDisk(join(folder, 'disk.qcow2'), cloudImage);
  return (await runRaw({ folder: join(folder, 'run'), accelerator, disk, cdrom, privateKey })).toLoginMs;
}

async function cloneBoot({ client }: TestFarm): Promise<number> {
  const begun = performance.now();
  const { buildId } = await client.run('image', {});
  for await (const event of client.events(buildId)) {
    if (event.event === 'phase-finished' && event.phase === 'boot-keystrokes') break;
  }
  const { username, privateKey } = await client.machines.sshAccess(buildId, 'vm');
  const ssh = new Client();
  const ready = once(ssh, 'ready');
  ssh.connect({ sock: await client.machines.openSsh(buildId, 'vm'), username, privateKey: privateKey ?? '' });
  await ready;
  const tookMs = performance.now() - begun;
  ssh.on('error', () => {}).destroy();
  await client.cancel(buildId);
  for await (const event of client.events(buildId)) if (event.event === 'build-finished') break;
  return tookMs;
}

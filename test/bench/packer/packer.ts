import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { answersFor } from './modules.ts';

const MIB_MEMORY = 256;

/** What a Packer build of the tiny guest starts from. */
export type PackerSource =
  | { readonly kind: 'image'; readonly path: string }
  | { readonly kind: 'installer'; readonly path: string; readonly bootWait: string; readonly bootLine: string };

/** The `packer` of this machine. */
export interface Packer {
  readonly version: string;
  /** Plugins beside it, by name; older versions bundle theirs. */
  readonly plugins: readonly string[];
  /** False before 1.11: it runs the plugins of its own day, which do less and wait longer or shorter than today's. */
  readonly isAnchor: boolean;
}

/**
 * Asks the `packer` on the PATH what it is. Plugins are found where Packer looks for them: PACKER_PLUGIN_PATH, or its
 * own folder. @throws Error when there is none
 */
export async function findPacker(): Promise<Packer> {
  const run = promisify(execFile);
  const env = { ...process.env, CHECKPOINT_DISABLE: '1' };
  const printed = await run('packer', ['version'], { env });
  const [, version = '0', major, minor] = /v((\d+)\.(\d+)\.\S+)/.exec(printed.stdout) ?? [];
  const isAnchor = Number(major) > 1 || (Number(major) === 1 && Number(minor) >= 11);
  const installed = isAnchor ? await run('packer', ['plugins', 'installed'], { env }) : { stdout: '' };
  const plugins = installed.stdout.match(/packer-plugin-\S+?_v[\d.]+/g) ?? [];
  return { version, plugins: plugins.map((name) => name.replace('packer-plugin-', '').replace('_v', ' ')), isAnchor };
}

export interface PackerBuild {
  readonly accelerator: 'kvm' | 'tcg';
  /** Empty; everything of the build goes there. */
  readonly folder: string;
  readonly source: PackerSource;
  /** One shell provisioner each. */
  readonly scripts: readonly string[];
}

/**
 * Builds with Packer's qemu builder (HashiCorp) and its defaults, save what would only cost it time:
 * no VNC server and no pause before a machine that nothing is typed to. After an SSH handshake that is cut off, as by a guest that boots,
 * Packer 1.16 pauses for 7 s: its time jumps by that with how fast a guest boots. Resolves with the wall time of the command, ms.
 */
export async function buildWithPacker({ folder, accelerator, source, scripts }: PackerBuild): Promise<number> {
  mkdirSync(folder, { recursive: true });
  const run = promisify(execFile);
  const key = join(folder, 'key');
  await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const builder = {
    type: 'qemu',
    accelerator,
    headless: true,
    iso_url: source.path,
    iso_checksum: 'none',
    output_directory: join(folder, 'output'),
    format: 'qcow2',
    disk_size: '1024M',
    memory: MIB_MEMORY,
    cpus: 1,
    ssh_username: 'root',
    ssh_private_key_file: key,
    ssh_timeout: '10m',
    shutdown_command: 'poweroff',
    ...sourceOptions(folder, source, readFileSync(`${key}.pub`, 'utf8').trim()),
  };
  const provisioners = scripts.map((script) => ({ type: 'shell', inline: [script] }));
  const template = join(folder, 'template.json');
  writeFileSync(template, JSON.stringify({ builders: [builder], provisioners }));
  const env = { ...process.env, CHECKPOINT_DISABLE: '1', PACKER_CACHE_DIR: join(folder, 'cache') };
  const start = performance.now();
  await run('packer', ['build', '-color=false', template], { env, cwd: folder, maxBuffer: 64 * 1024 * 1024 });
  return performance.now() - start;
}

/** The key gets in by NoCloud, or by the answer file of the installer. */
function sourceOptions(folder: string, source: PackerSource, publicKey: string): object {
  if (source.kind === 'image') {
    writeFileSync(join(folder, 'meta-data'), 'instance-id: packer\n');
    writeFileSync(join(folder, 'user-data'), `#cloud-config\nssh_authorized_keys: ["${publicKey}"]\n`);
    const cd = ['meta-data', 'user-data'].map((file) => join(folder, file));
    return { disk_image: true, disable_vnc: true, boot_wait: '0s', cd_files: cd, cd_label: 'cidata' };
  }
  const served = join(folder, 'served');
  mkdirSync(served);
  writeFileSync(join(served, 'answers.txt'), answersFor(publicKey));
  return { http_directory: served, boot_wait: source.bootWait, boot_command: [source.bootLine] };
}

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packagePath } from '../../common/config/package-root.ts';
import { cachedFolder } from '../harness/cached-folder.ts';

const run = promisify(execFile);
const VERSION = '1.34.2';
/** Import path of each program, as go.mod names it as a tool. */
const TOOLS = {
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  etcd: 'go.etcd.io/etcd/server/v3',
} as const;
const NAMES = Object.keys(TOOLS) as readonly Program[];

export type Program = keyof typeof TOOLS;

/** Paths of the programs that make an API server. */
export type Binaries = Readonly<Record<Program, string>>;

/**
 * The programs of the folder that KUBEBUILDER_ASSETS names (the convention of Kubernetes' envtest), else those that were
 * built from `binaries/go.mod` into the cache of this user: once, in 5 to 10 minutes.
 * @throws Error when the folder lacks one of them, or none are built and there is no Go
 */
export async function kubernetesBinaries(): Promise<Binaries> {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  const folder = assets ?? (await builtBinaries());
  const missing = NAMES.filter((name) => !existsSync(join(folder, name)));
  if (missing.length > 0)
    throw new Error(
      `${folder} (KUBEBUILDER_ASSETS) has no ${missing.join(', ')}. Unset it to have them built with Go.`,
    );
  return Object.fromEntries(NAMES.map((name) => [name, join(folder, name)])) as unknown as Binaries;
}

/** A folder whose name identifies what was built, so another version never takes the place of this one. */
async function builtBinaries(): Promise<string> {
  const module = packagePath('test', 'kubernetes', 'binaries');
  const hash = createHash('sha256').update(VERSION);
  for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(module, file)));
  return await cachedFolder(`kubernetes-${hash.digest('hex').slice(0, 12)}`, (folder) => build(module, folder));
}

async function build(module: string, folder: string): Promise<void> {
  const [major, minor] = VERSION.split('.');
  // Without it the server calls itself v0.0.0-master, which clients refuse.
  const version = { gitVersion: `v${VERSION}`, gitMajor: major, gitMinor: minor };
  const stamps = Object.entries(version).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' };
  for (const name of NAMES) {
    const args = ['build', '-trimpath', '-ldflags', `-s -w ${stamps.join(' ')}`, '-o', join(folder, name), TOOLS[name]];
    await run('go', args, { cwd: module, env, maxBuffer: 64 << 20 }).catch((error: unknown) => {
      const hint = 'Install Go 1.24 or later, or name a folder that holds the programs in KUBEBUILDER_ASSETS.';
      throw new Error(`${name} cannot be built. ${hint}`, { cause: error });
    });
  }
}

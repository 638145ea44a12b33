import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

/** Runs the real kubectl against a cluster and resolves with its standard output. */
export async function kubectl(kubeconfig: string, ...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('kubectl', ['--kubeconfig', kubeconfig, ...args], {
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout;
}

/** Names of the objects of a kind that carry a label, in every namespace. */
export async function objectsWith(kubeconfig: string, kind: string, selector: string): Promise<string[]> {
  const output = await kubectl(kubeconfig, 'get', kind, '-A', '-l', selector, '-o', 'name');
  return output.split('\n').filter((line) => line !== '');
}

/** Those of these objects that are still there after a while: what is just being removed may go first. */
export async function remainingObjects(kubeconfig: string, kind: string, selector: string): Promise<string[]> {
  const list = () => objectsWith(kubeconfig, kind, selector);
  if ((await list()).length === 0) return [];
  const wait = ['wait', kind, '-A', '-l', selector, '--for=delete', '--timeout=60s'];
  // The caller gets what is left at the end of the time.
  await kubectl(kubeconfig, ...wait).catch(() => {});
  return list();
}

/** What `kubectl get vmi --watch` saw of running machines. */
export interface MachineWatch {
  /** The most that were alive at one moment. */
  readonly peak: () => number;
  /** Every name that was ever seen. */
  readonly seen: () => ReadonlySet<string>;
  stop(): Promise<void>;
}

const LINE = '{.type} {.object.metadata.name} {.object.status.phase}{"\\n"}';

/** Watches virtual machine instances with the real kubectl, from the cluster's side. */
export function watchMachines(kubeconfig: string, namespace: string): MachineWatch {
  const args = ['get', 'virtualmachineinstances', '-n', namespace, '--watch', '--output-watch-events'];
  const child = spawn('kubectl', ['--kubeconfig', kubeconfig, ...args, '-o', `jsonpath=${LINE}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const alive = new Set<string>();
  const seen = new Set<string>();
  let peak = 0;
  createInterface(child.stdout).on('line', (line) => {
    const [type, name = '', phase] = line.split(' ');
    if (type === 'DELETED' || phase === 'Succeeded' || phase === 'Failed') alive.delete(name);
    else alive.add(name);
    seen.add(name);
    peak = Math.max(peak, alive.size);
  });
  const ended = once(child, 'close');
  return {
    peak: () => peak,
    seen: () => seen,
    stop: async () => {
      child.kill();
      await ended;
    },
  };
}

/** What a field of an object is to become. */
export interface Sign {
  readonly namespace: string;
  readonly resource: string;
  /** JSONPath within the object. */
  readonly field: string;
  readonly value: string;
}

/** Watches with the real kubectl; resolves with the name of the first object whose field has the value. */
export async function untilShown(kubeconfig: string, sign: Sign): Promise<string> {
  const { namespace, resource, field, value } = sign;
  const line = `jsonpath={.metadata.name} {${field}}{"\\n"}`;
  const args = ['--kubeconfig', kubeconfig, 'get', resource, '-n', namespace, '--watch', '-o', line];
  const child = spawn('kubectl', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    for await (const shown of createInterface(child.stdout)) {
      const [name = '', found] = shown.split(' ');
      if (found === value) return name;
    }
    throw new Error(`kubectl ended before ${resource} showed ${field} = "${value}"`);
  } finally {
    child.kill();
  }
}

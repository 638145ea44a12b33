import { execFileSync, spawn } from 'node:child_process';
import { LISTENER } from '../conformance/machines/manifests.ts';

/** A network beside this host, with a service at each of its addresses. */
export interface OutsideNetwork {
  /** Of this host in it. */
  readonly host: string;
  /** Stands for the internet: a network that is for documentation (RFC 5737). */
  readonly address: string;
  /** In private networks: one that is never allowed, and one for a configuration to name. */
  readonly neighbour: string;
  readonly allowed: string;
  /** Link-local, as the metadata services of clouds. */
  readonly metadata: string;
  readonly port: number;
  close(): void;
}

const PORT = 4000;

/** Opens one: a network namespace behind a pair of veths, to which this host has routes. */
export function openOutsideNetwork(): OutsideNetwork {
  const [namespace, device] = [`outside${process.pid}`, `out${process.pid}`];
  const addresses = freeAddresses();
  const { address, host, neighbour, allowed, metadata } = addresses;
  const ip = (...args: string[]) => execFileSync('ip', args);
  ip('netns', 'add', namespace);
  ip('link', 'add', device, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', namespace);
  ip('addr', 'add', `${host}/30`, 'dev', device);
  ip('link', 'set', device, 'up');
  execFileSync('sh', ['-c', `echo 1 > /proc/sys/net/ipv4/conf/${device}/forwarding`]);
  ip('-n', namespace, 'addr', 'add', `${address}/30`, 'dev', 'eth0');
  ip('-n', namespace, 'link', 'set', 'eth0', 'up');
  for (const hidden of [neighbour, allowed, metadata]) {
    ip('-n', namespace, 'addr', 'add', `${hidden}/32`, 'dev', 'eth0');
    ip('route', 'add', `${hidden}/32`, 'via', address, 'dev', device);
  }
  const [command = '', ...args] = LISTENER;
  const service = spawn('nsenter', [`--net=/run/netns/${namespace}`, command, ...args, String(PORT)]);
  return {
    ...addresses,
    port: PORT,
    close: () => {
      service.kill('SIGKILL');
      ip('netns', 'del', namespace);
    },
  };
}

/** The two addresses of a /30 that no interface of this host has: another run, or one that was killed, may have others. */
function freeAddresses() {
  const taken = execFileSync('ip', ['-4', '-o', 'addr', 'show'], { encoding: 'utf8' });
  const first = Array.from({ length: 64 }, (_, index) => 4 * index + 1);
  const free = first.find((last) => !taken.includes(` 198.51.100.${last}/`));
  if (free === undefined) throw new Error('All of 198.51.100.0/24 is taken: remove the interfaces "out*"');
  return {
    host: `198.51.100.${free}`,
    address: `198.51.100.${free + 1}`,
    neighbour: `10.254.254.${free}`,
    allowed: `10.254.254.${free + 1}`,
    metadata: `169.254.254.${free}`,
  };
}

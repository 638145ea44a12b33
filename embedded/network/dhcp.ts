import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import { formatIpv4, type Ipv4Network } from '../../common/text/ipv4.ts';
import { type Confiner, userFor } from '../host/confinement.ts';
import { type HostLayout, shortHash } from '../host/layout.ts';
import { findProcesses, killLeftovers, sendSignal } from '../host/processes.ts';
import { shareDirectory, shareFiles } from '../host/shared-directory.ts';
import { netmaskOf } from './addresses.ts';
import { bridgeName } from './bridges.ts';
import { hasNamespace, namespacePath } from './ip-command.ts';

/** One card that the server answers; all others are ignored. */
export interface Reservation {
  readonly mac: string;
  readonly ip: string;
  readonly hostname?: string;
  /** Name servers for this card; the subnet's when absent. */
  readonly nameServers?: readonly string[];
  /** Domains that its guest completes names with. */
  readonly searches: readonly string[];
}

/** Options of a subnet's server for every card. */
export interface DhcpOptions {
  readonly cidr: Ipv4Network;
  readonly router?: string;
  readonly nameServers: readonly string[];
  readonly leaseSeconds: number;
  readonly mtu?: number;
}

/** Where a server runs. */
export interface DhcpPlace {
  readonly layout: HostLayout;
  readonly confiner: Confiner;
  readonly namespace: string;
  readonly subnet: string;
  readonly clock: Clock;
}

/** Between two starts of a server that ends by itself; none before the first, so that a killed one is back at once. */
const RESTART_MS = 1_000;
const DNSMASQ = 'dnsmasq';
/** To listen at port 67, to see who is alive, and to write to cards that have no address yet. */
const CAPABILITIES = ['net_bind_service', 'net_raw', 'net_admin'];

/**
 * The DHCP server of a subnet: dnsmasq without its name service, which answers reserved cards only. It listens to guests, so it
 * is confined and not root. Reservations are files in a directory that it watches. All it knows is in files: it is started again when it ends, and after a restart of
 * ours.
 */
export class DhcpServer {
  readonly #place: DhcpPlace;
  readonly #directory: string;
  #child: ChildProcess | undefined;
  #options: DhcpOptions | undefined;
  #configuration = '';
  #startedAt = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(place: DhcpPlace) {
    this.#place = place;
    this.#directory = join(place.layout.run, 'dhcp', shortHash(place.subnet, 16));
  }

  /** Runs the server with these options; restarts it when they changed or when it ended by itself. */
  async ensure(options: DhcpOptions): Promise<void> {
    const args = this.#arguments(options);
    const configuration = args.join(' ');
    if (this.#child && this.#configuration === configuration) return;
    await this.#endProcess();
    if (this.#isStopped) return;
    const { confiner, namespace } = this.#place;
    const user = userFor(this.#directory);
    await shareDirectory(this.#directory, confiner.userOf({ user }));
    await Promise.all(['hosts', 'options'].map((name) => mkdir(join(this.#directory, name), { recursive: true })));
    await (await open(this.#leases, 'a')).close();
    await shareFiles(this.#directory, confiner.userOf({ user }));
    const confined = confiner.command([DNSMASQ, ...args], {
      ...{ user, directory: this.#directory, capabilities: CAPABILITIES, hasNetwork: true, endsWithServer: false },
    });
    const [command = '', ...rest] = ['nsenter', `--net=${namespacePath(namespace)}`, ...confined];
    const child = spawn(command, rest, { detached: true, stdio: 'ignore' });
    child.unref();
    child.once('error', () => this.#restart(child));
    child.once('exit', () => this.#restart(child));
    this.#child = child;
    this.#options = options;
    this.#configuration = configuration;
    this.#startedAt = this.#place.clock.now();
  }

  /** Answers this card from now on. */
  async reserve({ mac, ip, hostname, nameServers = [], searches }: Reservation): Promise<void> {
    const tag = `card-${mac.replaceAll(':', '')}`;
    const name = hostname === undefined ? '' : `,${hostname}`;
    // As virt-launcher: the longest one is the domain.
    const [domain] = searches.toSorted((a, b) => b.length - a.length);
    const options = [
      ...(nameServers.length === 0 ? [] : [`6,${nameServers.join(',')}`]),
      ...(domain === undefined ? [] : [`15,${domain}`, `119,${searches.join(',')}`]),
    ];
    await this.#write('options', tag, options.map((option) => `tag:${tag},${option}\n`).join(''));
    await this.#write('hosts', tag, `${mac},set:${tag},${ip}${name}\n`);
  }

  /** Does not answer this card, also when it asks for an address that another server gave it. */
  async ignore(mac: string): Promise<void> {
    await this.#write('hosts', `card-${mac.replaceAll(':', '')}`, `${mac},ignore\n`);
  }

  /** Does not answer this card any more. */
  async release(mac: string): Promise<void> {
    const tag = `card-${mac.replaceAll(':', '')}`;
    await Promise.all(['hosts', 'options'].map((name) => rm(join(this.#directory, name, tag), { force: true })));
    if (!this.#child) return;
    // dnsmasq notices new files by itself, but not missing ones.
    for (const { pid, argv } of await findProcesses(this.#directory))
      if (argv[0] === DNSMASQ) sendSignal(pid, 'SIGHUP');
  }

  /** The cards it answers, as written: hexadecimal digits of their addresses. */
  async reservations(): Promise<string[]> {
    return await readdir(join(this.#directory, 'hosts')).catch(() => []);
  }

  /** Ends the server and forgets its leases. */
  async remove(): Promise<void> {
    this.#isStopped = true;
    await this.#endProcess();
    await rm(this.#directory, { recursive: true, force: true });
  }

  get #leases(): string {
    return join(this.#directory, 'leases');
  }

  async #write(folder: string, name: string, content: string): Promise<void> {
    const directory = join(this.#directory, folder);
    await mkdir(directory, { recursive: true });
    const temporary = join(this.#directory, `${folder}-${name}`);
    // The existing object of this name is not ours.
    await rm(temporary, { force: true });
    await writeFile(temporary, content, { flag: 'wx' });
    await rename(temporary, join(directory, name));
  }

  async #endProcess(): Promise<void> {
    this.#child = undefined;
    await killLeftovers(this.#directory, this.#place.clock);
  }

  /** One that we ended is not the current one any more. */
  async #restart(child: ChildProcess): Promise<void> {
    const { clock } = this.#place;
    if (this.#child !== child) return;
    this.#child = undefined;
    const pauseMs = this.#startedAt + RESTART_MS - clock.now();
    if (pauseMs > 0) await clock.after(pauseMs);
    const { namespace } = this.#place;
    if (this.#child || this.#isStopped || !this.#options) return;
    // Its subnet is being removed, or the namespace is gone with the cluster: the next user calls `ensure`.
    if (!(await hasNamespace(namespace))) return;
    await this.ensure(this.#options).catch(() => {});
  }

  #arguments({ cidr, router, nameServers, leaseSeconds, mtu }: DhcpOptions): string[] {
    return [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--no-hosts', '--no-resolv', '--no-ping'],
      // It already runs as the right user.
      ...['--user=', '--log-facility=/dev/null', '--pid-file=', '--dhcp-authoritative'],
      ...['--bind-interfaces', `--interface=${bridgeName(this.#place.subnet)}`, '--except-interface=lo'],
      `--dhcp-range=${formatIpv4(cidr.base)},static,${netmaskOf(cidr)},${leaseSeconds}s`,
      `--dhcp-leasefile=${this.#leases}`,
      `--dhcp-hostsdir=${join(this.#directory, 'hosts')}`,
      `--dhcp-optsdir=${join(this.#directory, 'options')}`,
      ...(router === undefined
        ? ['--dhcp-option=3']
        : [`--dhcp-option=3,${router}`, `--dhcp-option=121,0.0.0.0/0,${router}`]),
      nameServers.length === 0 ? '--dhcp-option=6' : `--dhcp-option=6,${nameServers.join(',')}`,
      ...(mtu === undefined ? [] : [`--dhcp-option=26,${mtu}`]),
    ];
  }
}

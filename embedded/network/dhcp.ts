import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import { formatIpv4, type Ipv4Network } from '../../common/text/ipv4.ts';
import { type Confiner, userFor } from '../host/confinement.ts';
import { KeyedMutex } from '../host/keyed-mutex.ts';
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

/** The file of a card's reservation. */
function cardFile(mac: string): string {
  return `card-${mac.replaceAll(':', '')}`;
}

/**
 * The DHCP server of a subnet: dnsmasq without its name service, which answers reserved cards only. It listens to guests, so it
 * is confined and not root. As virt-launcher's, it sends its options to cards that do not ask for them, too. Reservations are
 * files in a directory that it watches; options that it has not had for any card yet restart it. All it knows is in files: it is
 * started again when it ends, and after a restart of ours.
 */
export class DhcpServer {
  readonly #place: DhcpPlace;
  readonly #directory: string;
  readonly #mutex = new KeyedMutex();
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
    await this.#mutex.run('process', () => this.#ensure(options));
  }

  async #ensure(options: DhcpOptions): Promise<void> {
    const args = this.#arguments(options, await this.#cardOptions());
    const configuration = args.join(' ');
    if (this.#child && this.#configuration === configuration) return;
    await this.#endProcess();
    if (this.#isStopped) return;
    const { confiner, namespace } = this.#place;
    const user = userFor(this.#directory);
    await shareDirectory(this.#directory, confiner.userOf({ user }));
    await mkdir(join(this.#directory, 'hosts'), { recursive: true });
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
    // As virt-launcher: the longest one is the domain.
    const [domain] = searches.toSorted((a, b) => b.length - a.length);
    const options = [
      ...(nameServers.length === 0 ? [] : [`6,${nameServers.join(',')}`]),
      ...(domain === undefined ? [] : [`15,${domain}`, `119,${searches.join(',')}`]),
    ];
    const tag = `like-${shortHash(options.join('\n'), 12)}`;
    const isNew = !(await this.#cardOptions()).has(tag);
    if (isNew) await this.#keepOptions(tag, options);
    const name = hostname === undefined ? '' : `,${hostname}`;
    await this.#writeHost(cardFile(mac), `${mac},set:${tag},${ip}${name}\n`);
    if (isNew && this.#options) await this.ensure(this.#options);
  }

  /** Does not answer this card, also when it asks for an address that another server gave it. */
  async ignore(mac: string): Promise<void> {
    await this.#writeHost(cardFile(mac), `${mac},ignore\n`);
  }

  /** Does not answer this card any more. */
  async release(mac: string): Promise<void> {
    await rm(join(this.#directory, 'hosts', cardFile(mac)), { force: true });
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
    await Promise.all(
      [this.#directory, this.#cardOptionsFolder].map((path) => rm(path, { recursive: true, force: true })),
    );
  }

  get #leases(): string {
    return join(this.#directory, 'leases');
  }

  /** Out of reach of the process, which may have been taken over. */
  get #cardOptionsFolder(): string {
    return join(this.#place.layout.run, 'dhcp-options', shortHash(this.#place.subnet, 16));
  }

  /** Options of cards, by tag; cards with equal options have the same. */
  async #cardOptions(): Promise<ReadonlyMap<string, readonly string[]>> {
    const folder = this.#cardOptionsFolder;
    const tags = (await readdir(folder).catch(() => [])).filter((name) => !name.startsWith('.'));
    const texts = await Promise.all(tags.map((tag) => readFile(join(folder, tag), 'utf8')));
    return new Map(tags.map((tag, index) => [tag, (texts[index] ?? '').split('\n').filter((line) => line !== '')]));
  }

  async #keepOptions(tag: string, options: readonly string[]): Promise<void> {
    const folder = this.#cardOptionsFolder;
    await mkdir(folder, { recursive: true });
    const temporary = join(folder, `.${tag}`);
    await writeFile(temporary, options.join('\n'));
    await rename(temporary, join(folder, tag));
  }

  async #writeHost(name: string, content: string): Promise<void> {
    const directory = join(this.#directory, 'hosts');
    await mkdir(directory, { recursive: true });
    const temporary = join(this.#directory, `new-${name}`);
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

  #arguments(
    { cidr, router, nameServers, leaseSeconds, mtu }: DhcpOptions,
    cardOptions: ReadonlyMap<string, readonly string[]>,
  ): string[] {
    const always = (option: string) => `--dhcp-option-force=${option}`;
    return [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--port=0', '--no-hosts', '--no-resolv', '--no-ping'],
      // It already runs as the right user.
      ...['--user=', '--log-facility=/dev/null', '--pid-file=', '--dhcp-authoritative'],
      ...['--bind-interfaces', `--interface=${bridgeName(this.#place.subnet)}`, '--except-interface=lo'],
      `--dhcp-range=${formatIpv4(cidr.base)},static,${netmaskOf(cidr)},${leaseSeconds}s`,
      `--dhcp-leasefile=${this.#leases}`,
      `--dhcp-hostsdir=${join(this.#directory, 'hosts')}`,
      ...(router === undefined ? ['--dhcp-option=3'] : [always(`3,${router}`), always(`121,0.0.0.0/0,${router}`)]),
      nameServers.length === 0 ? '--dhcp-option=6' : always(`6,${nameServers.join(',')}`),
      ...(mtu === undefined ? [] : [always(`26,${mtu}`)]),
      ...[...cardOptions].flatMap(([tag, options]) => options.map((option) => always(`tag:${tag},${option}`))),
    ];
  }
}

import { chmod, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../common/clock/clock.ts';
import { allowManyListeners } from '../../common/lifecycle/many-listeners.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import type { Logger } from '../../common/logging/logger.ts';
import type { Store } from '../api/store.ts';
import { isFinal } from '../api/subresources/instance-state.ts';
import type { MachineAccess } from '../api/subresources/machine-access.ts';
import { Confiner, FIRST_USER } from '../host/confinement.ts';
import { layoutOf, runDirOf } from '../host/layout.ts';
import { findProcesses, killProcesses } from '../host/processes.ts';
import { TUN } from '../qemu/launch.ts';
import { probeKvm } from '../qemu/probe-kvm.ts';
import { VolumeFiles } from '../storage/volumes.ts';
import { type ControllerContext, uidOf } from './context.ts';
import { startDataVolumeController } from './data-volume.ts';
import { EventRecorder } from './event-recorder.ts';
import { ExportController } from './export.ts';
import { KubeOvnNetwork } from './kube-ovn-network.ts';
import type { Vmi } from './kubevirt-types.ts';
import { MachineConsoles } from './machine-consoles.ts';
import { MachineRegistry } from './machine-registry.ts';
import { MachineStarter } from './machine-starter.ts';
import { PodController } from './pod.ts';
import { PodNetworkOfCluster } from './pod-network.ts';
import { startClaimController } from './pvc.ts';
import { startSnapshotController } from './snapshot.ts';
import { keepStorageCapacity } from './storage-capacity.ts';
import { VmController } from './vm.ts';
import { VmiController } from './vmi.ts';
import { findClaims } from './vmi-volumes.ts';
import { collectLayers } from './volume-claims.ts';

const NETWORKS = { 'kube-ovn': KubeOvnNetwork, pod: PodNetworkOfCluster } as const;

/** The machine half's part of the cluster's configuration. */
export interface MachineConfig {
  /** How machines are connected. @defaultValue `kube-ovn` */
  readonly network?: keyof typeof NETWORKS;
  /** `off` never uses KVM; `auto` uses it where a trial machine runs under it. @defaultValue `auto` */
  readonly kvm?: 'auto' | 'off';
  readonly guests?: { readonly allowedNetworks: readonly string[] };
  /** Image files of this host by container-disk image name. */
  readonly containerDisks?: Readonly<Record<string, string>>;
}

/** Dependencies of the controllers. */
export interface ControllersOptions {
  readonly store: Store;
  readonly dataDir: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Closing it ends the controllers; machines and pods continue. */
  readonly resources: ReleaseStack;
  /** Image name to the command that runs here in its stead. */
  readonly podCommands: Readonly<Record<string, readonly string[]>>;
  readonly config: MachineConfig;
  readonly allowedAddresses: ControllerContext['allowedAddresses'];
}

/**
 * Starts everything that makes the objects of the store real. First what still runs from before is found again, then
 * the controllers look at every object.
 */
export async function startControllers(options: ControllersOptions): Promise<MachineAccess> {
  const { store, logger, clock, resources, podCommands, config } = options;
  const context = await openContext(options);
  const { layout, confiner } = context;
  await allowTuns(context);
  const machines = new MachineRegistry();
  const network = new NETWORKS[config.network ?? 'kube-ovn'](context);
  const hasKvm = config.kvm !== 'off' && (await probeKvm({ directory: layout.run, confiner, clock, logger }));
  let controller: VmiController | undefined;
  const starter = new MachineStarter({
    context,
    machines,
    network,
    accelerator: hasKvm ? 'kvm' : 'tcg',
    containerDisks: config.containerDisks ?? {},
    onChange: (key) => controller?.wake(key),
  });
  await adoptMachines(context, starter);
  await removeOrphans(context);
  resources.defer('machines', () => {
    for (const { machine } of machines.all()) machine?.detach();
  });

  startClaimController(context, machines);
  startDataVolumeController(context, machines);
  startSnapshotController(context, machines);
  void keepStorageCapacity(context);
  await network.start();
  new VmController(context);
  controller = new VmiController({ context, machines, network, starter });
  const pods = new PodController({ context, network, podCommands });
  const consoles = new MachineConsoles(store, machines);
  const hasExports = store.kinds.some(({ kind }) => kind === 'VirtualMachineExport');
  const access = combine(consoles, pods);
  if (!hasExports) return access;
  const exports = new ExportController(context, machines);
  resources.defer('exports', () => exports.close());
  return { ...access, exports };
}

/** What all controllers share; its signal is aborted when the server stops. */
async function openContext(options: ControllersOptions): Promise<ControllerContext> {
  const { store, dataDir, logger, clock, resources, config, allowedAddresses } = options;
  const layout = layoutOf(dataDir);
  for (const directory of [layout.volumes, layout.layers, layout.run]) await mkdir(directory, { recursive: true });
  const stop = new AbortController();
  // Every queue and every delay listens to it.
  allowManyListeners(stop.signal);
  resources.defer('controllers', () => stop.abort(new Error('The server stops')));
  return {
    store,
    layout,
    clock,
    logger,
    signal: stop.signal,
    events: new EventRecorder(store, clock, logger),
    volumes: new VolumeFiles(layout),
    confiner: await Confiner.open(layout.run, logger),
    allowedAddresses,
    guestNetworks: config.guests?.allowedNetworks ?? [],
  };
}

/**
 * The kernel lets the owner of a cable attach to it, but the device file must be open to all users, as udev makes it. In containers
 * udev is missing.
 */
async function allowTuns({ confiner, logger }: ControllerContext): Promise<void> {
  const hasUsers = confiner.userOf({ user: FIRST_USER }) !== undefined;
  if (!hasUsers || ((await stat(TUN)).mode & 0o006) === 0o006) return;
  await chmod(TUN, 0o666);
  logger.info({ device: TUN }, 'Every user may now open the device of network cards');
}

function combine(consoles: MachineConsoles, pods: PodController): MachineAccess {
  return {
    openVnc: (ref, options) => consoles.openVnc(ref, options),
    openSerial: (ref) => consoles.openSerial(ref),
    screenshot: (ref) => consoles.screenshot(ref),
    pause: (ref) => consoles.pause(ref),
    unpause: (ref) => consoles.unpause(ref),
    softReboot: (ref) => consoles.softReboot(ref),
    reset: (ref) => consoles.reset(ref),
    openPodPort: (ref, port) => pods.openPort(ref, port),
    podLog: (ref, options) => pods.log(ref, options),
  };
}

/** Machines that were started continue; those whose process is gone are found as Failed by the controller. */
async function adoptMachines(context: ControllerContext, starter: MachineStarter): Promise<void> {
  const candidates = context.store
    .list<Vmi>('VirtualMachineInstance')
    .filter((vmi) => !isFinal(vmi) && ['Scheduled', 'Running'].includes(vmi.status?.phase ?? ''));
  await Promise.all(
    candidates.map(async (vmi) => {
      const { claims } = await findClaims(context, vmi);
      const isFound = await starter.adopt(vmi, claims);
      context.logger.info({ vmi: vmi.metadata.name, isFound }, 'A machine from before was looked for');
    }),
  );
}

/** What belongs to no object any more: a server that was killed in the middle of a deletion leaves it behind. */
async function removeOrphans(context: ControllerContext): Promise<void> {
  const { store, layout, clock, volumes } = context;
  const machinesDir = join(layout.run, 'machines');
  const owned = new Set(
    store.list<Vmi>('VirtualMachineInstance').map((vmi) => runDirOf(layout, 'machines', uidOf(vmi))),
  );
  for (const name of await readdir(machinesDir).catch(() => [])) {
    const directory = join(machinesDir, name);
    if (owned.has(directory)) continue;
    await killProcesses(await findProcesses(directory), clock);
    await rm(directory, { recursive: true, force: true });
  }
  // Imports end with the server that began them.
  await rm(join(layout.run, 'imports'), { recursive: true, force: true });
  for (const uid of await volumes.volumes()) if (!store.hasUid(uid)) await volumes.remove(uid);
  await collectLayers(context);
}

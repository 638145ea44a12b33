import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';
import { programCommand } from '../../common/config/package-root.ts';
import type { ClusterConfig } from '../../common/config/schema.ts';
import type { DiskOrigin, LayerSpec, NicPlan, VmPlan } from '../../common/contracts/layers.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { clusterConfig } from './api-server.ts';
import { startEmbeddedCluster } from './embedded-cluster.ts';
import { type ServedFile, serveFile } from './file-server.ts';
import { compiledModule } from './module-factory.ts';
import { stagePhase } from './phase-context.ts';

const run = promisify(execFile);
export const MIB = 1024 ** 2;
const IMAGE = 'relay-for-tests';
/** Of a machine whose guest gets no cloud-init of its module. */
export const NO_CLOUD_INIT = { userData: null, userDataFrom: null, networkData: null };
/** Refers to a key that no cluster has. */
export const NOT_THERE = { kind: 'ConfigMap', name: 'not-there', key: 'userdata', optional: true } as const;

/** An embedded cluster with relays, and the files of its imports. One for a test file. */
export class ImportLab {
  readonly config: ClusterConfig;
  readonly image: ServedFile;
  readonly imagePath: string;
  readonly iso: ServedFile;
  readonly resources: ReleaseStack;

  private constructor(parts: Pick<ImportLab, 'config' | 'image' | 'imagePath' | 'iso' | 'resources'>) {
    this.config = parts.config;
    this.image = parts.image;
    this.imagePath = parts.imagePath;
    this.iso = parts.iso;
    this.resources = parts.resources;
  }

  static async open(resources: ReleaseStack): Promise<ImportLab> {
    const cluster = await startEmbeddedCluster({ podCommands: { [IMAGE]: programCommand('workers/relay/main') } });
    resources.defer('cluster', () => cluster.stop());
    const directory = await mkdtemp(join(tmpdir(), 'import-'));
    resources.defer('images', () => rm(directory, { recursive: true }));
    const imagePath = join(directory, 'image.qcow2');
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', imagePath, String(64 * MIB)]);
    await writeFile(join(directory, 'media.iso'), Buffer.alloc(MIB, 7));
    const image = resources.use('image', await serveFile(imagePath), (served) => served.stop());
    const iso = resources.use('iso', await serveFile(join(directory, 'media.iso')), (served) => served.stop());
    const config = clusterConfig(cluster.kubeconfig, { namespace: 'default', relayImage: IMAGE });
    return new ImportLab({ config, image, imagePath, iso, resources });
  }

  /** Two VMs on one closed network that start from the same image. */
  spec(origin: DiskOrigin): LayerSpec {
    const module = compiledModule({
      name: 'lab',
      timeoutMs: 60_000,
      files: [
        {
          name: 'ks.cfg',
          kind: 'inline',
          content: 'url http://{{ .HTTPIP }}:{{ .HTTPPort }}/ {{ .Unknown }} {{.Name}}',
        },
        { name: 'user-data', kind: 'inline', content: 'I am {{ .Name }}, reach me by {{ .SSHPublicKey }}' },
      ],
      httpDirectory: ['ks.cfg'],
      vms: [
        {
          name: 'web',
          floppy: ['user-data'],
          cloudInit: { userData: null, userDataFrom: NOT_THERE, networkData: 'version: 2' },
        },
        { name: 'db' },
      ],
    });
    const web = vmPlan('web', '10.77.0.5', origin);
    const isoPlan = { url: this.iso.url, checksum: null, identity: `iso:${this.iso.sha256}` };
    return {
      schema: 1,
      layerKey: 'ab'.repeat(32),
      module,
      vms: [
        { ...web, isos: [isoPlan], disks: [...web.disks, { ...diskOf(web), name: 'data', origin: { kind: 'blank' } }] },
        vmPlan('db', '10.77.0.6', origin),
      ],
      network: {
        vpcs: [{ name: 'lab', internet: false }],
        subnets: [
          {
            ...{ name: 'net', vpc: 'lab', cidr: '10.77.0.0/24', gateway: '10.77.0.1' },
            ...{ dhcp: true, dns: [], unmanaged: false, relay: '10.77.0.254', egress: null },
          },
        ],
      },
      fileHashes: {},
      objects: {},
    };
  }

  /** A disk from a URL with this SHA-256. */
  urlOrigin(hex: string, url = this.image.url): DiskOrigin {
    return { kind: 'url', url, checksum: { algorithm: 'sha256', hex }, identity: `sha256:${hex}` };
  }

  /** The two VMs of the lab; what is tested is the disk of `db`. */
  importDb(origin: DiskOrigin, layerBuild: string, sizeBytes = 128 * MIB) {
    const spec = this.spec(origin);
    const [web, db] = spec.vms;
    if (!web || !db) throw new Error('unreachable');
    const vms = [web, { ...db, disks: [{ ...diskOf(db), sizeBytes }] }];
    return stagePhase({ clusterConfig: this.config, spec: { ...spec, vms }, vm: 'db', phase: 'import', layerBuild });
  }
}

/** Opens a laboratory for the test file that calls it, and closes it after the last test. */
export function useImportLab(opened: (lab: ImportLab) => void): void {
  const resources = new ReleaseStack();
  beforeAll(async () => opened(await ImportLab.open(resources)), 120_000);
  afterAll(() => resources.close());
}

function nic(ip: string): NicPlan {
  const mac = `02:00:00:00:00:${ip.split('.')[3]?.padStart(2, '0')}`;
  return { name: 'nic1', subnet: 'net', model: 'e1000', slot: 1, mac, ip };
}

/** A VM with one disk and one card. */
export function vmPlan(name: string, ip: string, origin: DiskOrigin): VmPlan {
  const disk = { name: 'root', sizeBytes: 128 * MIB, bus: 'virtio', storageClass: null, origin } as const;
  const nics = [nic(ip)];
  return { name, disks: [disk], isos: [], nics, templateNics: nics, cpu: 1, memoryBytes: 128 * MIB };
}

/** The first disk of a VM. */
export function diskOf({ disks }: VmPlan): VmPlan['disks'][number] {
  const [disk] = disks;
  if (!disk) throw new Error('no disk');
  return disk;
}

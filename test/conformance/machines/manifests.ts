import { snapshotClass, storageClass } from '../../harness/foreign-cluster.ts';
import { NAMESPACE } from './laboratory.ts';

/** A network of its own: VPC, subnet and attachment; `name` names the VPC. */
export function networkObjects(name: string, cidr: string) {
  const provider = `${name}.${NAMESPACE}.ovn`;
  const config = { cniVersion: '0.3.1', type: 'kube-ovn', provider };
  return {
    vpc: { metadata: { name }, spec: {} },
    attachment: { metadata: { name }, spec: { config: JSON.stringify(config) } },
    subnet: {
      metadata: { name: `${name}-subnet` },
      spec: { vpc: name, cidrBlock: cidr, provider, protocol: 'IPv4', enableDHCP: true },
    },
  };
}

/** Annotations that give a card or pod its place. */
export function place(network: string, ip: string): Record<string, string> {
  const prefix = `${network}.${NAMESPACE}.ovn.kubernetes.io`;
  return { [`${prefix}/logical_switch`]: `${network}-subnet`, [`${prefix}/ip_address`]: ip };
}

/** A pod in a network that runs a script of Node with arguments. */
export function scriptPod(name: string, options: { network: string; ip: string; image: string; args?: string[] }) {
  const { network, ip, image, args = [] } = options;
  return {
    metadata: {
      name,
      annotations: { 'v1.multus-cni.io/default-network': `${NAMESPACE}/${network}`, ...place(network, ip) },
    },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'script', image, args }],
    },
  };
}

/** A DataVolume as a template or as an object of its own. */
export function dataVolume(name: string, source: object, size?: string) {
  return {
    metadata: { name, annotations: { 'cdi.kubevirt.io/storage.bind.immediate.requested': '' } },
    spec: {
      source,
      storage: {
        ...(size === undefined ? {} : { resources: { requests: { storage: size } } }),
        ...(storageClass === undefined ? {} : { storageClassName: storageClass }),
      },
    },
  };
}

/** A VolumeSnapshot of a claim. */
export function volumeSnapshot(name: string, claim: string) {
  return {
    metadata: { name },
    spec: {
      source: { persistentVolumeClaimName: claim },
      ...(snapshotClass === undefined ? {} : { volumeSnapshotClassName: snapshotClass }),
    },
  };
}

/** A machine with a root disk, a cloud-init disc and one card. */
export function machine(name: string, options: { source: object; network: string; ip: string; mac: string }) {
  const { source, network, ip, mac } = options;
  return {
    metadata: { name },
    spec: {
      runStrategy: 'Manual',
      dataVolumeTemplates: [dataVolume(`${name}-root`, source, 'snapshot' in source ? undefined : '1Gi')],
      template: {
        metadata: { annotations: place(network, ip) },
        spec: {
          terminationGracePeriodSeconds: 60,
          domain: {
            memory: { guest: '256Mi' },
            devices: {
              disks: [
                { name: 'root', disk: { bus: 'virtio' } },
                { name: 'seed', disk: { bus: 'virtio' } },
              ],
              interfaces: [{ name: 'lan', model: 'e1000', macAddress: mac, bridge: {} }],
            },
          },
          networks: [{ name: 'lan', multus: { networkName: `${NAMESPACE}/${network}` } }],
          volumes: [
            { name: 'root', dataVolume: { name: `${name}-root` } },
            { name: 'seed', cloudInitNoCloud: { secretRef: { name: 'seed' } } },
          ],
        },
      },
    },
  };
}

/** Runs for the image `forwarder`: joins a port on the pod's loopback with a port of a guest. */
export const FORWARDER = [
  process.execPath,
  '-e',
  `const net = require('node:net');
   const [port, host, target] = process.argv.slice(1);
   net.createServer((client) => {
     const guest = net.connect(Number(target), host);
     client.pipe(guest).pipe(client);
     client.on('error', () => guest.destroy());
     guest.on('error', () => client.destroy());
   }).listen(Number(port), '127.0.0.1', () => console.log('ready'));`,
];

/** Runs for the image `probe`: tries to connect, reports whether it could, and ends with 0 or 1. */
export const PROBE = [
  process.execPath,
  '-e',
  `const net = require('node:net');
   const [host, port] = process.argv.slice(1);
   const socket = net.connect({ host, port: Number(port), timeout: 2000 });
   const end = (code, why) => { console.log(why); process.exit(code); };
   socket.on('connect', () => end(0, 'connected'));
   socket.on('timeout', () => end(1, 'timeout'));
   socket.on('error', (error) => end(1, error.code));`,
];

/** Runs for the image `listener`: accepts connections on a port of every address. */
export const LISTENER = [
  process.execPath,
  '-e',
  `require('node:net').createServer((client) => {
     // A probe ends as soon as it is connected.
     client.on('error', () => {});
     client.end('hello');
   }).listen(Number(process.argv[1]), '0.0.0.0');`,
];

import type { NicModel, VmSource } from './compiled.ts';

/** Defaults of the model for absent fields. Durations in milliseconds, sizes in bytes. */
export const DEFAULTS = {
  cpu: 2,
  memoryBytes: 4 * 2 ** 30,
  /** The only disk of a VM that lists none (and does not start from another module). */
  disk: { name: 'rootdisk', sizeBytes: 20 * 2 ** 30 },
  timeoutMs: 30 * 60_000,
  isoCacheTtlMs: 24 * 3_600_000,
  retries: 0,
  namespacePrefix: 'vm-',
  sshUsername: 'root',
  sshPort: 22,
  sshTimeoutMs: 5 * 60_000,
  shutdownTimeoutMs: 5 * 60_000,
  /** Label of the network card of a VM that lists none. */
  nicName: 'nic1',
} as const;

/**
 * The network card of a guest whose file names none, by the kind of its source: one that the guest has a driver for.
 * Kernels of cloud images have few drivers beside virtio; installers, Windows' among them, have no virtio. Null: the
 * parent's own.
 */
export const NIC_MODELS_BY_SOURCE = {
  url: 'virtio',
  containerDisk: 'virtio',
  sourcePvc: 'virtio',
  blank: 'e1000e',
  buildRef: null,
} as const satisfies Record<VmSource['kind'], NicModel | null>;

/** As the manifests of RudderVirt document it, for every kind of source. */
export const MANIFEST_NIC_MODEL = 'e1000';

/** The VPC for subnets that name none, and the subnet of modules that declare none. It has internet. */
export const AUTOMATIC_NETWORK = { name: 'default', cidr: '10.0.2.0/24' } as const;

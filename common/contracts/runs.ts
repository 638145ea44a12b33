import { z } from 'zod';
import type { CompiledModule, CompiledVm } from './module/compiled.ts';
import { durationUpTo } from './requested-durations.ts';

const MOST_MS = 30 * 24 * 3_600_000;

/** Body of `POST /images/{image}/runs`. */
export const runRequestSchema = z.strictObject({
  ttl: durationUpTo(MOST_MS, 'Write a duration such as 8h or 90m, of at most 720h.')
    .prefault('8h')
    .describe('How long the clone runs from when its first machine is up, at most 720h.'),
  sshKey: z
    .string()
    .max(16_384)
    .regex(/^[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\r\n]*)?\s*$/, 'The key must be one line of an OpenSSH public key.')
    .transform((text) => text.trim())
    .optional()
    .describe('A public key that may log in besides the key of the clone.'),
});

/** A clone of an image: all of its machines on a network of their own, until it is stopped or its time is over. */
export const runViewSchema = z.object({
  /** The clone is a build that makes no image: its events, consoles and machines are found under this id. */
  buildId: z.string(),
  /** `NAME:VERSION` */
  image: z.string(),
  /** Name of the token. */
  by: z.string().nullable(),
  state: z.enum(['starting', 'running', 'stopping', 'ended']),
  createdAt: z.int(),
  /** When its time is over; null before its first machine is up. Milliseconds since the Unix epoch. */
  until: z.int().nullable(),
  ttlMs: z.int(),
  cluster: z.string(),
  layerBuild: z.string(),
  vms: z.array(
    z.object({
      vm: z.string(),
      isUp: z.boolean(),
      /** It was up and is off now; the clone ends when all of its machines are. */
      isOff: z.boolean(),
    }),
  ),
});

export type RunView = z.infer<typeof runViewSchema>;

/**
 * The part of a module that its template keeps, so that clones of it can be made from the cluster alone: machines, cards and
 * network as they are when nothing is built, and how to log in; the password is sealed. No build settings.
 */
export function runnableModule({ imported: _imported, ...module }: CompiledModule): CompiledModule {
  return {
    ...module,
    vms: module.vms.map(runnableVm),
    network: {
      ...module.network,
      vpcs: module.network.vpcs.map((vpc) => (vpc.internet === 'build' ? { ...vpc, internet: 'never' } : vpc)),
    },
    buildOverrides: { vpcs: [], subnets: [], vms: [] },
    ...{ files: [], httpDirectory: [], httpFolder: null, maxAgeMs: null, retries: 0, notYetSupported: [] },
    secrets: module.secrets.filter(({ path }) => /\.(communicator\.sshPassword|cloudInit\.networkData)$/.test(path)),
  };
}

function runnableVm(vm: CompiledVm): CompiledVm {
  return {
    ...vm,
    source: { kind: 'blank' },
    ...{ disks: [], isos: [], floppy: [], bootCommand: [], steps: [], shutdownCommand: null },
    cloudInit: vm.cloudInit && { userData: null, userDataFrom: null, networkData: vm.cloudInit.networkData },
  };
}

import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { allowedAddress } from '../common/config/allowed-address.ts';
import { errorMessage, FarmError } from '../common/errors/farm-error.ts';
import { issueLines } from '../common/text/issue-lines.ts';

const configSchema = z.strictObject({
  /** Image name to the local command that a pod's container of that image runs as. */
  podCommands: z.record(z.string(), z.array(z.string()).min(1)).default({}),
  /** `off` never uses KVM; `auto` uses it where a trial machine runs under it. */
  kvm: z.enum(['auto', 'off']).default('auto'),
  /** Image files of this host by the name of a container disk's image. */
  containerDisks: z.record(z.string(), z.string()).default({}),
  /** How machines are connected: by KubeOVN's VPCs behind Multus, or on the pod network alone. */
  network: z.enum(['kube-ovn', 'pod']).default('kube-ovn'),
  /** Addresses that imports may reach. */
  fetch: z
    .strictObject({
      /** Loopback and private addresses that sources may lead to, as addresses, networks or names, with or without a port. */
      allowedAddresses: z.array(allowedAddress).default([]),
    })
    .prefault({}),
  /** Addresses that guests with internet may reach besides public ones. */
  guests: z
    .strictObject({
      /** Private IPv4 networks; link-local and metadata addresses are never reached. */
      allowedNetworks: z.array(z.cidrv4()).default([]),
    })
    .prefault({}),
  /** API groups of which nothing is installed, such as `export.kubevirt.io`. */
  absentGroups: z.array(z.string()).default([]),
  /** Namespaces that are there from the start, besides those that every cluster has. */
  namespaces: z.array(z.string()).default([]),
});

/** The configuration file of an embedded cluster (JSON), with its defaults filled in. */
export type EmbeddedConfig = z.infer<typeof configSchema>;

/**
 * Reads the configuration file; without one, everything has its default.
 * @throws FarmError InvalidConfig when it cannot be read or names an unknown option
 */
export async function readConfig(path: string | undefined): Promise<EmbeddedConfig> {
  if (path === undefined) return configSchema.parse({});
  try {
    return configSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    const why = cause instanceof z.ZodError ? issueLines(cause, 'the document').join('; ') : errorMessage(cause);
    throw new FarmError('InvalidConfig', `The configuration of the embedded cluster "${path}" is not valid: ${why}`, {
      cause,
    });
  }
}

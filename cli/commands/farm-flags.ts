import { resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import { z } from 'zod';
import { describeOptions } from '../../common/config/load-config.ts';
import { parseBytes } from '../../common/contracts/module/sizes.ts';
import type { NetworkKind } from '../../common/contracts/network-kinds.ts';
import { PHASES } from '../../common/contracts/phases.ts';
import { complaintAbout } from '../../common/fetch/allowed-addresses.ts';
import type { FarmOptions } from '../farm/farm-files.ts';
import { listenAddress, parseListen } from '../farm/listen-address.ts';
import { measureMachine, suitableLimits } from '../farm/machine-limits.ts';
import type { Settings } from '../farm/settings.ts';

/** Flags of `up`, as commander reads them. */
export interface UpFlags {
  readonly dataDir: string;
  readonly port: number;
  readonly listen?: { readonly host: string; readonly port: number };
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly vms?: number;
  readonly imports?: number;
  readonly cpu?: number;
  readonly memory?: number;
  readonly workers?: Record<string, number>;
  readonly failureRetention: string;
  readonly keepImages?: number;
  readonly maxImageAge?: string;
  readonly allowAddress?: readonly string[];
  readonly network: NetworkKind;
  readonly guestNetwork?: readonly string[];
  readonly auditLog?: string;
  readonly set?: Settings;
  readonly detach?: boolean;
  readonly json?: boolean;
}

/** The options of a farm: flags, and limits that suit this machine where a flag is absent. */
export function optionsOf(dataDir: string, flags: UpFlags): FarmOptions {
  const suitable = suitableLimits(measureMachine(dataDir));
  const listen = listenAddress(flags);
  const { vms = suitable.vms, imports = suitable.imports, cpu = suitable.cpu } = flags;
  return {
    ...{ dataDir, port: flags.port, workers: flags.workers ?? {}, failureRetention: flags.failureRetention },
    imageRetention: { keep: flags.keepImages, maxAge: flags.maxImageAge },
    limits: { vms, imports, cpu, memoryBytes: flags.memory ?? suitable.memoryBytes },
    allowedAddresses: flags.allowAddress ?? [],
    network: flags.network,
    guestNetworks: flags.guestNetwork ?? [],
    settings: flags.set ?? {},
    ...(listen === undefined ? {} : { listen }),
    ...(flags.auditLog === undefined ? {} : { auditLog: resolve(flags.auditLog) }),
  };
}

export function toListen(text: string) {
  const parsed = parseListen(text);
  if (!parsed) throw new InvalidArgumentError('Write ADDRESS or ADDRESS:PORT, such as 192.168.1.5:8443.');
  return parsed;
}

export function toCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

export function toBytes(text: string): number {
  const parsed = parseBytes(text);
  if ('complaint' in parsed) throw new InvalidArgumentError(`${parsed.complaint}.`);
  return parsed.value;
}

export function collectAddresses(text: string, former: readonly string[] = []): string[] {
  const addresses = text.split(',').map((part) => part.trim());
  for (const address of addresses) {
    const complaint = complaintAbout(address);
    if (complaint !== undefined) throw new InvalidArgumentError(`${complaint}.`);
  }
  return [...former, ...addresses];
}

export function collectNetworks(text: string, former: readonly string[] = []): string[] {
  if (!z.cidrv4().safeParse(text).success)
    throw new InvalidArgumentError('Write an IPv4 network, such as 10.1.0.0/16.');
  return [...former, text];
}

export function collectSettings(text: string, former: Settings = {}): Settings {
  const [path = '', ...value] = text.split('=');
  const isKnown = describeOptions().some((option) => option.path === path && option.variable !== '');
  if (!isKnown || value.length === 0) {
    throw new InvalidArgumentError(
      'Write OPTION=VALUE with an option of docs/configuration.md, such as http.limits.modules=25000.',
    );
  }
  return { ...former, [path]: value.join('=') };
}

export function collectWorkers(text: string, former: Record<string, number> | undefined): Record<string, number> {
  const [phase = '', count = ''] = text.split('=');
  if (!PHASES.some((known) => known === phase)) throw new InvalidArgumentError(`The phases are ${PHASES.join(', ')}.`);
  return { ...former, [phase]: toCount(count) };
}

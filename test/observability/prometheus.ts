import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { z } from 'zod';
import { packagePath } from '../../common/config/package-root.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { RULES_FILE } from './rules.ts';

/** What Prometheus reads. */
export interface ScrapeRequest {
  /** `host:port` by job. */
  readonly targets: Readonly<Record<string, readonly string[]>>;
  readonly token: string;
}

/** The values of a series, at seconds since the Unix epoch; NaN is what a quantile of nothing is. */
export interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly points: readonly { readonly at: number; readonly value: number }[];
}

/** A running Prometheus. */
export interface Prometheus {
  /** Evaluates an expression at every `stepSeconds` of a time. @throws FarmError with Prometheus's own words */
  queryRange(expr: string, span: { readonly from: number; readonly to: number }): Promise<Series[]>;
  /** How the evaluation of each rule went: `ok`, `err` or `unknown`, with the error. */
  rules(): Promise<{ name: string; health: string; error: string }[]>;
  /** Targets that do not answer, with the error. */
  downTargets(): Promise<string[]>;
}

const STEP_SECONDS = 2;

const answerSchema = z.object({ status: z.string(), error: z.string().optional(), data: z.unknown() });
const rangeSchema = z.object({
  result: z.array(
    z.object({ metric: z.record(z.string(), z.string()), values: z.array(z.tuple([z.number(), z.string()])) }),
  ),
});
const rulesSchema = z.object({
  groups: z.array(
    z.object({ rules: z.array(z.object({ name: z.string(), health: z.string(), lastError: z.string().default('') })) }),
  ),
});
const targetsSchema = z.object({
  activeTargets: z.array(z.object({ scrapeUrl: z.string(), health: z.string(), lastError: z.string() })),
});

/** The folder of Prometheus's programs. */
export async function prometheusFolder(): Promise<string> {
  const script = packagePath('test', 'observability', 'prometheus.sh');
  return (await promisify(execFile)('bash', [script])).stdout.trim();
}

/** Starts a Prometheus that scrapes and evaluates the farm's rules every second; ended by `resources`. */
export async function startPrometheus(request: ScrapeRequest, resources: ReleaseStack): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-prometheus-'));
  resources.defer('Prometheus data', () => rmSync(folder, { recursive: true, force: true }));
  const config = writeConfig(folder, request);
  const child = spawn(
    join(await prometheusFolder(), 'prometheus'),
    [`--config.file=${config}`, `--storage.tsdb.path=${folder}/data`, '--web.listen-address=127.0.0.1:0'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  resources.defer('Prometheus', async () => {
    if (child.exitCode === null && child.kill('SIGTERM')) await once(child, 'exit');
  });
  for await (const line of createInterface(child.stderr)) {
    const address = /msg="Listening on" address=(\S+)/.exec(line)?.[1];
    if (address === undefined) continue;
    child.stderr.resume();
    return connect(`http://${address}`);
  }
  throw new FarmError('FarmUnreachable', 'Prometheus ended before it listened.');
}

function writeConfig(folder: string, { targets, token }: ScrapeRequest): string {
  const tokenFile = join(folder, 'token');
  writeFileSync(tokenFile, token);
  chmodSync(tokenFile, 0o600);
  const file = join(folder, 'prometheus.yml');
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [RULES_FILE],
    scrape_configs: Object.entries(targets).map(([job_name, addresses]) => ({
      job_name,
      authorization: { type: 'Bearer', credentials_file: tokenFile },
      static_configs: [{ targets: addresses }],
    })),
  };
  writeFileSync(file, stringify(config));
  return file;
}

function connect(url: string): Prometheus {
  const get = async <T>(path: string, schema: z.ZodType<T>): Promise<T> => {
    const answer = answerSchema.parse(await (await fetch(`${url}/api/v1/${path}`)).json());
    if (answer.status !== 'success') throw new FarmError('InvalidRequest', answer.error ?? 'Prometheus refused it.');
    return schema.parse(answer.data);
  };
  return {
    queryRange: async (query, { from, to }) => {
      const times = { start: String(from / 1000), end: String(to / 1000), step: String(STEP_SECONDS) };
      const { result } = await get(`query_range?${new URLSearchParams({ query, ...times })}`, rangeSchema);
      return result.map(({ metric, values }) => ({
        labels: metric,
        points: values.map(([at, value]) => ({ at, value: Number(value) })),
      }));
    },
    rules: async () =>
      (await get('rules', rulesSchema)).groups.flatMap(({ rules }) =>
        rules.map(({ name, health, lastError }) => ({ name, health, error: lastError })),
      ),
    downTargets: async () =>
      (await get('targets', targetsSchema)).activeTargets
        .filter(({ health }) => health !== 'up')
        .map(({ scrapeUrl, lastError }) => `${scrapeUrl}: ${lastError}`),
  };
}

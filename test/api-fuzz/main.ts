import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MODULES, startApi, TOKEN } from '../api/live-api.ts';
import { cachedFolder } from '../harness/cached-folder.ts';

/*
 * Sends the HTTP API what its own description allows and forbids, by schemathesis: every answer must be one that is
 * described. Needs Python 3 with `venv`. What follows `--` is for schemathesis: `--seed S` makes a finding again.
 */
const SCHEMATHESIS = '4.32.5';
/** Some refusals depend on what the farm has, or on what a text means, which no schema expresses: these are described as answers. */
const BEYOND_SCHEMAS = 'positive_data_acceptance';
/** Statuses of an invalid request: its own, and 413 for a body that is over the limit. */
const REFUSALS = '[checks.negative_data_rejection]\nexpected-statuses = [400, 401, 403, 404, 406, 413, 422, 428]\n';
/** Longer than the farm holds an answer that waits. */
const ANSWER_S = 60;

const run = promisify(execFile);

const tools = await cachedFolder(`schemathesis-${SCHEMATHESIS}`, async (folder) => {
  await run('python3', ['-m', 'venv', '--copies', folder]);
  await run(join(folder, 'bin', 'python3'), ['-m', 'pip', 'install', '--quiet', `schemathesis==${SCHEMATHESIS}`]);
}).catch((error: unknown) => {
  throw new Error('Python 3 with its module venv is needed: `apt-get install python3-venv`.', { cause: error });
});

const api = await startApi({ requestsPerMinute: 1_000_000, refusalsPerMinute: 1_000_000 });
try {
  await api.reset();
  await api.client.submit({ files: [{ path: 'lab.yaml', text: MODULES }] });
  await api.work();
  const config = join(api.directory, 'schemathesis.toml');
  await writeFile(config, REFUSALS);
  const args = ['-m', 'schemathesis.cli', '--config-file', config, 'run', `${api.url}/api/openapi.json`];
  const options = [
    '--header',
    `Authorization: Bearer ${TOKEN}`,
    '--request-timeout',
    `${ANSWER_S}`,
    '--checks',
    'all',
    '--exclude-checks',
    BEYOND_SCHEMAS,
  ];
  const fuzzer = spawn(join(tools, 'bin', 'python3'), [...args, ...options, ...process.argv.slice(2)], {
    stdio: 'inherit',
    // It keeps what it found in the folder where it runs.
    cwd: api.directory,
  });
  [process.exitCode] = (await once(fuzzer, 'close')) as [number];
} finally {
  await api.close();
}

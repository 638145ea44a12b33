import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Submission } from '../../../cli/client/farm-client.ts';
import { printTable } from '../../../cli/output/table.ts';
import { assert, errorMessage } from '../../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import { startFarm, type TestFarm } from '../../harness/farm.ts';
import { type ServedFile, serveFile } from '../../harness/file-server.ts';
import { guestImages } from '../../harness/guest-images.ts';
import { imageModule, installedModules } from './modules.ts';
import { buildWithPacker, type PackerSource } from './packer.ts';

/*
 * The same images by Packer's qemu builder and by a farm on this machine, one after the other, without KVM on both sides.
 * Needs Debian's package `packer`. Wall times of the commands; what counts are the ratios.
 */
const BOOT_WAIT = 5;
const SCRIPTS = ['one', 'two', 'three', 'four'].map((word) => `echo ${word} >> /etc/layers`);
const { values } = parseArgs({ options: { out: { type: 'string' } } });

interface Comparison {
  readonly what: string;
  readonly packerMs: number;
  readonly slipwayMs: number;
  readonly target: string;
}

const resources = new ReleaseStack();
try {
  const comparisons = await compare();
  printTable(
    ['what', 'Packer', 'Slipway', 'ratio', 'target'],
    comparisons.map(({ what, packerMs, slipwayMs, target }) => [
      ...[what, seconds(packerMs), seconds(slipwayMs), (slipwayMs / packerMs).toFixed(2), target],
    ]),
  );
  if (values.out) writeFileSync(values.out, `${JSON.stringify({ comparisons }, null, 2)}\n`);
} catch (error) {
  process.stderr.write(`The comparison ended early. ${errorMessage(error)}\n`);
  process.exitCode = 1;
} finally {
  await resources.close();
}

async function compare(): Promise<Comparison[]> {
  const { cloudImage, installerIso } = await guestImages();
  const image = await served(cloudImage);
  const media = await served(installerIso);
  const farm = await startFarm();
  resources.defer('farm', () => farm.purge());
  const line = (http: string) => `install answers=http://${http}/answers.txt<enter>`;
  const bootLine = line('{{ .HTTPIP }}:{{ .HTTPPort }}');
  const installer = { kind: 'installer', path: installerIso, bootWait: `${BOOT_WAIT}s`, bootLine } as const;
  const installed = (scripts: readonly string[]) => installedModules(media, [`<wait${BOOT_WAIT}>`, bootLine], scripts);
  const changed = [...SCRIPTS.slice(0, -1), 'echo changed >> /etc/layers'];
  const onImage = {
    what: 'a cloud image and one script',
    packerMs: await packer({ kind: 'image', path: cloudImage }, SCRIPTS.slice(0, 1)),
    slipwayMs: await slipway(farm, imageModule(image, SCRIPTS.slice(0, 1))),
    target: '<= 1.0',
  };
  const onInstaller = {
    what: 'an installation by a typed line, and one script',
    packerMs: await packer(installer, SCRIPTS.slice(0, 1)),
    slipwayMs: await slipway(farm, installed(SCRIPTS.slice(0, 1))),
    target: '<= 0.7',
  };
  await slipway(farm, installed(SCRIPTS));
  const onLayers = {
    what: 'the last of four scripts has changed',
    packerMs: await packer(installer, changed),
    slipwayMs: await slipway(farm, installed(changed)),
    target: '<= 0.4',
  };
  return [onImage, onInstaller, onLayers];
}

async function served(path: string): Promise<ServedFile> {
  const file = await serveFile(path);
  resources.defer('media server', () => file.stop());
  return file;
}

async function packer(source: PackerSource, scripts: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'slipway-packer-'));
  try {
    return await buildWithPacker({ folder, source, scripts });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** From the submission to its end, ms. */
async function slipway({ client }: TestFarm, submission: Submission): Promise<number> {
  const start = performance.now();
  const { buildId } = await client.submit(submission);
  let outcome = '';
  for await (const event of client.events(buildId)) if (event.event === 'build-finished') outcome = event.outcome;
  assert(outcome === 'succeeded', `The build has ${outcome}.`);
  return performance.now() - start;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

import { once } from 'node:events';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { runCommand } from '../../embedded/host/run-command.ts';
import { startFarm } from '../harness/farm.ts';
import type { Measurement } from './measurement.ts';

const SIZE_BYTES = 2 * 1024 ** 3;
const ROUNDS = 2;
/** The farm runs it with this priority: on a busy machine another one would decide the ratio. */
const AS_THE_FARM = ['-n', '10'];
const PIECE = 1024 ** 2;

/** A disk of 2 GiB, all of it written, from the farm's cluster to a verified file, against `qemu-img` from file to file. */
export async function benchExport(): Promise<Measurement[]> {
  await using resources = new ReleaseStack();
  const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
  resources.defer('folder', () => rmSync(folder, { recursive: true }));
  const disk = join(folder, 'disk.raw');
  await writeProgramText(disk);
  const farm = resources.use('farm', await startFarm(), (started) => started.purge());
  const slipway = async (...args: string[]) => {
    const { exitCode, stderr } = await farm.slipway(...args);
    if (exitCode !== 0) throw new Error(`slipway ${args.join(' ')}: ${stderr}`);
  };
  const target = (name: string) => join(folder, `${name}.qcow2`);
  const convert = ['convert', '-c', '-m', '16', '-W', '-f', 'raw', '-O', 'qcow2', disk];
  const alone: number[] = [];
  const exported: number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    alone.push(await timeOf(() => runCommand('nice', [...AS_THE_FARM, 'qemu-img', ...convert, target('alone')])));
    // A version of its own, or the farm would have the file already.
    await changeFirstByte(disk, round);
    await slipway('image', 'import', disk, 'data');
    exported.push(await timeOf(() => slipway('image', 'export', 'data', '-o', target('exported'))));
  }
  const [least, export_] = [Math.min(...alone), Math.min(...exported)];
  return [
    { what: 'qemu-img convert of 2 GiB', value: least / 1000, unit: 's', target: '' },
    { what: 'export of 2 GiB', value: export_ / 1000, unit: 's', target: '' },
    { what: 'export against qemu-img convert', value: export_ / least, unit: 'x', target: '<= 1.3 x' },
  ];
}

/** Content as disks have it: this program, again and again, never the same at the same place of a cluster. */
async function writeProgramText(path: string): Promise<void> {
  await using program = await open(process.execPath);
  const { size } = await program.stat();
  const stream = createWriteStream(path);
  const piece = Buffer.alloc(PIECE);
  for (let at = 0; at < SIZE_BYTES; at += PIECE) {
    // Prime to the size of a cluster.
    await program.read(piece, 0, PIECE, (at + (at / PIECE) * 4_099) % (size - PIECE));
    if (!stream.write(Buffer.from(piece))) await once(stream, 'drain');
  }
  stream.end();
  await once(stream, 'close');
}

async function changeFirstByte(path: string, value: number): Promise<void> {
  await using file = await open(path, 'r+');
  await file.write(Buffer.from([value]), 0, 1, 0);
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}

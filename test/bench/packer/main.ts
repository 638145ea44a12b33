import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { printTable } from '../../../cli/output/table.ts';
import { systemClock } from '../../../common/clock/clock.ts';
import { assert, errorMessage } from '../../../common/errors/farm-error.ts';
import { ReleaseStack } from '../../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../../common/logging/logger.ts';
import { Confiner } from '../../../embedded/host/confinement.ts';
import { probeKvm } from '../../../embedded/qemu/probe-kvm.ts';
import { guestImages } from '../../harness/guest-images.ts';
import { findPacker } from './packer.ts';
import { type Figure, Rounds } from './rounds.ts';

/*
 * The same images by Packer's qemu builder, by a farm, and without either (the raw limit: QEMU until a login, and its
 * shutdown), one after the other on this machine, in several rounds. Each figure is printed as it comes; what counts are
 * the ratios. Packer and its qemu plugin are those on the PATH and in PACKER_PLUGIN_PATH. All three use KVM where it
 * works; `--kvm` fails where it does not. `--rounds N`, `--only image|installer|layers` (repeatable), `--out FILE`.
 */
const { values } = parseArgs({
  options: {
    kvm: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '2' },
    only: { type: 'string', multiple: true, default: ['image', 'installer', 'layers'] },
    out: { type: 'string' },
  },
});
const resources = new ReleaseStack();
const folder = mkdtempSync(join(tmpdir(), 'slipway-bench-'));
resources.defer('folder', () => rmSync(folder, { recursive: true, force: true }));
const figures: Figure[] = [];

try {
  const packer = await findPacker();
  const logger = createLogger({ name: 'bench', level: 'silent' });
  const confiner = await Confiner.open(folder, logger);
  const accelerator = (await probeKvm({ directory: folder, confiner, clock: systemClock, logger })) ? 'kvm' : 'tcg';
  assert(accelerator === 'kvm' || !values.kvm, 'KVM works on this machine, as --kvm asks.');
  console.log(`Packer ${packer.version} (${packer.plugins.join(', ') || 'bundled plugins'}), ${accelerator}`);
  if (!packer.isAnchor) console.log('Anything before Packer 1.11 is not an anchor: compare with a newer one.');
  const rounds = new Rounds({ folder, accelerator, guests: await guestImages() }, (figure) => {
    figures.push(figure);
    console.log(describe(figure));
    save({ packer, accelerator, figures });
  });
  for (let round = 1; round <= Number(values.rounds); round += 1) await rounds.run(round, values.only);
  const comparisons = rounds.compare();
  console.log(`The least of ${values.rounds} rounds:`);
  printTable(
    ['what', 'Packer', 'raw limit', 'Slipway', 'to Packer', 'target', 'to raw'],
    comparisons.map(({ what, packerMs, rawMs, slipwayMs, target }) => [
      ...[what, seconds(packerMs), seconds(rawMs), seconds(slipwayMs)],
      ...[ratio(slipwayMs, packerMs), target, ratio(slipwayMs, rawMs)],
    ]),
  );
  save({ packer, accelerator, figures, comparisons });
} catch (error) {
  process.stderr.write(`The comparison ended early. ${errorMessage(error)}\n`);
  process.exitCode = 1;
} finally {
  await resources.close();
}

function describe({ round, what, who, ms, parts }: Figure): string {
  const shares = Object.entries(parts).map(([name, share]) => `${name} ${seconds(share)}`);
  return `${round}  ${what.padEnd(44)}  ${who.padEnd(9)}  ${seconds(ms).padStart(7)}  ${shares.join(', ')}`.trimEnd();
}

function save(result: object): void {
  if (values.out) writeFileSync(values.out, `${JSON.stringify(result, null, 2)}\n`);
}

/** What `--only` leaves out is infinite. */
function seconds(ms: number): string {
  return Number.isFinite(ms) ? `${(ms / 1000).toFixed(2)} s` : '-';
}

function ratio(ms: number, toMs: number): string {
  return Number.isFinite(toMs) ? (ms / toMs).toFixed(2) : '-';
}

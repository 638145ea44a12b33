import type { FarmEvent } from '../../common/contracts/events.ts';
import { printable } from '../../common/text/printable.ts';
import { counted } from './print.ts';

/** More images than this are only counted. */
const MOST_LINES = 8;

/** The images of a successful build with the next commands; empty for other builds. */
export function describeSuccess(event: Extract<FarmEvent, { event: 'build-finished' }>): string[] {
  if (event.outcome !== 'succeeded') return [];
  const images = event.modules.flatMap(({ name, images: found }) => found.map((image) => ({ module: name, ...image })));
  if (images.length === 0) return [];
  const shown = images
    .slice(0, MOST_LINES)
    .map(({ module, vm, disk, snapshot }) => `  ${printable(`${module}/${vm} ${disk}: ${snapshot}`)}`);
  const more = images.length - shown.length;
  return [
    `${counted(images.length, 'image')}:`,
    ...shown,
    ...(more > 0 ? [`  and ${more} more`] : []),
    'List all images: slipway images. A module starts from one by `source: { buildRef: { name: MODULE } }`.',
  ];
}

import type { ImageView } from '../../common/contracts/images.ts';

const GIB = 2 ** 30;

/** The images that one stands on, or that stand on it. */
export function relatives(images: ImageView['standsOn']): string {
  return (
    images.map(({ module, version, current }) => `${module}:${version}${current ? '' : ' (older)'}`).join(', ') || '-'
  );
}

export function sizeText(bytes: number): string {
  return bytes >= GIB ? `${Number((bytes / GIB).toFixed(1))} GiB` : `${Number((bytes / 2 ** 20).toFixed(1))} MiB`;
}

import type { ImageView } from '../../common/contracts/images.ts';

/** The images that one stands on, or that stand on it. */
export function relatives(images: ImageView['standsOn']): string {
  return (
    images.map(({ module, version, current }) => `${module}:${version}${current ? '' : ' (older)'}`).join(', ') || '-'
  );
}

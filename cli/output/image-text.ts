import type { ImageView } from '../../common/contracts/images.ts';

/** The images that one is based on, or that are based on it. */
export function relatives(images: ImageView['basedOn']): string {
  return (
    images.map(({ module, version, current }) => `${module}:${version}${current ? '' : ' (older)'}`).join(', ') || '-'
  );
}

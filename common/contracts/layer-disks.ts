const SCHEME = 'layer:';

/** A disk of a layer. */
export interface LayerDiskName {
  readonly layerKey: string;
  readonly vm: string;
  readonly disk: string;
}

/** Source of a copy of such a disk in the plan of an import: `layer:KEY/VM/DISK`. No part of it has a slash. */
export function layerDiskUrl({ layerKey, vm, disk }: LayerDiskName): string {
  return `${SCHEME}${layerKey}/${vm}/${disk}`;
}

/** The disk that a URL names; undefined for any other URL. */
export function layerDiskOf(url: string): LayerDiskName | undefined {
  if (!url.startsWith(SCHEME)) return undefined;
  const [layerKey = '', vm = '', disk = ''] = url.slice(SCHEME.length).split('/');
  return { layerKey, vm, disk };
}

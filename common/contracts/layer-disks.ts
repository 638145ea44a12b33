const SCHEME = 'layer:';

/** A disk of a layer. */
export interface LayerDiskName {
  readonly layerKey: string;
  readonly vm: string;
  readonly disk: string;
}

/** What an importer's plan has for a copy of such a disk: `layer:KEY/VM/DISK`. No part of it has a slash. */
export function layerDiskUrl({ layerKey, vm, disk }: LayerDiskName): string {
  return `${SCHEME}${layerKey}/${vm}/${disk}`;
}

/** The disk that a URL names; undefined for any other URL. */
export function layerDiskOf(url: string): LayerDiskName | undefined {
  if (!url.startsWith(SCHEME)) return undefined;
  const [layerKey = '', vm = '', disk = ''] = url.slice(SCHEME.length).split('/');
  return { layerKey, vm, disk };
}

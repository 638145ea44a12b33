const GIB = 2 ** 30;

/** `1.5 GiB`, and what is smaller in MiB. */
export function sizeText(bytes: number): string {
  return bytes >= GIB ? `${Number((bytes / GIB).toFixed(1))} GiB` : `${Number((bytes / 2 ** 20).toFixed(1))} MiB`;
}

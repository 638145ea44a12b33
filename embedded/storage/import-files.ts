/** The files of an import, in its own directory, which is where its process starts. */
export const IMPORT_FILES = {
  /** The way out: see `NetworkDoor`. */
  door: 'door',
  /** As it came. */
  part: 'import.part',
  /** Layers of a container image as they came, the lowest first: `import.layer-0`. */
  layer: 'import.layer-',
  /** Unpacked. */
  plain: 'import.plain',
  /** The finished disk. */
  disk: 'import.qcow2',
} as const;

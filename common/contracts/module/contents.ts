import type { BlobUrl } from '../blobs.ts';
import type { Location } from './location.ts';

/** A hash that a source must have. */
export interface Checksum {
  readonly algorithm: 'md5' | 'sha1' | 'sha256' | 'sha512';
  /** Lower-case hexadecimal. */
  readonly hex: string;
}

/** A key of a ConfigMap or Secret on the cluster. */
export interface ObjectKeyRef {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly name: string;
  readonly key: string;
  readonly optional: boolean;
}

/** A file that lies beside the module, by its content in the farm's store. */
export interface LocalFile {
  readonly kind: 'file';
  readonly url: BlobUrl;
  readonly sizeBytes: number;
  /** Permission bits. */
  readonly mode: number;
}

/** A folder beside the module with everything in it. */
export interface LocalFolder {
  readonly kind: 'folder';
  /** In the order of their paths. */
  readonly entries: readonly LocalFolderEntry[];
}

export interface LocalFolderEntry {
  /** Below the folder, with `/` between names. */
  readonly path: string;
  /** Null: a folder. */
  readonly file: LocalFile | null;
}

export type LocalContent = LocalFile | LocalFolder;

export type ModuleFile =
  | { readonly name: string; readonly kind: 'inline'; readonly content: string }
  | ({ readonly name: string; readonly kind: 'url'; readonly checksum: Checksum | null } & Location)
  | { readonly name: string; readonly kind: 'local'; readonly content: LocalContent };

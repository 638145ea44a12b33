import { watch } from 'node:fs';
import { access } from 'node:fs/promises';

/** Waits for a file to be made in a directory that exists already. `stop` must be called in the end. */
export function watchAppearance(
  directory: string,
  path: string,
): { readonly appeared: Promise<void>; readonly stop: () => void } {
  let stop = () => {};
  const appeared = new Promise<void>((resolve) => {
    const look = () => void access(path).then(resolve, () => {});
    const watcher = watch(directory, look);
    stop = () => watcher.close();
    look();
  });
  return { appeared, stop };
}

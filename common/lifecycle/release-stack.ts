/** Something that must be undone; may be called once. */
export type Release = () => void | Promise<void>;

/**
 * Everything that is opened registers here how it is closed. `close` runs the releases in reverse order, continues when
 * one fails, and reports all failures together. A second close waits for the first one; each resource is released once.
 */
export class ReleaseStack implements AsyncDisposable {
  readonly #releases: { readonly name: string; readonly release: Release }[] = [];
  #closing: Promise<void> | undefined;

  /** Registers a release and hands the resource back. `name` appears in the error when releasing fails. */
  use<T>(name: string, resource: T, release: (resource: T) => void | Promise<void>): T {
    this.defer(name, () => release(resource));
    return resource;
  }

  /** Registers a release without a resource. */
  defer(name: string, release: Release): void {
    if (this.#closing) throw new Error(`"${name}" was opened after its owner began to close.`);
    this.#releases.push({ name, release });
  }

  /** Releases everything, last opened first. Throws an AggregateError when a release failed. */
  close(): Promise<void> {
    this.#closing ??= this.#releaseAll();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #releaseAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const { name, release } of this.#releases.reverse()) {
      try {
        await release();
      } catch (cause) {
        failures.push(new Error(`Could not release "${name}".`, { cause }));
      }
    }
    this.#releases.length = 0;
    if (failures.length > 0) throw new AggregateError(failures, 'Some resources were not released.');
  }
}

import { useState } from 'preact/hooks';
import { call } from '../api/client.ts';
import { ErrorNotice } from './notice.tsx';
import { Link } from './place.tsx';

/** Makes an image of a disk image at a URL. Local files are imported by the command line, which resumes interrupted uploads. */
export function ImportImage() {
  const [buildId, setBuildId] = useState<string>();
  const [error, setError] = useState<Error>();
  const [isAsking, setAsking] = useState(false);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const [module = '', url = '', checksum] = ['name', 'url', 'checksum'].map((field) =>
      String(form.get(field)).trim(),
    );
    const firmware = form.get('efi') === null ? 'bios' : 'efi';
    const body = { source: { url, ...(checksum ? { checksum } : {}) }, firmware } as const;
    setAsking(true);
    setError(undefined);
    setBuildId(undefined);
    call('importImage', { params: { module }, body })
      .then((answer) => setBuildId(answer.buildId), setError)
      .finally(() => setAsking(false));
  };
  return (
    <details class="push">
      <summary>Import an image</summary>
      <form onSubmit={submit}>
        <label>
          Name <input name="name" required placeholder="base" autocapitalize="off" spellcheck={false} />
        </label>
        <label>
          URL of a disk image{' '}
          <input name="url" type="url" required placeholder="https://…/disk.qcow2" autocapitalize="off" />
        </label>
        <label>
          Checksum <input name="checksum" placeholder="sha256:…" autocapitalize="off" spellcheck={false} />
        </label>
        <label>
          <input name="efi" type="checkbox" /> It boots by UEFI
        </label>
        <button type="submit" disabled={isAsking}>
          Import
        </button>
      </form>
      <p class="quiet">
        A file of your machine: <code>slipway image import FILE NAME</code>
      </p>
      {buildId !== undefined && (
        <p role="status">
          <Link href={`/builds/${buildId}`}>Open the build that imports it</Link>
        </p>
      )}
      <ErrorNotice error={error} />
    </details>
  );
}

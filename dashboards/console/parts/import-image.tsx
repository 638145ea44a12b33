import { call } from '../api/client.ts';
import { AskForm, typed } from './ask-form.tsx';
import { Link } from './place.tsx';

/** Makes an image of a disk image at a URL. Local files are imported by the command line, which resumes interrupted uploads. */
export function ImportImage() {
  return (
    <AskForm label="Import an image" ask={importImage}>
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
      <button type="submit">Import</button>
      <p class="quiet">
        A file of your machine: <code>slipway image import FILE NAME</code>
      </p>
    </AskForm>
  );
}

async function importImage(form: FormData) {
  const source = { url: typed(form, 'url') ?? '', checksum: typed(form, 'checksum') };
  const firmware = form.get('efi') === null ? 'bios' : 'efi';
  const { buildId } = await call('importImage', {
    params: { module: typed(form, 'name') ?? '' },
    body: { source, firmware },
  });
  return <Link href={`/builds/${buildId}`}>Open the build that imports it</Link>;
}

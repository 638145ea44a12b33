import { useState } from 'preact/hooks';
import { addressOf } from '../../../common/contracts/api/request.ts';
import type { ExportView } from '../../../common/contracts/exports.ts';
import { sizeText } from '../../../common/text/size-text.ts';
import { call } from '../api/client.ts';
import { ErrorNotice } from './notice.tsx';

interface ExportProps {
  /** `module:version` */
  readonly image: string;
  readonly vm: string;
  readonly disk: string;
}

/** Requests a file of a disk, shows its progress, and links to it when it is ready. */
export function ExportDisk({ image, vm, disk }: ExportProps) {
  const [view, setView] = useState<ExportView>();
  const [error, setError] = useState<Error>();
  const [isAsking, setAsking] = useState(false);
  const order = async () => {
    let found = await call('exportImage', { params: { image }, body: { vm, disk } });
    setView(found);
    while (found.state !== 'ready' && found.state !== 'failed') {
      found = await call('readExport', { params: { export: found.id }, query: { wait: 'true' } });
      setView(found);
    }
    if (found.error) setError(new Error(found.error.message));
  };
  const ask = () => {
    setAsking(true);
    setError(undefined);
    order()
      .catch(setError)
      .finally(() => setAsking(false));
  };
  if (view?.state === 'ready') {
    return (
      <a
        href={addressOf('downloadExport', { params: { export: view.id } })}
        download={view.fileName}
        title={`SHA-256 ${view.sha256}`}
      >
        {view.fileName} ({sizeText(view.sizeBytes ?? 0)})
      </a>
    );
  }
  return (
    <span>
      {isAsking ? (
        <span class="quiet" role="status">
          {view ? `${view.state}, ${view.percent} %` : 'asking'}
        </span>
      ) : (
        <button type="button" aria-label={`Export ${image} ${vm} ${disk}`} onClick={ask}>
          Export
        </button>
      )}
      <ErrorNotice error={error} />
    </span>
  );
}

import { sizeText } from '../../../common/text/size-text.ts';
import { call } from '../api/client.ts';
import { AskForm, typed } from './ask-form.tsx';

/** Removes old images, or shows which ones would be removed. `onChange` is called when some were. */
export function PruneImages({ onChange }: { onChange(): void }) {
  const prune = async (form: FormData) => {
    const keep = typed(form, 'keep');
    const { dryRun, images } = await call('pruneImages', {
      body: {
        ...(keep === undefined ? {} : { keep: Number(keep) }),
        maxAge: typed(form, 'maxAge'),
        untagged: typed(form, 'untagged'),
        dryRun: form.get('do') !== 'remove',
      },
    });
    if (!dryRun) onChange();
    const count = `${images.length} ${images.length === 1 ? 'image' : 'images'}`;
    return (
      <>
        {dryRun ? `${count} would be removed.` : `${count} removed.`}
        <ul>
          {images.map(({ module, version, sizeBytes, cluster }) => (
            <li key={`${module}:${version}`}>
              {module}:{version}, {sizeText(sizeBytes)} on {cluster}
            </li>
          ))}
        </ul>
      </>
    );
  };
  return (
    <AskForm label="Remove old images" ask={prune}>
      <label>
        Newest versions of each module that stay{' '}
        <input name="keep" type="number" min={1} max={1_000_000} placeholder="1" />
      </label>
      <label>
        Other versions stay for <input name="maxAge" placeholder="30d" autocapitalize="off" spellcheck={false} />
      </label>
      <label>
        Those without a tag, of modules that have tags{' '}
        <input name="untagged" placeholder="7d" autocapitalize="off" spellcheck={false} />
      </label>
      <button type="submit" name="do" value="look">
        Show what would go
      </button>
      <button type="submit" name="do" value="remove" class="danger">
        Remove them
      </button>
      <p class="quiet">An empty form stands for the retention in the configuration of the farm.</p>
    </AskForm>
  );
}

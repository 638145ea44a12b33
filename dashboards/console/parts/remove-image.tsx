import type { ImageView } from '../../../common/contracts/images.ts';
import { call } from '../api/client.ts';
import { AskForm } from './ask-form.tsx';

interface RemoveProps extends Pick<ImageView, 'module' | 'version'> {
  /** Called when it was removed. */
  onChange(): void;
}

/** Removes a version of a module. */
export function RemoveImage({ module, version, onChange }: RemoveProps) {
  const image = `${module}:${version}`;
  const remove = async (form: FormData) => {
    await call('removeImage', { params: { image }, query: { force: form.get('force') === null ? 'false' : 'true' } });
    onChange();
    return 'Removed';
  };
  return (
    <AskForm label="Remove" subject={image} ask={remove}>
      <label>
        <input name="force" type="checkbox" /> Even if it has a tag, or other images are based on it
      </label>
      <button type="submit" class="danger">
        Remove {image}
      </button>
    </AskForm>
  );
}

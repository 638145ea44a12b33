import type { ImageView } from '../../../common/contracts/images.ts';
import { call } from '../api/client.ts';
import { AskForm, typed } from './ask-form.tsx';

interface TagProps extends Pick<ImageView, 'module' | 'version'> {
  /** Called when a tag was set or removed. */
  onChange(): void;
}

/** Sets tags of a module on one of its versions, and removes them. */
export function TagImage({ module, version, onChange }: TagProps) {
  const change = async (form: FormData) => {
    const tag = typed(form, 'tag') ?? '';
    const params = { module, tag };
    if (form.get('do') === 'remove') {
      await call('untagImage', { params });
      onChange();
      return `@${tag} is removed`;
    }
    const { formerVersion } = await call('tagImage', { params, body: { version } });
    onChange();
    const hasMoved = formerVersion !== null && formerVersion !== version;
    return `@${tag} is version ${version}${hasMoved ? `, it was ${formerVersion}` : ''}`;
  };
  return (
    <AskForm label="Tag" subject={`${module}:${version}`} ask={change}>
      <label>
        Tag <input name="tag" required placeholder="stable" autocapitalize="off" spellcheck={false} />
      </label>
      <button type="submit" name="do" value="set">
        Set it
      </button>
      <button type="submit" name="do" value="remove">
        Remove it from {module}
      </button>
    </AskForm>
  );
}

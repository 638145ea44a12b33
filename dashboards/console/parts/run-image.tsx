import { call } from '../api/client.ts';
import { AskForm, typed } from './ask-form.tsx';
import { Link } from './place.tsx';

/** Starts a clone of an image (`module:version`). */
export function RunImage({ image }: { readonly image: string }) {
  const run = async (form: FormData) => {
    await call('runImage', { params: { image }, body: { ttl: typed(form, 'ttl'), sshKey: typed(form, 'sshKey') } });
    return (
      <>
        Starting: see <Link href="/runs">Clones</Link>
      </>
    );
  };
  return (
    <AskForm label="Run" subject={image} ask={run}>
      <label>
        It runs for <input name="ttl" defaultValue="8h" autocapitalize="off" spellcheck={false} />
      </label>
      <label>
        Public key that may log in{' '}
        <input name="sshKey" placeholder="ssh-ed25519 …" autocapitalize="off" spellcheck={false} />
      </label>
      <button type="submit">Start a clone</button>
    </AskForm>
  );
}

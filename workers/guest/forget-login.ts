import { readFileSync } from 'node:fs';
import { packagePath } from '../../common/config/package-root.ts';
import type { GuestConnection } from './guest-connection.ts';
import { quote } from './supervisor.ts';

const SCRIPT = readFileSync(packagePath('workers/guest/forget-login.sh'), 'utf8');

/** As root where that takes no password, else as the account itself. */
const RUN = 'run=; [ "$(id -u)" = 0 ] || ! sudo -n true 2>/dev/null || run="sudo -n"; exec $run sh -s';

/** No image carries the key of its build. What cannot be edited stays: the private half is thrown away anyway. */
export async function forgetLogin(
  guest: GuestConnection,
  { publicKey, username }: { readonly publicKey: string; readonly username: string },
): Promise<void> {
  // By standard input: sudo writes the command line to a log.
  const input = `key=${quote(publicKey)} user=${quote(username)}\n${SCRIPT}`;
  await guest.exec(`sh -c ${quote(RUN)}`, { input });
}

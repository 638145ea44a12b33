import { readFileSync } from 'node:fs';
import { packagePath } from '../../../common/config/package-root.ts';
import { readUserData } from '../../../common/contracts/user-data/kinds.ts';
import { quote } from '../../guest/shell-words.ts';

/** Account that must be able to log in. */
export interface Login {
  readonly username: string;
  /** Lines of `authorized_keys`. */
  readonly publicKeys: readonly string[];
}

/**
 * Stands in every file that cloud-init makes of the farm's part, below `/var/lib/cloud` and in its logs: no image keeps
 * them.
 */
export const LOGIN_HOOK = 'slipway-login';

const SCRIPT = ['workers/guest/key-files.sh', 'workers/phases/import/login-hook.sh']
  .map((file) => readFileSync(packagePath(file), 'utf8'))
  .join('\n');
const BOUNDARY = 'slipway-user-data';
const LINE = /.{1,76}/g;

/**
 * User data that lets the farm in: a MIME message of the module's user data, byte for byte, and a boot hook of the farm.
 * cloud-init finds out by itself what each part is, so that everything that works as user data works here, with the meaning
 * that it has alone: it is neither parsed nor changed.
 */
export function withLogin(userData: Uint8Array | null, login: Login): Buffer {
  const given = userData && readUserData(userData);
  const hook = part('text/cloud-boothook', loginHook(login), { filename: LOGIN_HOOK });
  const parts = given && given.content.length > 0 ? [givenPart(given), hook] : [hook];
  const boundary = unusedBoundary(parts);
  const header = `Content-Type: multipart/mixed; boundary="${boundary}"\nMIME-Version: 1.0\n`;
  const bodies = parts.flatMap((body) => [Buffer.from(`\n--${boundary}\n`), body]);
  return Buffer.concat([Buffer.from(header), ...bodies, Buffer.from(`\n--${boundary}--\n`)]);
}

/** A MIME message is a part as it is: its own header marks it. */
function givenPart({ content, kind }: ReturnType<typeof readUserData>): Buffer {
  return kind === 'mime' ? content : part('text/plain; charset="utf-8"', content);
}

function part(type: string, content: Buffer, { filename }: { readonly filename?: string } = {}): Buffer {
  const lines = [
    `Content-Type: ${type}`,
    'Content-Transfer-Encoding: base64',
    ...(filename === undefined ? [] : [`Content-Disposition: attachment; filename="${filename}"`]),
    '',
    ...(content.toString('base64').match(LINE) ?? []),
  ];
  return Buffer.from(lines.join('\n'));
}

function loginHook({ username, publicKeys }: Login): Buffer {
  const given = `user=${quote(username)}\nkey=${quote(publicKeys.join('\n'))}\n`;
  return Buffer.from(`#cloud-boothook\n#!/bin/sh\n# ${LOGIN_HOOK}\n${given}${SCRIPT}`);
}

function unusedBoundary(parts: readonly Buffer[]): string {
  let boundary = BOUNDARY;
  while (parts.some((body) => body.includes(boundary))) boundary += '-';
  return boundary;
}

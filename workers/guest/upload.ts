import { randomBytes } from 'node:crypto';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FarmError } from '../../common/errors/farm-error.ts';
import { PhaseFailure } from '../context/phase-failure.ts';
import type { GuestConnection } from './guest-connection.ts';
import { ShellFrames, type ShellPiece } from './shell-frames.ts';
import { quote } from './shell-words.ts';

export interface GuestUpload {
  /** Absolute path in the guest; its folder must be there. */
  readonly destination: string;
  readonly sizeBytes: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly content: () => Readable;
  /** Permission bits to give it; without them those of an existing file stay, else the guest's default. */
  readonly mode?: number;
}

/** Any login shell understands it: the first line of the input is the command, the rest is the file. */
const RECEIVE = `exec sh -c 'IFS= read -r line && eval "$line"'`;
/** Less than the longest message of a guest about a file. */
const MOST_OUTPUT = 4096;

/**
 * Streams a file into the guest, over an existing one (keeping its owner and mode), makes it durable and checks the
 * result: its size, and its hash where the guest can compute it. It needs no SFTP in the guest. Call again after
 * ConnectionLost.
 * @throws PhaseFailure GuestDiskFull, or StepFailed with the message of the guest.
 */
export async function uploadFile(guest: GuestConnection, upload: GuestUpload): Promise<void> {
  const { destination, sizeBytes, sha256, mode } = upload;
  const mark = randomBytes(16).toString('hex');
  const { channel, exited } = await guest.open(RECEIVE);
  const answer = readAnswer(channel, mark);
  channel.write(`${receiving(destination, { mark, mode })}\n`);
  const sent = pipeline(upload.content(), channel).then(
    () => undefined,
    (error: unknown) => error,
  );
  // A guest that refuses the file ends the command before it has read everything.
  await exited;
  const { output, words } = await answer;
  const [outcome, size, hash] = words;
  if (outcome !== 'stored') throw refusedUpload(destination, output);
  const broken = await sent;
  if (broken) throw new FarmError('ConnectionLost', 'The connection was lost during the upload.', { cause: broken });
  if (Number(size) === sizeBytes && (hash === undefined || hash === sha256)) return;
  throw new FarmError('ConnectionLost', `The file "${destination}" did not arrive whole (${size} of ${sizeBytes}).`);
}

/** One line of `sh`, for any file name. */
function receiving(destination: string, { mark, mode }: { mark: string; mode: number | undefined }): string {
  const path = [...Buffer.from(destination)].map((byte) => `\\0${byte.toString(8).padStart(3, '0')}`).join('');
  const chmod = mode === undefined ? '' : ` && chmod ${mode.toString(8)} "$file"`;
  const answer = (words: string) => `printf '\\n%s %s\\n' ${mark} "${words}"`;
  return [
    'exec 2>&1',
    `file=$(printf %b ${quote(`${path}.`)})`,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of the shell
    'file=${file%.}',
    answer('receiving'),
    `if cat >"$file"${chmod} && sync; then set -- $(wc -c <"$file") $(sha256sum <"$file" 2>/dev/null); ${answer('stored $1 $2')}; fi`,
  ].join('; ');
}

/** Message of the guest after it began to receive; the output of the shell's start files comes before. */
async function readAnswer(channel: AsyncIterable<Buffer> & { stderr: Readable }, mark: string) {
  const frames = new ShellFrames(mark);
  let output = '';
  let words: string[] = [];
  const take = (piece: ShellPiece) => {
    if ('bytes' in piece) {
      output += piece.bytes.toString('utf8', 0, MOST_OUTPUT - output.length);
      return;
    }
    words = piece.answer.split(' ').filter(Boolean);
    if (words[0] === 'receiving') output = '';
  };
  channel.stderr.resume();
  try {
    for await (const chunk of channel) for (const piece of frames.push(chunk)) take(piece);
  } catch {
    // Its exit code has more information.
  }
  return { output: output.trim(), words };
}

/** The guest's refusal of a file or folder, as a failure of the module. */
export function refusedUpload(destination: string, output: string): PhaseFailure {
  const reason = /no space left|quota exceeded/i.test(output) ? 'GuestDiskFull' : 'StepFailed';
  return new PhaseFailure(reason, `The guest refused "${destination}": ${output || 'it gave no reason'}`);
}

import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { FarmError } from '../../common/errors/farm-error.ts';
import { PhaseFailure } from '../phases/phase-executor.ts';
import type { GuestConnection } from './guest-connection.ts';
import { quote } from './supervisor.ts';

export interface Upload {
  /** Absolute path in the guest; its folder must be there. */
  readonly destination: string;
  readonly sizeBytes: number;
  /** Lower-case hexadecimal. */
  readonly sha256: string;
  readonly content: () => Readable;
  /** Permission bits to give it; without them those of what is there stay, or are the guest's default. */
  readonly mode?: number;
}

/**
 * Streams a file into the guest, over what is there (keeping its owner and mode), makes it durable and checks what
 * arrived: its size, and its hash where the guest can tell it. It needs no SFTP in the guest. Call again after
 * ConnectionLost.
 * @throws PhaseFailure GuestDiskFull, or StepFailed with what the guest said.
 */
export async function uploadFile(guest: GuestConnection, upload: Upload): Promise<void> {
  const target = quote(upload.destination);
  const chmod = upload.mode === undefined ? '' : ` && chmod ${upload.mode.toString(8)} ${target}`;
  const { channel, exited } = await guest.open(`cat >${target}${chmod} && sync`);
  let complaint = '';
  channel.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk.toString().slice(0, 4096 - complaint.length);
  });
  channel.resume();
  const sent = pipeline(upload.content(), channel).then(
    () => undefined,
    (error: unknown) => error,
  );
  // A guest that refuses the file ends the command before it has read everything.
  const exitCode = await exited;
  if (exitCode !== 0) throw refusedUpload(upload.destination, complaint.trim());
  const broken = await sent;
  if (broken) throw new FarmError('ConnectionLost', 'The upload broke off.', { cause: broken });
  await verify(guest, upload, target);
}

async function verify(guest: GuestConnection, { destination, sizeBytes, sha256 }: Upload, target: string) {
  const { stdout } = await guest.exec(`wc -c <${target}; sha256sum <${target} 2>/dev/null || :`);
  const [size = '', hash = ''] = stdout.trim().split(/\s+/);
  if (Number(size) === sizeBytes && (hash === '' || hash === sha256)) return;
  throw new FarmError('ConnectionLost', `The file "${destination}" did not arrive whole (${size} of ${sizeBytes}).`);
}

/** What the guest said of a file or folder that it did not take, as a failure of the module. */
export function refusedUpload(destination: string, said: string): PhaseFailure {
  const reason = /no space left|quota exceeded/i.test(said) ? 'GuestDiskFull' : 'StepFailed';
  return new PhaseFailure(reason, `The guest refused "${destination}": ${said || 'it did not say why'}`);
}

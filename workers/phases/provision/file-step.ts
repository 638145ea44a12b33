import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { FileStep } from '../../../common/contracts/module/compiled.ts';
import { FarmError } from '../../../common/errors/farm-error.ts';
import { readPlannedObject } from '../../cluster/object-content.ts';
import { guestStatus, markStep, prepareStep } from '../../guest/supervisor.ts';
import { uploadFile } from '../../guest/upload.ts';
import { type ReadyFile, readyFile, withModuleFiles } from '../import/module-files.ts';
import { fence, type StepContext, type StepOutcome } from './step-context.ts';

/**
 * Puts a file into the guest; interrupted, it is put there again.
 * @throws PhaseFailure StepFailed, GuestDiskFull, SourceUnreachable, ChecksumMismatch or SourceChanged
 */
export async function runFileStep(context: StepContext<FileStep>): Promise<StepOutcome> {
  const { access, build, index } = context;
  const done = await access.link.use(async (guest) => (await guestStatus(guest, build)).steps.get(index)?.state);
  if (done !== 'exited') await withContent(context, (file) => put(context, file));
  return { exitCode: null };
}

async function put(context: StepContext<FileStep>, file: ReadyFile): Promise<void> {
  const { access, build, index, step } = context;
  await fence(context);
  await access.link.use(async (guest) => {
    const directory = await prepareStep(guest, build, index);
    await uploadFile(guest, { ...file, destination: step.destination });
    await markStep(guest, directory, 0);
  });
}

async function withContent(context: StepContext<FileStep>, use: (file: ReadyFile) => Promise<void>): Promise<void> {
  const { phase, step, signal } = context;
  if (step.source) {
    const bytes = await readPlannedObject(phase, step.source, signal);
    // Optional, and not there: then neither is the file.
    if (bytes === null) return;
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const content = () => Readable.from([bytes], { objectMode: false });
    return use({ name: step.source.key, sizeBytes: bytes.length, sha256, content });
  }
  if (step.fileRef === null) throw new FarmError('InvalidModule', 'A file step names neither a file nor a source.');
  await withModuleFiles({ ...phase, signal }, [step.fileRef], async (contents) => {
    // No values: templates belong to what is served while booting.
    for (const content of contents) await use(await readyFile(content, {}));
  });
}

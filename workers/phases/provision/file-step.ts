import { hash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { LocalFolder } from '../../../common/contracts/module/contents.ts';
import type { FileStep } from '../../../common/contracts/module/steps/file.ts';
import { readPlannedObject } from '../../cluster/object-content.ts';
import { openLocalFile } from '../../files/local-files.ts';
import { moduleFiles, type ReadyFile, readyFile, withFiles } from '../../files/module-files.ts';
import type { GuestConnection } from '../../guest/guest-connection.ts';
import { supervisorOf } from '../../guest/supervisor.ts';
import { uploadFile } from '../../guest/upload.ts';
import { type TreeEntry, uploadTree } from '../../guest/upload-tree.ts';
import { fence, guestIndex, type StepContext, type StepOutcome } from './step-context.ts';

/**
 * Puts a file into the guest; interrupted, it is put there again.
 * @throws PhaseFailure StepFailed, GuestDiskFull, SourceUnreachable, ChecksumMismatch or SourceChanged
 */
export async function runFileStep(context: StepContext<FileStep>): Promise<StepOutcome> {
  const { access, build } = context;
  const index = guestIndex(context);
  const done = await access.link.use(async (guest) => (await supervisorOf(guest, build)).status(index)?.state);
  if (done === 'exited') return { exitCode: null };
  const { destination } = context.step;
  const folder = folderOf(context);
  if (folder) await put(context, (guest) => uploadTree(guest, { destination, entries: treeOf(context, folder) }));
  else {
    await withContent(context, (file) => put(context, (guest) => uploadFile(guest, { ...file, destination })));
  }
  return { exitCode: null };
}

async function put(context: StepContext<FileStep>, upload: (guest: GuestConnection) => Promise<void>): Promise<void> {
  const { access, build } = context;
  await access.link.use(async (guest) => {
    // Loading it ends the connections of other workers, so the one that passes the fence is the only one.
    const supervisor = await supervisorOf(guest, build);
    await fence(context);
    await upload(guest);
    await supervisor.mark(guestIndex(context), 0);
  });
}

/** Files of a step that uploads a local folder. */
function folderOf({ phase, step }: StepContext<FileStep>): LocalFolder | null {
  const file = phase.claim.spec.module.files.find(({ name }) => name === step.fileRef);
  const local = step.local ?? (file?.kind === 'local' ? file.content : null);
  return local?.kind === 'folder' ? local : null;
}

function treeOf({ phase, signal }: StepContext<FileStep>, { entries }: LocalFolder): TreeEntry[] {
  return entries.map(({ path, file }) => ({
    path,
    file: file && { ...file, content: () => openLocalFile({ ...phase, signal }, file) },
  }));
}

async function withContent(context: StepContext<FileStep>, use: (file: ReadyFile) => Promise<void>): Promise<void> {
  const { phase, step, signal } = context;
  if (step.source) {
    const bytes = await readPlannedObject(phase, step.source, signal);
    // Optional, and not there: then neither is the file.
    if (bytes === null) return;
    const sha256 = hash('sha256', bytes);
    const content = () => Readable.from([bytes], { objectMode: false });
    return use({ name: step.source.key, sizeBytes: bytes.length, sha256, content });
  }
  const files = step.local
    ? [{ name: step.destination, kind: 'local', content: step.local } as const]
    : moduleFiles(phase.claim.spec.module, step.fileRef === null ? [] : [step.fileRef]);
  await withFiles({ ...phase, signal }, files, async (contents) => {
    // No values: templates belong to files served while booting.
    for (const content of contents) await use(await readyFile(content, {}));
  });
}

import { SCRIPT_REMEDY } from '../../text/script-text.ts';
import { beside, type Found, type LocalFileItem, type LocalFolderItem, type LocalLookup } from '../local-files.ts';
import type { Cursor } from './cursor.ts';
import { quoted } from './parsed.ts';
import type { Report, Rule } from './rule.ts';
import { nameOfFile } from './rules-files.ts';

/** Use that a module makes of the item at a path. */
type LocalUse = 'image' | 'iso' | 'script' | 'content' | 'folder';

/** Every place of a body that names a path beside the module file. */
export function localUses(body: Cursor): { readonly at: Cursor; readonly use: LocalUse }[] {
  const uses: { at: Cursor; use: LocalUse }[] = [];
  for (const vm of body.list('vms')) {
    uses.push({ at: vm.at('source', 'path'), use: 'image' });
    for (const iso of vm.list('isos')) uses.push({ at: iso.at('path'), use: 'iso' });
    for (const step of vm.list('provisioners')) {
      uses.push({ at: step.at('shell', 'script'), use: 'script' }, { at: step.at('file', 'path'), use: 'content' });
    }
  }
  for (const file of body.list('files')) uses.push({ at: file.at('path'), use: 'content' });
  uses.push({ at: body.at('httpDirectory', 'path'), use: 'folder' });
  return uses.filter(({ at }) => at.isPresent);
}

/** Local files that a module names must exist and fit their use. */
export function localFileRule(moduleFile: string, lookup: LocalLookup): Rule {
  const find = (written: string): Found => {
    const path = beside(moduleFile, written);
    return lookup(path) ?? { complaint: notSent(path) };
  };
  return (body, report) => {
    for (const { at, use } of localUses(body)) {
      if (at.text === null || at.text.includes('${var.')) continue;
      const found = find(at.text);
      if ('complaint' in found) {
        report(at, 'LocalFile', `${quoted(at.text)} ${found.complaint}`);
        continue;
      }
      for (const doubt of found.doubts ?? []) report(at, 'LocalFile', `${quoted(at.text)} ${doubt}`, 'warning');
      checkUse({ at, use, item: found.item, report });
    }
    checkFloppies(body, find, report);
  };
}

function notSent(path: string): string {
  return `was not sent with the build: list it in "localFiles" as ${quoted(path)} with its sha256 and sizeBytes, and put its content at /api/v1/blobs/SHA256 first; the command line does both`;
}

interface UsedItem {
  readonly at: Cursor;
  readonly use: LocalUse;
  readonly item: LocalFileItem | LocalFolderItem;
  readonly report: Report;
}

const USED_AS: Readonly<Record<Exclude<LocalUse, 'content' | 'folder'>, string>> = {
  image: 'a disk image',
  iso: 'an ISO',
  script: 'a script',
};

/** A script goes through the worker's memory. */
const MAX_SCRIPT_BYTES = 4 * 2 ** 20;

function checkUse({ at, use, item, report }: UsedItem): void {
  const complaint = complaintOf(use, item);
  if (complaint !== null) report(at, 'LocalFile', `${quoted(at.text)} ${complaint}`);
  const doubt = doubtOf(use, item);
  if (doubt !== null) report(at, 'LocalFile', `${quoted(at.text)} ${doubt}`, 'warning');
}

function complaintOf(use: LocalUse, item: LocalFileItem | LocalFolderItem): string | null {
  if (use === 'content') return null;
  if (use === 'folder') {
    return item.kind === 'folder' ? null : 'is a file: name a folder here, or the file under "files"';
  }
  if (item.kind === 'folder') return `is a folder: ${USED_AS[use]} is a file`;
  const { sizeBytes, shows } = item;
  if (use === 'script') {
    if (shows?.notAScript) return `is ${shows.notAScript}: ${SCRIPT_REMEDY}`;
    const isLarge = sizeBytes > MAX_SCRIPT_BYTES;
    return isLarge ? `has ${sizeBytes} bytes: a script may have ${MAX_SCRIPT_BYTES}; put it by a file step` : null;
  }
  if (sizeBytes === 0) return `is empty: it is not ${USED_AS[use]}`;
  if (use === 'iso') return shows && !shows.isIso ? 'holds no ISO 9660 or UDF file system: it is not an ISO' : null;
  return shows?.notAnImage ? `is ${shows.notAnImage}` : null;
}

function doubtOf(use: LocalUse, item: LocalFileItem | LocalFolderItem): string | null {
  if (item.kind === 'folder') return use === 'folder' && item.items.size === 0 ? 'is an empty folder' : null;
  if (use !== 'script') return null;
  if (item.sizeBytes === 0) return 'is an empty script';
  return item.shows?.hasCrlf
    ? 'has lines that end with CR LF, as Windows writes them: it runs with plain line ends'
    : null;
}

/** All files of a floppy are in one Secret of the cluster. */
const MAX_FLOPPY_BYTES = 900 * 1024;

function checkFloppies(body: Cursor, find: (written: string) => Found, report: Report): void {
  const paths = new Map(body.list('files').map((file) => [nameOfFile(file), file.at('path').text]));
  for (const vm of body.list('vms')) {
    let totalBytes = 0;
    for (const reference of vm.list('floppy', 'files')) {
      const name = reference.at('name');
      const path = paths.get(name.text ?? '') ?? null;
      const found = path === null ? null : find(path);
      if (!found || 'complaint' in found) continue;
      if (found.item.kind === 'folder') {
        report(name, 'LocalFile', `${quoted(name.text)} is a folder, and a floppy holds files only: name its files`);
        continue;
      }
      totalBytes += found.item.sizeBytes;
      if (totalBytes <= MAX_FLOPPY_BYTES) continue;
      report(name, 'LocalFile', `the files of a floppy may have ${MAX_FLOPPY_BYTES} bytes together, not ${totalBytes}`);
    }
  }
}

import { readFileSync } from 'node:fs';

/** State of a process, as the kernel reports it (proc(5)). */
export interface ProcessView {
  readonly user: number;
  /** Further groups, blanks between them. */
  readonly groups: string;
  /** Those in effect, in hexadecimal. */
  readonly capabilities: string;
  /** 2: a filter decides which system calls it may make. */
  readonly seccomp: number;
  readonly argv: readonly string[];
  readonly environment: readonly string[];
  /** Where its file system begins, as this process sees it. */
  readonly root: string;
}

/** @throws when there is no such process */
export function viewProcess(pid: number): ProcessView {
  const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'utf8');
  const status = read('status');
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim() ?? '';
  const words = (name: string) => read(name).split('\0').slice(0, -1);
  return {
    user: Number(field('Uid').split('\t')[0]),
    groups: field('Groups'),
    capabilities: field('CapEff'),
    seccomp: Number(field('Seccomp')),
    argv: words('cmdline'),
    environment: words('environ'),
    root: `/proc/${pid}/root`,
  };
}

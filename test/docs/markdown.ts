import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { packagePath } from '../../common/config/package-root.ts';

/** A fenced block of code: the word after the fence, and what is inside. */
export interface FencedBlock {
  readonly language: string;
  readonly text: string;
}

const NOT_OURS = ['.git', 'node_modules', 'dist', 'coverage'];
const FENCE = /^```(\w*)\n(.*?)^```$/gms;

/** Every page of the repository, as paths from its root. */
export function markdownPages(): string[] {
  return readdirSync(packagePath(), { withFileTypes: true })
    .flatMap((entry) => {
      if (!entry.isDirectory()) return [entry.name];
      if (NOT_OURS.includes(entry.name)) return [];
      const below = readdirSync(packagePath(entry.name), { recursive: true, encoding: 'utf8' });
      return below.map((path) => join(entry.name, path));
    })
    .filter((path) => path.endsWith('.md'))
    .sort();
}

export function fencedBlocks(markdown: string): FencedBlock[] {
  return [...markdown.matchAll(FENCE)].map(([, language = '', text = '']) => ({ language, text }));
}

/** Targets of inline links, without those that are in code. */
export function linkTargets(markdown: string): string[] {
  const prose = markdown.replace(FENCE, '').replace(/`[^`\n]*`/g, '');
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
}

/** Anchors of the headings, made as GitHub makes them: lower case, no punctuation, hyphens for spaces. */
export function headingAnchors(markdown: string): Set<string> {
  const headings = [...markdown.replace(FENCE, '').matchAll(/^#{1,6} +(.+)$/gm)];
  const anchors = new Set<string>();
  for (const [, heading = ''] of headings) {
    const anchor = heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-');
    let unique = anchor;
    for (let again = 1; anchors.has(unique); again += 1) unique = `${anchor}-${again}`;
    anchors.add(unique);
  }
  return anchors;
}

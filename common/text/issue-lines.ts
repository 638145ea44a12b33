import type { z } from 'zod';

/** A line for each issue of a value that its schema refused: `body.expires: what is wrong`. `root` names the whole value. */
export function issueLines({ issues }: z.ZodError, root?: string): string[] {
  return issues.map(({ path, message }) => {
    const place = path.length > 0 ? path.join('.') : root;
    return place === undefined ? message : `${place}: ${message}`;
  });
}

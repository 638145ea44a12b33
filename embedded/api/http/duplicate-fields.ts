/** A text, or a sign that gives the document its form; numbers and literals do not matter here. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]/g;

interface Level {
  /** Of the object; undefined in a list. */
  readonly seen: Set<string> | undefined;
  readonly path: string;
  field: string;
  index: number;
}

/** Paths of the fields that stand twice in an object of a JSON document, such as `spec.a` or `items[1].b`. */
export function duplicateFields(json: string): string[] {
  const duplicates = new Set<string>();
  const levels: Level[] = [];
  let text = '';
  for (const [token] of json.matchAll(TOKEN)) {
    const level = levels.at(-1);
    if (token === '{' || token === '[') {
      levels.push({ seen: token === '{' ? new Set() : undefined, path: pathIn(level), field: '', index: 0 });
    } else if (token === '}' || token === ']') levels.pop();
    else if (token === ',' && level) level.index += 1;
    else if (token === ':' && level?.seen) {
      level.field = JSON.parse(text);
      if (level.seen.has(level.field)) duplicates.add(pathIn(level));
      level.seen.add(level.field);
    } else text = token;
  }
  return [...duplicates];
}

function pathIn(level: Level | undefined): string {
  if (!level) return '';
  if (!level.seen) return `${level.path}[${level.index}]`;
  return level.path === '' ? level.field : `${level.path}.${level.field}`;
}

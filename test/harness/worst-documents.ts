// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the references of module files are written so.
/** The largest body that a farm takes by default. */
const BODY_BYTES = 16 * 1024 ** 2;

const BOMB = [...'bcdefghij'].map((name, index) => {
  const before = 'abcdefghij'[index];
  return `${name}: &${name} [${Array(9).fill(`*${before}`).join(', ')}]`;
});

/** The worst texts known to readers of YAML, as large as a request can be. Each is refused. Made when they are asked for. */
export const WORST_DOCUMENTS = {
  'unknown keys': () => filled('name: m\nvms: []\n', (index) => `key${index}: value\n`),
  'empty items of a list': () => filled('name: m\nvms:\n', () => '  -\n'),
  documents: () => filled('', () => 'name: m\n---\n'),
  'open brackets': () => filled('name: ', () => '['),
  'aliases of aliases': () => filled(`a: &a [x, x]\n${BOMB.join('\n')}\nname: m\nvms: *j\n`, () => '# and so on\n'),
  'equal keys': () => filled('name: m\n', () => 'labels: {}\n'),
  'one long text': () => filled('name: m\nvms: [{ name: v, shutdownCommand: "', () => 'x'),
  references: () => filled('name: m\nnamespace: ', () => '${var.a}'),
  'quotes that do not end': () => filled('name: "', () => '\'\\"'),
  blanks: () => filled('name: m\nvms:', () => ' \t\n'),
} as const satisfies Readonly<Record<string, () => string>>;

/** As large as the limits allow, and without a fault: all of it is read, checked, planned and answered. */
export function largestModules(): string {
  const step = '{ type: shell, shell: { inline: "true" } }';
  const module = (index: number) =>
    `name: m${index}\nvms: [{ name: v, source: { blank: true }, provisioners: [${Array(40).fill(step).join(', ')}] }]\n`;
  return Array.from({ length: 520 }, (_, index) => module(index)).join('---\n');
}

function filled(start: string, piece: (index: number) => string): string {
  const pieces = [start];
  let length = start.length;
  for (let index = 0; length < BODY_BYTES - 64; index += 1) {
    const next = piece(index);
    pieces.push(next);
    length += next.length;
  }
  return pieces.join('');
}

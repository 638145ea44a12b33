// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the references of module files are written so.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { packagePath } from '../../common/config/package-root.ts';
import { createFarmKey } from '../../common/config/sealing.ts';
import { checkBootCommand, parseBootCommand } from '../../common/contracts/boot-command/parse.ts';
import { moduleJsonSchema } from '../../common/contracts/module/json-schema.ts';
import { parseModules } from '../../common/contracts/module/parse.ts';
import { YamlBudget } from '../../common/contracts/module/yaml-limits.ts';
import type { SourceFile } from '../../common/contracts/module/yaml-source.ts';
import { checkNetworkData } from '../../common/contracts/user-data/check-network-data.ts';
import { checkUserData } from '../../common/contracts/user-data/check-user-data.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import { ImageRefused } from '../../common/image/image-bytes.ts';
import { probeImage } from '../../common/image/probe-image.ts';
import { offlineFacts } from '../../scheduler/graph/facts.ts';
import { planModules } from '../../scheduler/planning/plan-modules.ts';
import { readModules, unpackModules } from '../../scheduler/planning/read-modules.ts';
import { withLogin } from '../../workers/phases/import/cloud-init.ts';
import { fillUserData } from '../../workers/phases/import/fill-user-data.ts';
import { documentsOf, hostileText, type Material } from './hostile-text.ts';
import { bytesOf, mutatedImages, seedImages } from './image-mutations.ts';
import { moduleGraphs } from './module-graphs.ts';
import { BOOT_PIECES, MODULE_WORDS, USER_DATA_PIECES, YAML_PIECES } from './pieces.ts';

/** Code that reads what strangers write, what it is shown, and how its verdict is judged. */
export interface Target<Input = unknown> {
  readonly inputs: fc.Arbitrary<Input>;
  /** `taken`: it found no error. Throws for what must not happen. */
  judge(input: Input): 'taken' | 'refused' | Promise<'taken' | 'refused'>;
}

/** A place that a message names; line and column count from 1. */
interface Placed {
  readonly line: number;
  readonly column: number;
  readonly severity: string;
  readonly message: string;
}

/** What JavaScript writes for a value that is missing; a message may quote it, or repeat it from the text that it is about. */
const EMPTY_WORDS = /\bundefined\b|\[object |(?<!")NaN/;

/** @throws where a message has no place in a text of these lines, or reports nothing */
function assertPlaced(lines: readonly string[], { line, column, message }: Placed): void {
  const { length = -1 } = lines[line - 1] ?? {};
  const isThere = Number.isInteger(line) && Number.isInteger(column) && column >= 1 && column <= length + 1;
  if (!isThere)
    throw new Error(`Line ${line}, column ${column} is not a place in a text of ${lines.length} lines: ${message}`);
  const [word] = EMPTY_WORDS.exec(message) ?? [];
  const isEmpty = word !== undefined && !lines.some((text) => text.includes(word));
  if (message.trim() === '' || isEmpty) throw new Error(`The message reports nothing: "${message}"`);
}

const verdict = (found: readonly { readonly severity: string }[]) =>
  found.some(({ severity }) => severity === 'error') ? 'refused' : 'taken';

function filesBelow(folder: string): string[] {
  return readdirSync(packagePath(folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml'))
    .toSorted()
    .map((name) => readFileSync(packagePath(join(folder, name)), 'utf8'));
}

const EXAMPLES = ['examples', 'test/cases/offline', 'test/cases/built'].flatMap(filesBelow);

const documents = documentsOf(moduleJsonSchema(), MODULE_WORDS);
const moduleText = fc.oneof(
  { weight: 3, arbitrary: hostileText({ examples: EXAMPLES, pieces: [...YAML_PIECES, ...MODULE_WORDS] }) },
  { weight: 2, arbitrary: documents },
  // By the grammar, and then torn.
  { weight: 1, arbitrary: documents.chain((text) => hostileText({ examples: [text], pieces: YAML_PIECES })) },
);

const validate: Target<{ texts: string[]; variables: Record<string, string>; strict: boolean }> = {
  inputs: fc.record({
    texts: fc.array(moduleText, { minLength: 1, maxLength: 2 }),
    variables: fc.dictionary(
      fc.constantFrom('a', 'b', 'BASE', '__proto__'),
      fc.constantFrom('', 'x', '${var.b}', '${secret.a}', '- a\n- b'),
      {
        maxKeys: 2,
      },
    ),
    strict: fc.boolean(),
  }),
  judge: ({ texts, ...options }) => {
    const files = texts.map((text, index): SourceFile => ({ path: `${index}.yaml`, text }));
    const { modules, problems } = parseModules(files, options);
    for (const problem of problems) {
      const file = files.find(({ path }) => path === problem.file);
      if (problem.file !== '--var') assertPlaced((file?.text ?? '').split('\n'), problem);
    }
    if (verdict(problems) === 'taken' && modules.length === 0)
      throw new Error('There is neither a module nor an error.');
    JSON.stringify(modules);
    return verdict(problems);
  },
};

const farmKey = createFarmKey('fuzz');
const CLUSTERS = [
  { vms: 4, cpu: 8, internet: true },
  { vms: 2, cpu: 64, internet: false },
].map(({ internet, ...limits }, index) => ({
  name: `c${index}`,
  namespace: 'farm',
  limits: { imports: 4, memoryBytes: 2 ** 36, ...limits },
  vms: 0,
  healthy: true,
  labels: {},
  closed: null,
  network: null,
  storage: null,
  blobsUrl: null,
}));

const plan: Target<string> = {
  inputs: fc.oneof({ weight: 3, arbitrary: moduleGraphs() }, { weight: 1, arbitrary: moduleText }),
  judge: (text) => {
    const options = { isJson: false, noCache: false, strict: false, rebuild: '', only: '' };
    try {
      const { modules } = readModules({ body: Buffer.from(text), ...options });
      const facts = offlineFacts(unpackModules(modules).modules);
      const catalog = { layers: [], images: [], tags: [], newest: {}, unfinished: [], durations: {} };
      planModules({ modules, facts, catalog, now: 1, nonce: 'n', clusters: CLUSTERS, hasBlobs: false }, farmKey);
      return 'taken';
    } catch (error) {
      if (!(error instanceof FarmError) || error.code === 'BrokenInvariant') throw error;
      const { problems = [] } = error.details as { problems?: Placed[] };
      const lines = Buffer.from(text).toString().split('\n');
      for (const problem of problems) assertPlaced(lines, problem);
      return 'refused';
    }
  },
};

const bootCommand: Target<string[]> = {
  inputs: fc.array(hostileText({ examples: bootCommandsOf(EXAMPLES), pieces: BOOT_PIECES }), { maxLength: 3 }),
  judge: (strings) => {
    const findings = checkBootCommand(strings);
    for (const { element, message } of findings) {
      const isThere = element >= 0 && element < Math.max(1, strings.length);
      if (!isThere || message.trim() === '') throw new Error(`There is no string ${element}: ${message}`);
    }
    const typed = parseBootCommand(strings);
    if (verdict(findings) === 'taken' && 'error' in typed)
      throw new Error(`It was checked, and cannot be typed: ${typed.error}`);
    return verdict(findings);
  },
};

function bootCommandsOf(texts: readonly string[]): string[] {
  return texts.flatMap((text) => [...text.matchAll(/^.*<(?:enter|wait|esc)\S*>.*$/gm)].map(([line]) => line));
}

const userData: Target<{ text: string; hasSteps: boolean }> = {
  inputs: fc.record({ text: hostileText(userDataMaterial()), hasSteps: fc.boolean() }),
  judge: ({ text, hasSteps }) => {
    const context = { sshUsername: 'root', hasSteps, budget: new YamlBudget() };
    const findings = [...checkUserData(text, context), ...checkNetworkData(text, new YamlBudget())];
    const lines = text.split('\n');
    for (const finding of findings) assertPlaced(lines, finding);
    const login = { username: "o'brien", publicKeys: ['ssh-ed25519 AAAA'] };
    const merged = withLogin(Buffer.from(fillUserData(text, (part) => part)), login).toString('latin1');
    const [, boundary = ''] =
      /^Content-Type: multipart\/mixed; boundary="([^"]+)"\nMIME-Version: 1\.0\n/.exec(merged) ?? [];
    const parts = merged.split(`\n--${boundary}`).length - 1;
    if (parts < 2 || parts > 3) throw new Error(`The message has ${parts} marks of its boundary "${boundary}".`);
    return verdict(findings);
  },
};

function userDataMaterial(): Material {
  const written = EXAMPLES.flatMap((text) =>
    [...text.matchAll(/(?:userData|networkData): \|\n((?: +.*\n|\n)+)/g)].map(([, block = '']) => block),
  );
  const examples = written.map((block) =>
    block.replaceAll(new RegExp(`^ {${/^ */.exec(block)?.[0].length ?? 0}}`, 'gm'), ''),
  );
  return {
    examples: [...examples, ...USER_DATA_PIECES.filter((piece) => piece.length > 12)],
    pieces: USER_DATA_PIECES,
  };
}

function images(): Target {
  const seeds = seedImages();
  const target: Target<Parameters<typeof bytesOf>[0]> = {
    inputs: mutatedImages(seeds),
    judge: async (image) => {
      try {
        const probed = await probeImage(bytesOf(image, seeds));
        if (probed.compression) return 'taken';
        const { virtualSizeBytes } = probed;
        const isSize = virtualSizeBytes === undefined || (virtualSizeBytes > 0 && virtualSizeBytes <= 2 ** 63);
        if (!isSize) throw new Error(`An image of ${virtualSizeBytes} bytes was taken.`);
        return 'taken';
      } catch (error) {
        if (!(error instanceof ImageRefused)) throw error;
        if (error.message.trim() === '' || /undefined|NaN/.test(error.message))
          throw new Error(`It reports nothing: ${error.message}`);
        return 'refused';
      }
    },
  };
  return target as Target;
}

/** By the names that `npm run fuzz` takes. Seeds of images are made by `qemu-img`. */
export function openTargets(): ReadonlyMap<string, Target> {
  const texts = { validate, plan, 'boot-command': bootCommand, 'user-data': userData } as unknown as Record<
    string,
    Target
  >;
  return new Map([...Object.entries(texts), ['images', images()]]);
}

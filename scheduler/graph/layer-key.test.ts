import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { blobUrl } from '../../common/contracts/blobs.ts';
import type { CompiledModule, CompiledVm } from '../../common/contracts/module/compiled.ts';
import type { AnyRule } from '../../common/contracts/module/key-rule.ts';
import { secretReference } from '../../common/contracts/module/secret-text.ts';
import { buildRef, compiledModule, compiledVm, NO_FACTS, nic, shell } from '../../test/harness/module-factory.ts';
import { canonicalJson, type Json } from './canonical-json.ts';
import { KEY_FIELDS } from './key-fields.ts';
import { recipeKey } from './layer-key.ts';

const SHA256 = { algorithm: 'sha256', hex: 'a'.repeat(64) } as const;
const REFERENCE = { kind: 'Secret', name: 'answers', key: 'text', optional: false } as const;

const FILE = { kind: 'file', url: blobUrl('b'.repeat(64)), sizeBytes: 9, mode: 0o755 } as const;
const FOLDER = { kind: 'folder', entries: [{ path: 'bin/tool', file: FILE }] } as const;

/** A module in which every field of the model has a value and every variant occurs. */
const FULL = compiledModule({
  labels: { team: 'lab' },
  files: [
    { name: 'answers.cfg', kind: 'inline', content: 'lang en' },
    { name: 'driver.sys', kind: 'url', url: 'https://files.example/driver.sys', credentials: null, checksum: null },
    { name: 'site.conf', kind: 'local', content: FILE },
    { name: 'www', kind: 'local', content: FOLDER },
  ],
  httpDirectory: ['answers.cfg'],
  httpFolder: FOLDER,
  network: {
    vpcs: [{ name: 'lab', internet: 'build' }],
    subnets: [{ name: 'bench', vpc: 'lab', cidr: '10.7.0.0/24', dhcp: true, dns: ['10.7.0.5'], unmanaged: false }],
  },
  buildOverrides: {
    vpcs: [{ name: 'lab', internet: true }],
    subnets: [{ name: 'bench', unmanaged: false }],
    vms: [{ name: 'url', resources: { cpu: 8, memoryBytes: 2 ** 33 }, nics: [fullNic()] }],
  },
  namespace: 'labs',
  run: { id: 'r', image: 'parent:1', ttlMs: 1, authorizedKey: 'ssh-ed25519 AAAA' },
  notYetSupported: [{ path: 'vms[0].isos', message: 'not yet', file: 'a.yaml', line: 1, column: 1 }],
  vms: [
    fullVm('url', {
      kind: 'url',
      url: 'https://images.example/a.qcow2',
      credentials: null,
      checksum: null,
      maxAgeMs: 1,
    }),
    { name: 'blank', firmware: { kind: 'bios' } },
    { name: 'child', source: buildRef('parent', 'main') },
    { name: 'container', source: { kind: 'containerDisk', image: 'quay.io/images/a:1', maxAgeMs: 1 } },
    { name: 'volume', source: { kind: 'sourcePvc', name: 'golden', namespace: 'images', maxAgeMs: 1 } },
  ],
});

function fullNic() {
  return nic({ subnet: 'bench', ip: '10.7.0.9', mac: '02:00:00:00:00:09', slot: 3 });
}

function fullVm(name: string, source: CompiledVm['source']): CompiledVm {
  return compiledVm({
    name,
    source,
    disks: [{ name: 'disk', sizeBytes: 2 ** 34, bus: 'scsi', storageClass: 'fast' }],
    isos: [{ url: 'https://images.example/a.iso', credentials: null, checksum: null, maxAgeMs: 1 }],
    floppy: ['answers.cfg'],
    firmware: { kind: 'efi', secureBoot: false, tpm: false },
    cpuModel: 'host-model',
    machineType: 'q35',
    bootCommand: ['<enter>'],
    cloudInit: { userData: '#cloud-config', userDataFrom: REFERENCE, networkData: 'version: 2' },
    communicator: {
      ...compiledVm().communicator,
      sshPassword: 'hunter2',
      sshPrivateKeySecret: { kind: 'Secret', name: 'k', key: 'id', optional: false },
    },
    nics: [fullNic()],
    steps: [
      {
        ...shell('apt-get update'),
        name: 'update',
        timeoutMs: 1,
        scriptFile: FILE,
        scriptFrom: REFERENCE,
        env: { A: '1' },
        executeCommand: 'sudo {{ .Command }}',
      },
      {
        type: 'file',
        name: 'copy',
        timeoutMs: 1,
        destination: '/etc/answers',
        fileRef: 'answers.cfg',
        source: REFERENCE,
        local: FOLDER,
      },
      {
        ...{ type: 'file', name: 'put', timeoutMs: 1, destination: '/etc/motd', fileRef: null, source: null },
        local: FILE,
      },
      { type: 'reboot', name: 'settle', timeoutMs: 1, command: 'reboot' },
      {
        type: 'windows-update',
        name: 'patch',
        timeoutMs: 1,
        searchCriteria: 'IsInstalled=0',
        filters: ['include:$true'],
        updateLimit: 9,
      },
      { type: 'handbuild', name: 'hands', timeoutMs: 1, instructions: 'Press Accept.' },
    ],
    dependsOn: ['blank'],
    shutdownCommand: 'poweroff',
  });
}

function keyOf(module: CompiledModule, parent = { layerKey: 'p'.repeat(64), vm: 'main' }): string {
  const parents = new Map(['child', 'child~'].map((vm) => [vm, parent]));
  const fingerprint = (secret: string) => `hmac(${secret.length}${secret.at(-1)})`;
  return recipeKey(module, { facts: NO_FACTS, parents, fingerprint }).recipeKey;
}

interface Leaf {
  /** Path in the table, with the variants that it passes. */
  readonly path: string;
  readonly rule: string;
  /** The module with another value there; none for the field that distinguishes variants. */
  readonly change: CompiledModule | undefined;
}

/** Every leaf of the table that a value reaches, each with the value changed in one place. */
function leaves(rule: AnyRule, value: unknown, at: { path: string; put: (value: unknown) => unknown }): Leaf[] {
  if (typeof rule === 'string') {
    return [{ path: at.path, rule, change: at.put(another(value)) as CompiledModule }];
  }
  if ('each' in rule) {
    const list = value as readonly unknown[];
    return list.flatMap((element, index) =>
      leaves(rule.each, element, { path: `${at.path}[]`, put: (changed) => at.put(list.with(index, changed)) }),
    );
  }
  if (value === null) return [];
  const object = value as Record<string, unknown>;
  const tag = 'by' in rule ? String(object[rule.by]) : undefined;
  const fields = 'fields' in rule ? rule.fields : (rule.variants[tag ?? '']?.fields ?? {});
  const prefix = tag === undefined ? at.path : `${at.path}(${tag})`;
  return Object.entries(fields).flatMap(([field, inner]) => {
    const path = `${prefix}.${field}`;
    if ('by' in rule && field === rule.by) return [{ path, rule: String(inner), change: undefined }];
    return leaves(inner, object[field], { path, put: (changed) => at.put({ ...object, [field]: changed }) });
  });
}

function another(value: unknown): unknown {
  if (typeof value === 'string') return `${value}~`;
  if (typeof value === 'number') return value + 1;
  if (typeof value === 'boolean') return !value;
  if (Array.isArray(value)) return [...value, 'more'];
  return value === null ? SHA256 : { ...(value as object), more: 'x' };
}

/** Every leaf that the table has, for all values. */
function tablePaths(rule: AnyRule, path: string): string[] {
  if (typeof rule === 'string') return [path];
  if ('each' in rule) return tablePaths(rule.each, `${path}[]`);
  const variants = 'fields' in rule ? [['', rule] as const] : Object.entries(rule.variants);
  return variants.flatMap(([tag, { fields }]) =>
    Object.entries(fields).flatMap(([field, inner]) => tablePaths(inner, `${path}${tag && `(${tag})`}.${field}`)),
  );
}

const LEAVES = leaves(KEY_FIELDS as AnyRule, FULL, { path: '', put: (value) => value });

describe('what decides a layerKey', () => {
  test('the sample reaches every field of the table', () => {
    expect([...new Set(LEAVES.map((leaf) => leaf.path))].sort()).toEqual(tablePaths(KEY_FIELDS as AnyRule, '').sort());
  });

  test('exactly these fields are out, and changing one of them keeps the key', () => {
    const out = LEAVES.filter((leaf) => leaf.rule === 'out');
    const steps = ['shell', 'file', 'reboot', 'windows-update', 'handbuild'];
    expect([...new Set(out.map((leaf) => leaf.path))].sort()).toEqual(
      [
        ...[
          '.name',
          '.labels',
          '.origin',
          '.timeoutMs',
          '.retries',
          '.isoCacheTtlMs',
          '.maxAgeMs',
          '.clusterLabels',
          '.namespace',
          '.namespacePrefix',
        ],
        '.network.vpcs[].automatic',
        ...['.run.image', '.run.ttlMs', '.run.authorizedKey'],
        ...['.secrets', '.notYetSupported', '.places', '.buildOverrides.vms[].resources'],
        ...['.files[](url).credentials', '.vms[].isos[].credentials', '.vms[].source(url).credentials'],
        ...['url', 'containerDisk', 'sourcePvc'].map((kind) => `.vms[].source(${kind}).maxAgeMs`),
        '.vms[].isos[].maxAgeMs',
        ...['.vms[].communicator.sshTimeoutMs', '.vms[].shutdownTimeoutMs', '.vms[].invisible'],
        ...['.vms[].cloudInit.userDataFrom.optional', '.vms[].communicator.sshPrivateKeySecret.optional'],
        ...['.vms[].steps[](shell).scriptFile.sizeBytes', '.vms[].steps[](shell).scriptFile.mode'],
        ...['file).sizeBytes', 'folder).entries[].file.sizeBytes'].flatMap((content) => [
          `.files[](local).content(${content}`,
          `.vms[].steps[](file).local(${content}`,
        ]),
        '.httpFolder.entries[].file.sizeBytes',
        ...['.vms[].steps[](shell).scriptFrom.optional', '.vms[].steps[](file).source.optional'],
        ...steps.flatMap((type) => [`.vms[].steps[](${type}).name`, `.vms[].steps[](${type}).timeoutMs`]),
      ].sort(),
    );
    expect(out.filter(({ change }) => change && keyOf(change) !== keyOf(FULL))).toEqual([]);
  });

  test('changing any other field changes the key, each to one of its own', () => {
    const resolved = ['out', 'parent'];
    const changes = LEAVES.flatMap(({ rule, change }) => (change && !resolved.includes(rule) ? change : []));
    const keys = new Set(changes.map((change) => keyOf(change)));
    expect(changes.length).toBeGreaterThan(80);
    expect(keys.size).toBe(changes.length);
    expect(keys.has(keyOf(FULL))).toBe(false);
  });

  test('a parent enters by its layerKey and VM, not by its name', () => {
    const renamed = LEAVES.filter((leaf) => leaf.rule === 'parent');
    expect(renamed).toHaveLength(4);
    for (const { change } of renamed) expect(change && keyOf(change)).toBe(keyOf(FULL));
    expect(keyOf(FULL, { layerKey: 'q'.repeat(64), vm: 'main' })).not.toBe(keyOf(FULL));
    expect(keyOf(FULL, { layerKey: 'p'.repeat(64), vm: 'other' })).not.toBe(keyOf(FULL));
  });

  test('a URL with a checksum enters by the checksum only', () => {
    const module = (url: string, hex: string) =>
      compiledModule({
        vms: [{ source: { kind: 'url', url, credentials: null, checksum: { algorithm: 'sha256', hex } } }],
      });
    expect(keyOf(module('https://mirror.example/a', 'aa'))).toBe(keyOf(module('https://origin.example/a', 'aa')));
    expect(keyOf(module('https://mirror.example/a', 'ab'))).not.toBe(keyOf(module('https://mirror.example/a', 'aa')));
  });

  test('a URL without a checksum enters by what was found out, and is unresolved without', () => {
    const url = 'https://images.example/latest';
    const module = compiledModule({ vms: [{ source: { kind: 'url', url, credentials: null, checksum: null } }] });
    const resolve = (identity: string | null) =>
      recipeKey(module, {
        facts: { ...NO_FACTS, sources: { [url]: { identity } } },
        parents: new Map(),
        fingerprint: String,
      });
    expect(resolve('etag-1').unresolved).toEqual([]);
    expect(resolve('etag-2').recipeKey).not.toBe(resolve('etag-1').recipeKey);
    expect(resolve(null).unresolved).toEqual([url]);
  });

  test('a key of an object enters by what is there, not by its name, and is unresolved without', () => {
    const keyed = (name: string, identity: string | null) => {
      const scriptFrom = { kind: 'ConfigMap', name, key: 'setup.sh', optional: false } as const;
      const module = compiledModule({ vms: [{ steps: [{ ...shell(''), scriptFrom }] }] });
      const objects = { [`ConfigMap "${name}" key "setup.sh"`]: identity };
      return recipeKey(module, { facts: { ...NO_FACTS, objects }, parents: new Map(), fingerprint: String });
    };
    expect(keyed('scripts', 'sha256:aa')).toEqual({ ...keyed('renamed', 'sha256:aa'), unresolved: [] });
    expect(keyed('scripts', 'sha256:ab').recipeKey).not.toBe(keyed('scripts', 'sha256:aa').recipeKey);
    expect(keyed('scripts', 'absent').recipeKey).not.toBe(keyed('scripts', 'sha256:aa').recipeKey);
    expect(keyed('scripts', null).unresolved).toEqual(['ConfigMap "scripts" key "setup.sh"']);
  });

  test('raising the version of a step type rebuilds the layers with such steps, and no others', async () => {
    vi.doMock('../../common/contracts/module/step-types.ts', async (original) => {
      const types = await original<typeof import('../../common/contracts/module/step-types.ts')>();
      return { ...types, STEP_TYPES: { ...types.STEP_TYPES, shell: { ...types.STEP_TYPES.shell, version: 2 } } };
    });
    vi.resetModules();
    const raised = await import('./layer-key.ts');
    vi.doUnmock('../../common/contracts/module/step-types.ts');
    const isSame = (module: CompiledModule) => {
      const input = { facts: NO_FACTS, parents: new Map(), fingerprint: String };
      return raised.recipeKey(module, input).recipeKey === recipeKey(module, input).recipeKey;
    };
    const reboot = { type: 'reboot', name: null, timeoutMs: null, command: 'reboot' } as const;
    expect(isSame(compiledModule({ vms: [{ steps: [reboot] }] }))).toBe(true);
    expect(isSame(compiledModule({ vms: [{ steps: [reboot, shell('true')] }] }))).toBe(false);
  });

  test('an override that only gives resources keeps the key', () => {
    const overridden = compiledModule({
      buildOverrides: {
        vpcs: [],
        subnets: [],
        vms: [{ name: 'main', resources: { cpu: 9, memoryBytes: 9 }, nics: null }],
      },
    });
    expect(keyOf(overridden)).toBe(keyOf(compiledModule()));
  });

  test('a password enters by its fingerprint alone', () => {
    const withPassword = (sshPassword: string) =>
      compiledModule({ vms: [{ communicator: { ...compiledVm().communicator, sshPassword } }] });
    const input = { facts: NO_FACTS, parents: new Map(), fingerprint: () => 'same' };
    expect(recipeKey(withPassword('a'), input)).toEqual(recipeKey(withPassword('b'), input));
    expect(keyOf(withPassword('a'))).not.toBe(keyOf(withPassword('b')));
  });

  test('a secret enters by its fingerprint in the place where it is, not by its name', () => {
    const using = (name: string, more = '') => {
      const text = `${secretReference(name)}${more}`;
      const vm = {
        bootCommand: [text],
        shutdownCommand: text,
        communicator: { ...compiledVm().communicator, sshPassword: text },
        steps: [{ ...shell(text), env: { TOKEN: text } }],
      };
      return compiledModule({ vms: [vm], files: [{ name: 'f', kind: 'inline', content: text }] });
    };
    const key = (module: CompiledModule, secrets: Record<string, string>) =>
      recipeKey(module, {
        facts: { ...NO_FACTS, secrets },
        parents: new Map(),
        fingerprint: String,
      });
    const first = key(using('a'), { a: 'print of x' });
    expect(first.unresolved).toEqual([]);
    expect(key(using('b'), { b: 'print of x', a: 'print of y' })).toEqual(first);
    for (const other of [
      key(using('a'), { a: 'print of y' }),
      key(using('a', '!'), { a: 'print of x' }),
      key(compiledModule({ vms: [{ bootCommand: ['print of x'] }] }), {}),
    ]) {
      expect(other.recipeKey).not.toBe(first.recipeKey);
    }
    expect(key(using('a'), {}).unresolved).toEqual(['the secret "a"']);
  });
});

test('canonical JSON does not depend on the order of keys, and reads back as the same value', () => {
  const shuffle = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(shuffle);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value)
        .reverse()
        .map(([key, member]) => [key, shuffle(member)]),
    );
  };
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(canonicalJson(shuffle(value as Json))).toBe(canonicalJson(value as Json));
      expect(JSON.stringify(JSON.parse(canonicalJson(value as Json)))).toBe(
        JSON.stringify(JSON.parse(canonicalJson(JSON.parse(JSON.stringify(value))))),
      );
    }),
  );
  expect(canonicalJson({ b: [1, null, 'ü"'], a: { d: true, c: 0.5 } })).toBe(
    '{"a":{"c":0.5,"d":true},"b":[1,null,"ü\\""]}',
  );
});

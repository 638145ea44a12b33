import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { objectKeysOf } from '../object-content.ts';
import type { CompiledModule } from './compiled.ts';
import { NOT_YET_SUPPORTED, notYetSupported } from './not-yet-supported.ts';
import { parseModules } from './parse.ts';
import { fillSecrets, secretNames } from './secret-text.ts';

function compile(text: string, variables: Record<string, string> = {}): CompiledModule {
  const { modules, problems } = parseModules([{ path: 'm.yaml', text }], { variables });
  expect(problems.filter((problem) => problem.severity === 'error')).toEqual([]);
  const [module] = modules;
  if (!module) throw new Error('No module was compiled.');
  return module;
}

const BODY = { vms: [{ name: 'a', source: { blank: true } }] };

describe('a compiled module', () => {
  it('has every default of the model', () => {
    expect(compile('name: m\nvms:\n  - name: a\n    source: { blank: true }\n')).toEqual({
      name: 'm',
      labels: {},
      origin: { file: 'm.yaml', line: 1, column: 1 },
      places: { 'vms/a': { line: 3, column: 5 } },
      vms: [
        {
          name: 'a',
          source: { kind: 'blank' },
          resources: { cpu: 2, memoryBytes: 4294967296 },
          disks: [{ name: 'rootdisk', sizeBytes: 21474836480, bus: 'virtio', storageClass: null }],
          isos: [],
          floppy: [],
          firmware: { kind: 'bios' },
          cpuModel: null,
          machineType: null,
          bootCommand: [],
          cloudInit: null,
          communicator: {
            type: 'ssh',
            shell: 'bash',
            sshUsername: 'root',
            sshPort: 22,
            sshPassword: null,
            sshTimeoutMs: 300_000,
            sshPrivateKeySecret: null,
          },
          nics: [{ name: 'nic1', subnet: 'default', ip: null, mac: null, model: 'e1000e', slot: null }],
          steps: [],
          dependsOn: [],
          shutdownCommand: null,
          shutdownTimeoutMs: 300_000,
          invisible: false,
        },
      ],
      files: [],
      httpDirectory: [],
      httpFolder: null,
      network: {
        vpcs: [{ name: 'default', internet: 'always', automatic: true }],
        subnets: [{ name: 'default', vpc: 'default', cidr: '10.0.2.0/24', dhcp: true, dns: [], unmanaged: false }],
      },
      buildOverrides: { vpcs: [], subnets: [], vms: [] },
      timeoutMs: 1_800_000,
      retries: 0,
      isoCacheTtlMs: 86_400_000,
      maxAgeMs: null,
      namespace: null,
      namespacePrefix: 'vm-',
      secrets: [],
      notYetSupported: [],
    });
  });

  it('is the same from all three forms, and from JSON, but for the default card', () => {
    const metadata = { name: 'm', labels: { team: 'x' } };
    const vms = BODY.vms.map((vm) => ({ ...vm, nics: [{ name: 'lan', subnet: 'default', model: 'virtio' }] }));
    const spec = { ...BODY, vms };
    const forms = [
      { ...metadata, ...spec },
      { apiVersion: 'slipway.dev/v1', kind: 'Module', metadata, spec },
      {
        apiVersion: 'ruddervirt.io/v1alpha1',
        kind: 'VirtualMachineBuild',
        metadata: { ...metadata, generation: 3 },
        spec,
        status: { phase: 'Succeeded' },
      },
    ];
    const [bare, ...others] = forms.flatMap((form) => [
      compile(stringify(form)),
      compile(JSON.stringify(form, null, '\t')),
    ]);
    for (const other of others) expect(other).toEqual({ ...bare, places: expect.anything() });
  });

  it.each([
    ['source: { url: https://images.example/a.qcow2 }', true],
    ['source: { buildRef: { name: parent } }', true],
    ['source: { url: https://images.example/a.qcow2 }, cloudInit: {}', false],
    ['source: { url: https://images.example/a.qcow2 }, communicator: { sshPassword: x }', false],
    [
      'source: { url: https://images.example/a.qcow2 }, communicator: { sshPrivateKeySecret: { name: a, key: b } }',
      false,
    ],
    ['source: { url: https://images.example/a.qcow2 }, bootCommand: ["root<enter>"]', false],
    ['source: { blank: true }', false],
  ])('warns of steps that nothing lets in: %s', (vm, isWarned) => {
    const steps = 'provisioners: [{ type: shell, shell: { inline: "true" } }]';
    const text = `name: m\nvms:\n  - { name: a, ${vm}, ${steps} }\n`;
    const { problems } = parseModules([{ path: 'm.yaml', text }]);
    expect(problems.some(({ message }) => message.includes('cannot log in'))).toBe(isWarned);
  });

  it('lists no disk that a parent may have, and runs steps as its shell does', () => {
    const { vms } = compile(`
name: m
vms:
  - name: a
    source: { buildRef: { name: base, vmName: x } }
    communicator: { shell: powershell }
    provisioners:
      - { type: reboot }
      - { type: windows-update, stepTimeout: 1h }
      - { type: shell, shell: { inline: [first, second], env: { A: b } } }
`);
    expect(vms[0]).toMatchObject({
      source: { kind: 'buildRef', module: 'base', vm: 'x', namespace: null },
      disks: [],
      steps: [
        { type: 'reboot', command: 'shutdown /r /f /t 0', timeoutMs: null },
        { searchCriteria: 'BrowseOnly=0 and IsInstalled=0', filters: [], updateLimit: 1000, timeoutMs: 3_600_000 },
        { script: 'first\nsecond\n', env: { A: 'b' }, scriptFrom: null, executeCommand: null },
      ],
    });
  });

  it('reports how old a layer may be, as a whole and for each of its sources', () => {
    const { maxAgeMs, vms } = compile(`
name: m
maxAge: 2w
vms:
  - { name: a, source: { url: "http://e/a", maxAge: 7d }, isos: [{ url: "http://e/i", maxAge: 36h }, { url: "http://e/j" }] }
  - { name: b, source: { containerDisk: "quay.io/a/b:1", maxAge: 1d } }
  - { name: c, source: { sourcePvc: { name: golden }, maxAge: 1d } }
`);
    const day = 86_400_000;
    expect(maxAgeMs).toBe(14 * day);
    expect(vms.map(({ source }) => source)).toEqual([
      { kind: 'url', url: 'http://e/a', credentials: null, checksum: null, maxAgeMs: 7 * day },
      { kind: 'containerDisk', image: 'quay.io/a/b:1', maxAgeMs: day },
      { kind: 'sourcePvc', name: 'golden', namespace: null, maxAgeMs: day },
    ]);
    expect(vms[0]?.isos).toEqual([
      { url: 'http://e/i', credentials: null, checksum: null, maxAgeMs: 1.5 * day },
      { url: 'http://e/j', credentials: null, checksum: null },
    ]);
  });

  it('puts a VM without cards on the first declared subnet with DHCP, and the rest where the file says', () => {
    const { network, vms, buildOverrides } = compile(`
name: m
network:
  vpcs: [{ name: v, internet: build }]
  subnets:
    - { name: wire, vpc: v, cidr: 10.1.0.0/24, unmanaged: true }
    - { name: lan, cidr: 10.2.0.0/24, dns: "10.2.0.5, 1.1.1.1" }
buildOverrides:
  vpcs: [{ name: default, internet: false }]
  vms:
    - { name: b, resources: { cpu: 8 }, nics: [{ name: n, subnet: lan, slot: 5 }, { name: o, subnet: lan }] }
vms:
  - { name: a, source: { blank: true } }
  - name: b
    source: { blank: true }
    resources: { memory: 1Gi }
    nics: [{ name: n, subnet: wire, slot: 2, mac: 02-00-00-00-00-0A, model: virtio }]
`);
    expect(network.vpcs).toEqual([
      { name: 'v', internet: 'build' },
      { name: 'default', internet: 'always', automatic: true },
    ]);
    expect(network.subnets[1]).toMatchObject({ vpc: 'default', dns: ['10.2.0.5', '1.1.1.1'] });
    expect(vms[0]?.nics).toMatchObject([{ subnet: 'lan' }]);
    expect(buildOverrides.vms).toEqual([
      {
        name: 'b',
        resources: { cpu: 8, memoryBytes: 2 ** 30 },
        nics: [
          { name: 'n', subnet: 'lan', ip: null, mac: '02:00:00:00:00:0a', model: 'virtio', slot: 2 },
          { name: 'o', subnet: 'lan', ip: null, mac: null, model: 'e1000e', slot: null },
        ],
      },
    ]);
  });

  it.each([
    ['virtio', '{ url: "https://example.org/a.qcow2" }'],
    ['virtio', '{ containerDisk: "quay.io/containerdisks/fedora:41" }'],
    ['virtio', '{ sourcePvc: { name: golden } }'],
    ['e1000e', '{ blank: true }'],
    [null, '{ buildRef: { name: base } }'],
  ])('gives the card %s to a guest from %s, unless the file says another', (model, source) => {
    const network = 'nics: [{ name: a, subnet: default }, { name: b, subnet: default, model: rtl8139 }]';
    const bare = (vm: string) => compile(`name: m\nvms: [{ name: a, source: ${source}${vm} }]\n`).vms[0]?.nics;
    expect(bare('')).toMatchObject([{ name: 'nic1', model }]);
    expect(bare(`, ${network}`)).toMatchObject([{ model }, { model: 'rtl8139' }]);
    const spec = `spec: { vms: [{ name: a, source: ${source} }] }`;
    const manifest = `apiVersion: ruddervirt.io/v1alpha1\nkind: VirtualMachineBuild\nmetadata: { name: m }\n${spec}\n`;
    expect(compile(manifest).vms[0]?.nics).toMatchObject([{ model: model && 'e1000' }]);
  });

  it('reads what anchors and merges repeat', () => {
    const { vms } = compile(`
name: m
vms:
  - &first { name: a, source: { blank: true }, resources: &big { cpu: 4, memory: 8Gi } }
  - { <<: *first, name: b }
  - { name: c, source: { blank: true }, resources: { <<: *big, cpu: 1 } }
`);
    expect(vms.map(({ name, resources }) => [name, resources.cpu, resources.memoryBytes / 2 ** 30])).toEqual([
      ['a', 4, 8],
      ['b', 4, 8],
      ['c', 1, 8],
    ]);
  });
});

describe('variables', () => {
  const text = `
name: m
variables:
  size: 10Gi
  version: 1.10
  count: { default: 2, description: how often }
  net:
retries: \${var.count}
network: { vpcs: [{ name: v, internet: "\${var.net}" }] }
vms:
  - name: a
    source: { blank: true }
    disks: [{ name: d, size: "\${var.size}" }]
    provisioners:
      - type: shell
        shell: { inline: 'echo \${var.version} \${HOME} \${var} $\${var.size} \${var:-x} $$' }
`;

  it('take the given value before the default, as the text that was written', () => {
    const module = compile(text, { net: 'true', size: '3Gi' });
    expect(module.retries).toBe(2);
    expect(module.network.vpcs[0]?.internet).toBe('always');
    expect(module.vms[0]?.disks[0]?.sizeBytes).toBe(3 * 2 ** 30);
    expect(module.vms[0]?.steps[0]).toHaveProperty('script', `echo 1.10 \${HOME} \${var} \${var.size} \${var:-x} $$`);
  });

  it('never become structure', () => {
    const { vms } = compile(
      'name: m\nvariables: { p: x }\nvms: [{ name: a, source: { blank: true }, cpuModel: "$" }]\n'.replace(
        '$',
        `\${var.p}`,
      ),
      {
        p: 'x, invisible: true }\n- {',
      },
    );
    expect(vms).toMatchObject([{ cpuModel: 'x, invisible: true }\n- {', invisible: false }]);
  });
});

it('what lies on the cluster is named by kind, object and key', () => {
  const [vm] = compile(`
name: m
vms:
  - name: a
    source: { blank: true }
    communicator: { sshPrivateKeySecret: { name: login, key: id_ed25519 } }
    cloudInit: { userDataFrom: { secretRef: { name: seeds, key: web.yaml, optional: true } } }
    provisioners:
      - { type: shell, shell: { scriptFrom: { configMapRef: { name: scripts, key: setup.sh } } } }
      - { type: file, file: { destination: /x, source: { secretRef: { name: s.example, key: K_1 } } } }
`).vms;
  const ref = { kind: 'Secret', optional: false } as const;
  expect(vm && objectKeysOf(vm)).toEqual([
    { ...ref, name: 'login', key: 'id_ed25519' },
    { ...ref, name: 'seeds', key: 'web.yaml', optional: true },
    { ...ref, kind: 'ConfigMap', name: 'scripts', key: 'setup.sh' },
    { ...ref, name: 's.example', key: 'K_1' },
  ]);
});

describe('a secret', () => {
  const everywhere = `
name: m
files: [{ name: f, inline: "\${secret.file}" }]
vms:
  - name: a
    source: { blank: true }
    bootCommand: ["root<enter>", "\${secret.typed}<enter>"]
    cloudInit: { userData: "\${secret.user}", networkData: "\${secret.net}" }
    communicator: { sshPassword: "\${secret.login}" }
    shutdownCommand: "off \${secret.off}"
    provisioners:
      - type: shell
        shell:
          inline: |
            cd /
            echo "\${secret.first} $\${secret.literal} \${secret.second}" \${HOME}
          env: { TOKEN: "\${secret.token}" }
          executeCommand: "echo \${secret.sudo} | sudo -S {{ .Command }}"
      - { type: shell, shell: { inline: [pwd, "echo \${secret.line}"] } }
      - { type: reboot, reboot: { command: "again \${secret.again}" } }
`;

  it('can be referred to where only the guest sees it, and is known with its path and place', () => {
    const module = compile(everywhere);
    expect(module.secrets.map(({ name, path }) => `${name} at ${path}`)).toEqual([
      'file at files[0].inline',
      'typed at vms[0].bootCommand[1]',
      'user at vms[0].cloudInit.userData',
      'net at vms[0].cloudInit.networkData',
      'login at vms[0].communicator.sshPassword',
      'off at vms[0].shutdownCommand',
      'first at vms[0].provisioners[0].shell.inline',
      'second at vms[0].provisioners[0].shell.inline',
      'token at vms[0].provisioners[0].shell.env.TOKEN',
      'sudo at vms[0].provisioners[0].shell.executeCommand',
      'line at vms[0].provisioners[1].shell.inline[1]',
      'again at vms[0].provisioners[2].reboot.command',
    ]);
    for (const { name, line, column } of module.secrets) {
      expect(everywhere.split('\n')[line - 1]?.slice(column - 1)).toMatch(new RegExp(`^\\$\\{secret.${name}\\}`));
    }
    expect(module.notYetSupported).toEqual([]);
    const [step] = module.vms[0]?.steps ?? [];
    const script = step?.type === 'shell' ? step.script : '';
    expect(secretNames(script)).toEqual(['first', 'second']);
    expect(fillSecrets(script, (name) => `<${name}>`)).toBe(
      `cd /\necho "<first> \${secret.literal} <second>" \${HOME}\n`,
    );
  });

  it('is in no text that a variable gives, and is made by none', () => {
    const text = `
name: m
variables: { a: "", b: "$" }
vms: [{ name: a, source: { blank: true }, shutdownCommand: "\${var.a} \${var.b}{secret.x} \${var.b}\${secret.y}" }]
`;
    const module = compile(text, { a: `\${secret.z}` });
    expect(module.secrets.map(({ name }) => name)).toEqual(['y']);
    expect(fillSecrets(module.vms[0]?.shutdownCommand ?? '', () => 'Y')).toBe(`\${secret.z} \${secret.x} $Y`);
  });
});

describe('what cannot be executed yet', () => {
  const everything = `
name: m
vms:
  - name: a
    source: { blank: true }
    efiFirmware: { tpm: true, secureBoot: true }
    disks: [{ name: d, size: 1Gi }, { name: e, size: 1Gi, bus: usb }]
    communicator: { shell: powershell }
    provisioners:
      - { type: handbuild, handbuild: { instructions: x } }
      - { type: windows-update }
  - name: b
    source: { containerDisk: quay.io/x/y }
    efiFirmware: { secureBoot: false }
`;

  it('is named with its path and place, every row of the table', () => {
    const module = compile(everything);
    expect(module.notYetSupported.map(({ path, line }) => `${path} in line ${line}`).sort()).toEqual([
      'vms[0].communicator.shell in line 8',
      'vms[0].provisioners[1].type in line 11',
    ]);
    expect(module.notYetSupported.length).toBe(NOT_YET_SUPPORTED.length);
    expect(notYetSupported(module)[0]).toMatchObject({ severity: 'warning', code: 'NotYetSupported' });
  });
});

const name = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);
const text = fc.string({ maxLength: 40 }).map((value) => value.replaceAll('$', ''));
const vm = fc.record(
  {
    source: fc.oneof(
      fc.constant({ blank: true }),
      fc.record({ url: fc.webUrl() }),
      name.map((parent) => ({ buildRef: { name: `${parent}-parent` } })),
    ),
    resources: fc.record(
      { cpu: fc.integer({ min: 1, max: 64 }), memory: fc.integer({ min: 2 ** 20 }) },
      { requiredKeys: [] },
    ),
    bootCommand: fc.array(
      text.filter((value) => !/[<{]/.test(value)),
      { maxLength: 3 },
    ),
    cloudInit: fc.record({ userData: text }, { requiredKeys: [] }),
    provisioners: fc.array(
      fc.oneof(
        fc.record({ type: fc.constant('shell'), shell: fc.record({ inline: text }) }),
        fc.record({ type: fc.constant('reboot') }),
      ),
      { maxLength: 3 },
    ),
    invisible: fc.boolean(),
  },
  { requiredKeys: ['source'] },
);
const body = fc.record(
  {
    vms: fc
      .uniqueArray(name, { minLength: 1, maxLength: 3 })
      .chain((names) =>
        fc
          .array(vm, { minLength: names.length, maxLength: names.length })
          .map((vms) => vms.map((one, index) => ({ name: names[index], ...one }))),
      ),
    files: fc.uniqueArray(fc.record({ name, inline: text }), { selector: (file) => file.name, maxLength: 3 }),
    timeout: fc.integer({ min: 10, max: 1e6 }).map((minutes) => `${minutes}m`),
    retries: fc.integer({ min: 0, max: 100 }),
  },
  { requiredKeys: ['vms'] },
);

describe('every module', () => {
  it('survives JSON, and means the same as YAML and as JSON text', () => {
    fc.assert(
      fc.property(body, (one) => {
        const document = { name: 'm', ...one };
        const module = compile(stringify(document));
        expect(JSON.parse(JSON.stringify(module))).toEqual(module);
        expect(compile(JSON.stringify(document))).toEqual({ ...module, places: expect.anything() });
      }),
      { numRuns: 200 },
    );
  });

  it('in examples/modules is without problems, and executable', () => {
    const directory = new URL('../../../examples/modules/', import.meta.url);
    const files = readdirSync(directory).map((path) => ({
      path,
      text: readFileSync(new URL(path, directory), 'utf8'),
    }));
    const { modules, problems } = parseModules(files, { strict: true });
    expect(problems).toEqual([]);
    expect(modules.map((module) => [module.name, module.notYetSupported])).toEqual(
      ['firewall-lab', 'netinst', 'pair', 'stack-base', 'stack-web', 'stack-db'].map((example) => [example, []]),
    );
  });

  it('in examples/recipes is without problems, and executable', () => {
    const directory = new URL('../../../examples/recipes/', import.meta.url);
    for (const path of readdirSync(directory)) {
      const { modules, problems } = parseModules([{ path, text: readFileSync(new URL(path, directory), 'utf8') }]);
      expect(problems).toEqual([]);
      expect(modules.map((module) => module.notYetSupported)).toEqual([[]]);
    }
  });

  it('that is hostile ends in problems, never in an exception', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((key, index) => `${key}: &${key} [${Array(9).fill(`*${'abcdefgh'[index]}`).join()}]`).join('\n')}\n`;
    for (const hostile of [
      bomb,
      '['.repeat(50_000),
      '&a [*a]',
      'vms: &v [*v]',
      '__proto__: { x: 1 }\nname: m',
      '? {a: b}\n: c',
      '\0',
    ]) {
      expect(parseModules([{ path: 'h.yaml', text: hostile }]).problems.length).toBeGreaterThan(0);
    }
  });
});

import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { compileText } from '../../../test/harness/compile-text.ts';
import { objectKeysOf } from '../object-content.ts';
import { parseModules } from './parse.ts';

const BODY = { vms: [{ name: 'a', source: { blank: true } }] };

describe('a compiled module', () => {
  it('has every default of the model', () => {
    expect(compileText('name: m\nvms:\n  - name: a\n    source: { blank: true }\n')).toEqual({
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
      compileText(stringify(form)),
      compileText(JSON.stringify(form, null, '\t')),
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
    const { vms } = compileText(`
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
    const { maxAgeMs, vms } = compileText(`
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

  it('puts a VM without cards on the first declared subnet with DHCP, and the rest as the file declares', () => {
    const { network, vms, buildOverrides } = compileText(`
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
  ])('gives the card %s to a guest from %s, unless the file names another', (model, source) => {
    const network = 'nics: [{ name: a, subnet: default }, { name: b, subnet: default, model: rtl8139 }]';
    const bare = (vm: string) => compileText(`name: m\nvms: [{ name: a, source: ${source}${vm} }]\n`).vms[0]?.nics;
    expect(bare('')).toMatchObject([{ name: 'nic1', model }]);
    expect(bare(`, ${network}`)).toMatchObject([{ model }, { model: 'rtl8139' }]);
    const spec = `spec: { vms: [{ name: a, source: ${source} }] }`;
    const manifest = `apiVersion: ruddervirt.io/v1alpha1\nkind: VirtualMachineBuild\nmetadata: { name: m }\n${spec}\n`;
    expect(compileText(manifest).vms[0]?.nics).toMatchObject([{ model: model && 'e1000' }]);
  });

  it('reads what anchors and merges repeat', () => {
    const { vms } = compileText(`
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

it('what lies on the cluster is named by kind, object and key', () => {
  const [vm] = compileText(`
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

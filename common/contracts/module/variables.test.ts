import { describe, expect, it } from 'vitest';
import { compileText } from '../../../test/harness/compile-text.ts';
import { type RefusalRow, source, step, testRefusals, top, vm } from '../../../test/harness/refused-module.ts';

/** Variables, secrets and templates. */
const rows: readonly RefusalRow[] = [
  {
    rule: 'a variable without value',
    yaml: top('variables:', '  §size: {}'),
    code: 'MissingVariable',
    part: '--var size=',
  },
  {
    rule: 'an unknown variable',
    yaml: top('variables: { size: 1h }', `timeout: §\${var.sise}`),
    code: 'UnknownVariable',
    part: 'did you mean "size"?',
  },
  {
    rule: 'a secret as a size',
    yaml: vm('disks:', `  - { name: d, size: "§\${secret.size}" }`),
    code: 'MisplacedSecret',
    part: `disks[0].size: \${secret.size} is not allowed here`,
  },
  {
    rule: 'a secret in the path of a URL',
    yaml: source(`source: { url: §"https://x.example/\${secret.path}" }`),
    code: 'InvalidValue',
    part: 'only in the user:password@ of a URL',
  },
  {
    rule: 'a secret in a name',
    yaml: top(`labels: { team: "§\${secret.team}" }`),
    code: 'MisplacedSecret',
    part: 'labels.team',
  },
  {
    rule: 'a secret as the default of a variable',
    yaml: top('variables:', `  a: §\${secret.a}`),
    code: 'MisplacedSecret',
    part: 'variables.a',
  },
  {
    rule: 'a secret that an alias repeats in a name',
    yaml: vm('communicator:', `  sshUsername: *x`).replace(
      'name: m',
      `name: m\nfiles: [{ name: f, inline: &x "§\${secret.a}" }]`,
    ),
    code: 'MisplacedSecret',
    part: 'sshUsername',
  },
  {
    rule: 'what only references are made of',
    yaml: top('labels: { team: §"\\uFDD0x\\uFDD1" }'),
    code: 'InvalidValue',
    part: 'U+FDD0',
  },
  {
    rule: 'a variable in the middle of a script',
    yaml: step('type: shell', 'shell:', '  inline: |', `    echo \${HOME}`, `    echo §\${var.x}`),
    code: 'UnknownVariable',
    part: '"x"',
  },
  {
    rule: 'a variable in a default',
    yaml: top('variables:', '  a: 1', `  b: §\${var.a}`),
    code: 'UnknownVariable',
    part: 'cannot refer',
  },
  ...(
    [
      ...(
        ['{{ user `name` }}', '{{isotime}}', '{{ build `ID` }}', '{{ vars.ip }}', '{{ .HTTPIP | lower }}'] as const
      ).map((written) => [written, "of Packer's templates only {{ .Name }} of HTTPIP"] as const),
      ['{{- .HTTPIP -}}', 'write {{ .HTTPIP }}'],
      ['{{ HTTPIP }}', 'write {{ .HTTPIP }}'],
      ['{{httpport}}', 'write {{ .HTTPPort }}'],
    ] as const
  ).map(([written, remedy]) => ({
    rule: `what nothing fills: ${written}`,
    yaml: vm(`bootCommand: [§"${written}<enter>"]`),
    code: 'BootCommand' as const,
    part: `"${written}" is typed as it is: ${remedy}`,
    severity: 'warning' as const,
  })),
  {
    rule: 'a variable of another tool',
    yaml: step('type: shell', `shell: { inline: "echo §\${var.region}" }`),
    code: 'UnknownVariable',
    part: `or write $\${var.region} for the text itself`,
  },
  {
    rule: 'an inherited disk that shrinks',
    yaml: `${vm()}---\nname: n\nvms: [{ name: a, source: { buildRef: { name: m } }, disks: [{ name: rootdisk, size: §10Gi }] }]\n`,
    code: 'InvalidValue',
    part: 'disks only grow',
  },
];

testRefusals(rows);

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
    const module = compileText(text, { net: 'true', size: '3Gi' });
    expect(module.retries).toBe(2);
    expect(module.network.vpcs[0]?.internet).toBe('always');
    expect(module.vms[0]?.disks[0]?.sizeBytes).toBe(3 * 2 ** 30);
    expect(module.vms[0]?.steps[0]).toHaveProperty('script', `echo 1.10 \${HOME} \${var} \${var.size} \${var:-x} $$`);
  });

  it('never become structure', () => {
    const { vms } = compileText(
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

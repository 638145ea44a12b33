import { lan, type RefusalRow, step, testRefusals, top, VM, vm } from '../../../test/harness/refused-module.ts';

/** The shape of a module. */
const rows: readonly RefusalRow[] = [
  {
    rule: "a file of Packer's",
    yaml: '§source "qemu" "x" {\n  iso_url = "https://h/x.iso"\n}\n',
    code: 'UnknownKind',
    part: 'docs/from-packer.md',
  },
  { rule: 'a list as document', yaml: '§- a\n', code: 'UnknownKind', part: 'map' },
  { rule: 'a foreign kind', yaml: 'apiVersion: v1\nkind: §Secret\n', code: 'UnknownKind', part: '"Secret"' },
  {
    rule: 'a wrong apiVersion',
    yaml: `apiVersion: §slipway.dev/v2\nkind: Module\nmetadata: { name: m }\nspec: { vms: [{ name: a, ${VM} }] }\n`,
    code: 'InvalidValue',
    part: 'did you mean "slipway.dev/v1"?',
  },
  {
    rule: 'metadata without a name',
    yaml: `apiVersion: slipway.dev/v1\nkind: Module\n§metadata: {}\nspec: { vms: [{ name: a, ${VM} }] }\n`,
    code: 'MissingField',
    part: 'metadata.name: is required',
  },
  {
    rule: 'a module without spec',
    yaml: 'apiVersion: slipway.dev/v1\nkind: Module\nmetadata: { name: m }\n§spec:\n',
    code: 'InvalidValue',
    part: 'spec: has no value',
  },
  {
    rule: 'a name that is not a label',
    yaml: top().replace('name: m', 'name: §M_1'),
    code: 'InvalidValue',
    part: 'DNS label',
  },
  { rule: 'a module without VMs', yaml: 'name: m\n§vms: []\n', code: 'MissingField', part: 'at least one VM' },
  { rule: 'no list of VMs', yaml: '§name: m\n', code: 'MissingField', part: 'vms: is required' },
  { rule: 'a misspelt key', yaml: top('§timout: 1h'), code: 'UnknownKey', part: 'did you mean "timeout"?' },
  {
    rule: 'a key of other case',
    yaml: vm('§bootcommand: []'),
    code: 'UnknownKey',
    part: 'did you mean "bootCommand"?',
  },
  { rule: 'a key at the wrong level', yaml: vm('§memory: 1Gi'), code: 'UnknownKey', part: 'belongs under "resources"' },
  {
    rule: "a key at the wrong level in Packer's spelling",
    yaml: vm('§ssh_username: root'),
    code: 'UnknownKey',
    part: 'belongs under "communicator" as "sshUsername"',
  },
  {
    rule: 'a text in place of a map',
    yaml: step('type: file', 'file: { source: §./site.conf, destination: /etc/x }'),
    code: 'InvalidValue',
    part: 'its keys are configMapRef, secretRef',
  },
  { rule: 'a key without value', yaml: vm('§cloudInit:'), code: 'InvalidValue', part: 'has no value' },
  { rule: 'a map in place of a list', yaml: top('§files: { a: b }'), code: 'InvalidValue', part: 'must be a list' },
  {
    rule: 'a deprecated key',
    yaml: top('§output: { s3: x }'),
    code: 'Deprecated',
    part: 'no effect',
    severity: 'warning',
  },
  {
    rule: 'a relative destination',
    yaml: step('type: file', 'file: { source: { secretRef: { name: s, key: k } }, destination: §tmp/x }'),
    code: 'InvalidValue',
    part: 'absolute',
  },
  {
    rule: 'a card without address',
    yaml: lan('[{ name: n, subnet: lan, mac: §"00:00:00:00:00:00" }]'),
    code: 'InvalidValue',
    part: 'of no card',
  },
];

testRefusals(rows);

/** Expected output of `slipway validate` for one file under `offline/`. */
export interface OfflineCase {
  readonly file: string;
  readonly kind: string;
  /** Errors make the command fail, warnings do not; null where there must be neither. */
  readonly severity: 'error' | 'warning' | null;
  /** `line:column message`, each matched by one problem; columns are left out where the line is enough. */
  readonly shows?: readonly RegExp[];
  /** Number of problems, where more would be noise. */
  readonly count?: number;
  /** What must not be shown anywhere. */
  readonly hides?: RegExp;
}

export const OFFLINE_CASES: readonly OfflineCase[] = [
  { file: '01-no-header.yaml', kind: 'user data', severity: 'warning', shows: [/^7:\d+ .*#cloud-config/], count: 1 },
  { file: '03-base64-gzip.yaml', kind: 'user data', severity: null },
  { file: '06-broken-yaml.yaml', kind: 'user data', severity: 'error', shows: [/^(9|10|11):\d+ .*userData/] },
  { file: '06c-dup.yaml', kind: 'user data', severity: 'warning', shows: [/^10:\d+ .*runcmd/], count: 1 },
  { file: '07-disable-root.yaml', kind: 'user data', severity: 'warning', shows: [/disable_root/] },
  { file: '09-network.yaml', kind: 'network data', severity: 'error', shows: [/^\d+:\d+ .*networkData/] },
  {
    file: '13b-sizes.yaml',
    kind: 'sizes',
    severity: 'error',
    shows: [/^5:\d+ .*2048Mi/, /^6:\d+ .*20480Mi/],
    count: 2,
  },
  {
    ...{ file: '15-urls.yaml', kind: 'URLs', severity: 'error', hides: /hunter2/ },
    shows: [
      ...[/^8:\d+ .*file:/, /^10:\d+ .*path/, /^12:\d+ .*s3/, /^14:\d+ .*%20/, /^18:\d+ .*containerDisk/],
      ...[/^20:\d+ .*blanks/, /^24:\d+ .*99999|^24:\d+ .*port/],
    ],
  },
  { file: '15a-basic-auth.yaml', kind: 'URLs', severity: null, hides: /hunter2/ },
  {
    file: '16-terraform-vars.yaml',
    kind: 'templates',
    severity: 'error',
    shows: [/^10:40 .*\$\$\{var\.region\}/, /^4:5 .*cannot log in/],
    count: 2,
  },
  { file: '17b-boot-functions.yaml', kind: 'templates', severity: 'warning', shows: [/^7:\d+ .*(user|isotime)/] },
  { file: '18c-unquoted-template.yaml', kind: 'YAML', severity: 'error', shows: [/^6:10 .*quote/, /^10:\d+ .*quote/] },
  {
    file: '18e-heredoc-outdent.yaml',
    kind: 'YAML',
    severity: 'error',
    shows: [/^(10|11):\d+ .*block.*ended/],
    count: 1,
  },
  { file: '18f-folded.yaml', kind: 'YAML', severity: 'warning', shows: [/^8:\d+ .*(fold|>)/], count: 1 },
  {
    ...{ file: '19b-net.yaml', kind: 'networks', severity: 'error' },
    shows: [/^5:\d+ .*loopback/, /^6:\d+ .*link-local/, /^7:\d+ .*multicast/, /^9:35 .*\/31/, /^10:35 .*\/32/],
  },
  { file: '20-vars.yaml', kind: 'templates', severity: 'error', shows: [/var\.SIZE:-1/], count: 1 },
  {
    ...{ file: 'dir', kind: 'files', severity: 'error' },
    shows: [/^utf16\.yaml.*UTF-16/, /^latin1\.yaml.*UTF-8/, /^zz-broken\.yaml:2:1 .*timeout/],
  },
];

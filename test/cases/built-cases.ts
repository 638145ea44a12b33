import type { FailureReason } from '../../common/contracts/failure-table.ts';

/** What `slipway build` must make of one module file. */
export interface BuiltCase {
  /** Path from the root of the project, without `.yaml`; that of a case is its name under `built/`. */
  readonly file: string;
  readonly kind: string;
  /** `refused`: not accepted, nothing is started. */
  readonly outcome: 'succeeded' | 'refused' | FailureReason;
  /** Each matches a line that a step printed; in a refusal or a failure, a line of the output of the command. */
  readonly shows?: readonly RegExp[];
  /** No line that the command prints matches it. */
  readonly hides?: RegExp;
  /** Files that are built with it, named as it is. */
  readonly besides?: readonly string[];
  /** The value of the variable `IMAGE_URL`. @defaultValue tiny */
  readonly image?: 'tiny' | 'debian';
}

const PASSWORD = /hunter2|Y2k6aHVudGVyMg/;
const booted = [/^booted$/];

/** What a guest makes of user data, and steps on Debian: with its boots they take long. */
export const CLOUD_INIT_CASES: readonly BuiltCase[] = [
  {
    ...{ file: 'd00b-yaml11', kind: 'user data', outcome: 'succeeded' },
    shows: [
      ...[/^755 \/usr\/local\/bin\/hello$/, /^600 \/etc\/lab\.key$/, /^hello from a script$/, /^ops P /],
      ...[/^dev:.*:\/bin\/bash$/, /^dev ALL=\(ALL\) NOPASSWD:ALL$/, /^drwx.* \/home\/ops$/],
    ],
  },
  { file: 'd01-archive', kind: 'user data', outcome: 'succeeded', shows: [/^yes/, /second$/] },
  { file: 'd02-jinja', kind: 'user data', outcome: 'succeeded', shows: [/ vmssh-ed25519 |^vm$/, /ops@example\.org$/] },
  { file: 'd03-mime', kind: 'user data', outcome: 'succeeded', shows: [/^hook$/, /^yes$/, /^root$/] },
  { file: 'd07-disable-root', kind: 'user data', outcome: 'succeeded', shows: [/uid=0\(root\)/] },
  { file: 't10-runcmd-reboot', kind: 'user data', outcome: 'succeeded', shows: [/^prepared$/, /^finished$/] },
  { file: 't15-dup', kind: 'user data', outcome: 'succeeded' },
  {
    ...{ file: 'd12-sudo-password', kind: 'steps', outcome: 'succeeded' },
    shows: [/^no sudo without password$/, /^root$/, /^b$/, /^ddd$/],
  },
  {
    // The script kills its own process group as it ends, and so itself.
    ...{ file: 'd20-combo', kind: 'steps', outcome: 'StepFailed' },
    shows: [/^from a script$/, /^template$/, /^with a trap$/, /"trap" ended with code 143/],
  },
  {
    ...{ file: 'd22-sudo-asks', kind: 'steps', outcome: 'StepFailed' },
    shows: [/sudo: sorry, you must have a tty to run sudo/, /sudo asks for a password; allow the user NOPASSWD/],
  },
];

export const BUILT_CASES: readonly BuiltCase[] = [
  { file: 'd21-su', kind: 'steps', outcome: 'succeeded', shows: [/^ops$/] },
  { file: 't02-hostkeys', kind: 'steps', outcome: 'succeeded', shows: [/^still here$/] },
  {
    ...{ file: 't03-seal', besides: ['t03b-child'], kind: 'steps', outcome: 'succeeded', hides: /hunter-field/ },
    shows: [/^done$/, /^== state$/, /^== \/var\/lib\/slipway\/\*\/\*\/env\.sh$/],
  },
  { file: 't04-noexec', kind: 'steps', outcome: 'succeeded', shows: [/^plain works$/, /^shebang works$/] },
  { file: 't05-crlf', kind: 'steps', outcome: 'succeeded', shows: [/^one$/, /^two$/, /^three$/, /CRLF/] },
  {
    file: 't06-interpreter',
    kind: 'steps',
    outcome: 'StepFailed',
    shows: [/^from awk$/, /^from env$/, /^with options$/, /perl6/],
  },
  { file: 't21-noisy', kind: 'steps', outcome: 'succeeded', shows: [/^aaa$/, /^ccc$/, /^ddd$/] },
  { file: 't40a-missing-dir', kind: 'steps', outcome: 'StepFailed', shows: [/\/opt\/app\/conf\.d/] },
  { file: 't14-memory', kind: 'sizes', outcome: 'refused', shows: [/2048Mi/] },
  { file: 'f-basicauth', kind: 'files', outcome: 'succeeded', hides: PASSWORD },
  { file: 'f-password-image', kind: 'files', outcome: 'succeeded', shows: booted, hides: PASSWORD },
  { file: 'f-floppy', kind: 'files', outcome: 'succeeded', shows: [/note\.txt/i] },
  { file: 'f-http', kind: 'files', outcome: 'succeeded', shows: booted },
  { file: 'i-html', kind: 'images', outcome: 'ImportFailed', shows: [/html\/page\.qcow2.*HTML/i] },
  { file: 'i-zip', kind: 'images', outcome: 'ImportFailed', shows: [/zip\.qcow2.*ZIP/i] },
  { file: 'i-noise', kind: 'images', outcome: 'ImportFailed', shows: [/noise\.qcow2.*no machine boots from it/] },
  { file: 'i-empty', kind: 'images', outcome: 'ImportFailed', shows: [/empty\.qcow2.*empty|empty\.qcow2.*0 bytes/] },
  { file: 'i-half', kind: 'images', outcome: 'ImportFailed', shows: [/half\.qcow2.*(truncated|ends|bytes)/] },
  { file: 'i-cut', kind: 'images', outcome: 'ImportFailed', shows: [/cut\/tiny\.qcow2 \(HTTP 200.*\d+ of \d+ bytes/] },
  { file: 'i-luks', kind: 'images', outcome: 'ImportFailed', shows: [/luks\.qcow2.*encrypted/] },
  { file: 'i-flat', kind: 'images', outcome: 'ImportFailed', shows: [/flat\.vmdk.*descriptor/] },
  { file: 'i-backing', kind: 'images', outcome: 'ImportFailed', shows: [/backing\.qcow2.*backing file/] },
  { file: 'i-unauth', kind: 'images', outcome: 'ImportFailed', shows: [/auth\/tiny\.qcow2.*401/] },
  { file: 'i-missing', kind: 'images', outcome: 'refused', shows: [/missing\.qcow2.*404/] },
  {
    ...{ file: 'examples/recipes/cloud-image', image: 'debian', kind: 'recipes', outcome: 'succeeded' },
    shows: [/^Built by Slipway\.$/, /^ops:.*:\/bin\/bash$/],
  },
  { file: 'examples/recipes/closed-network', kind: 'recipes', outcome: 'succeeded', shows: [/10\.77\.0\.10/] },
  // Of the pool of the gate, not what the cluster's network would have granted.
  {
    ...{ file: 'examples/recipes/firewall', kind: 'recipes', outcome: 'succeeded' },
    shows: [/ 192\.168\.60\.1\d\d\/24 /, /^1 packets transmitted, 1 (packets )?received/],
  },
  {
    ...{ file: 'examples/recipes/secrets', kind: 'recipes', outcome: 'succeeded' },
    ...{ shows: [/^The log shows: \*\*\*$/], hides: /hunter-field/ },
  },
  {
    ...{
      file: 'examples/recipes/sealed',
      besides: ['on-sealed'],
      image: 'debian',
      kind: 'recipes',
      outcome: 'succeeded',
    },
    shows: [/^keys of its own$/, /^an id of its own$/],
  },
  { file: 'examples/local/site', image: 'debian', kind: 'recipes', outcome: 'succeeded' },
];

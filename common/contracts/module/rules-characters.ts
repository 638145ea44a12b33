import { characterPlace, codeOf } from './characters.ts';
import type { Cursor } from './cursor.ts';
import type { Report, Rule } from './rule.ts';
import { localUses } from './rules-local.ts';

/** Control characters that no one types; line ends and tabs belong into texts of several lines. */
const CONTROLS = /(?![\0\t\n\r])\p{Cc}/u;
const CONTROLS_AND_LINES = /(?!\0)\p{Cc}/u;

/** Control characters by the escape that makes them between double quotes. */
const ESCAPES: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '\u001b': '\\e',
};

/** Control characters in names are refused; in scripts, where they are legal, they are seldom meant. */
export const characterRule: Rule = (body, report) => {
  for (const at of lines(body)) reportControl(at, CONTROLS_AND_LINES, 'error', report);
  for (const at of texts(body)) reportControl(at, CONTROLS, 'warning', report);
};

function reportControl(at: Cursor, pattern: RegExp, severity: 'error' | 'warning', report: Report): void {
  const found = pattern.exec(at.text ?? '');
  if (!found || at.text === null) return;
  const code = severity === 'error' ? 'InvalidValue' : 'Doubtful';
  report(at, code, controlMessage(found[0]), severity, characterPlace(at.text, found.index));
}

function controlMessage(character: string): string {
  const written = ESCAPES[character];
  const hint = written
    ? `"${written}" between double quotes means it: take single quotes, or write two backslashes`
    : 'remove it';
  return `has the control character ${codeOf(character)}: ${hint}`;
}

/** Names of accounts and files. */
function lines(body: Cursor): Cursor[] {
  const ofVms = body
    .list('vms')
    .flatMap((vm) => [
      vm.at('communicator', 'sshUsername'),
      ...vm.list('provisioners').map((step) => step.at('file', 'destination')),
    ]);
  return [...ofVms, ...localUses(body).map(({ at }) => at)];
}

/** Everything that a guest runs, reads or stores. */
function texts(body: Cursor): Cursor[] {
  const ofVms = body
    .list('vms')
    .flatMap((vm) => [
      vm.at('cloudInit', 'userData'),
      vm.at('cloudInit', 'networkData'),
      vm.at('communicator', 'sshPassword'),
      vm.at('shutdownCommand'),
      ...vm.list('provisioners').flatMap(textsOfStep),
    ]);
  return [...ofVms, ...body.list('files').map((file) => file.at('inline'))];
}

function textsOfStep(step: Cursor): Cursor[] {
  const shell = step.at('shell');
  const env = shell.at('env');
  return [
    shell.at('inline'),
    ...shell.list('inline'),
    shell.at('executeCommand'),
    ...env.keys.map((key) => env.at(key)),
    step.at('reboot', 'command'),
  ];
}

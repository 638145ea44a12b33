import { expect, test } from 'vitest';
import { unixText } from '../../guest/shell-words.ts';
import { changesOf, scriptText, sudoWants } from './shell-step.ts';

test.each([
  ['sudo: sorry, you must have a tty to run sudo', /requiretty/],
  ['sudo: a password is required', /NOPASSWD/],
  ['sudo: no tty present and no askpass program specified', /NOPASSWD/],
  ['sudo: a terminal is required to read the password; either use the -S option', /NOPASSWD/],
  ['sudo: 1 incorrect password attempt', /did not accept/],
  ['ops is not in the sudoers file.', /may not use sudo/],
  ['Sorry, user ops is not allowed to execute "/usr/bin/id" as root on vm.', /may not use sudo/],
  ['sudo: Account or password is expired, reset your password and try again', /has expired/],
  ['Password change required but no TTY available.', /has expired/],
  ['You are required to change your password immediately (administrator enforced).', /has expired/],
  ['E: Unable to locate package sudo', /^$/],
])('"%s" is explained', (line, means) => {
  expect(sudoWants(['before', line, 'after'])).toMatch(means);
});

test('a script of other bytes than a shell reads is not started', () => {
  expect(scriptText(Buffer.from('echo é\n'))).toBe('echo é\n');
  expect(() => scriptText(Buffer.from('echo é\n', 'latin1'))).toThrow('The script is not in UTF-8: save it in UTF-8');
  expect(() => scriptText(Buffer.from('echo', 'utf16le'))).toThrow('binary content');
});

test.each([
  ['echo a\n', []],
  ['\uFEFFecho a\n', [/byte order mark/]],
  ['echo a\r\necho b\r\n', [/CRLF/]],
  ['\uFEFFecho a\r\n', [/byte order mark/, /CRLF/]],
])('the log of %j names each change that was made to the script', (script, changes) => {
  expect(changesOf(script, unixText(script))).toEqual(changes.map((change) => expect.stringMatching(change)));
});

import { characterPlace, codeOf } from './characters.ts';
import type { Rule } from './rule.ts';

/** What comes along with text that is copied from a page: it looks like a blank, or like nothing. */
const INVISIBLE = /[\u00a0\u200b\u2060]|(?!^)\ufeff/;

/** What a script shows of how it will run. */
export const scriptRule: Rule = (body, report) => {
  for (const step of body.list('vms').flatMap((vm) => vm.list('provisioners'))) {
    const inline = step.at('shell', 'inline');
    const { text } = inline;
    const isEmpty = text === null ? Array.isArray(inline.value) && inline.value.length === 0 : text.trim() === '';
    if (isEmpty) report(inline, 'Doubtful', 'is empty: the step does nothing', 'warning');
    if (text === null || isEmpty) continue;
    if (/^\s+#!/.test(text)) {
      const message = 'its "#!" line is not the first one, so it runs in bash or sh: remove what is above it';
      report(inline, 'Doubtful', message, 'warning');
    }
    const found = INVISIBLE.exec(text);
    if (!found) continue;
    const message = `has the character ${codeOf(found[0])}, which looks like a blank or like nothing, and is none for a shell`;
    report(
      inline,
      'Doubtful',
      `${message}: write a plain blank, or remove it`,
      'warning',
      characterPlace(text, found.index),
    );
  }
};

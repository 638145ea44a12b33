import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { StoredEvent } from '../../common/contracts/events.ts';
import { printable } from '../../common/text/printable.ts';
import { describeFailure, isSkipped } from './build-lines.ts';
import type { BuildOutput } from './build-progress.ts';

type EventOf<K extends StoredEvent['event']> = Extract<StoredEvent, { event: K }>;

/** One phase or step of a machine. */
interface Case {
  readonly machine: string;
  readonly name: string;
  readonly durationMs: number;
  /** Why it failed or did not end; undefined when it succeeded. */
  readonly trouble?: { readonly element: 'failure' | 'skipped'; readonly message: string; readonly text: string };
}

/** Shows a build as before, and writes the report when the build has finished. */
export function withJunitReport(output: BuildOutput, file: string): BuildOutput {
  const report = new JunitReport();
  return {
    ...output,
    show: (event) => {
      report.add(event);
      output.show(event);
      if (event.event !== 'build-finished') return;
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, report.render(event));
    },
  };
}

/**
 * A build in the JUnit format, as Jenkins, GitLab and GitHub's actions read it: a suite per module, a case per phase and
 * step of each machine, and one for the module itself, with its failure or a note that it was reused.
 */
export class JunitReport {
  readonly #cases = new Map<string, Case[]>();
  readonly #logs = new Map<string, string[]>();

  add(event: StoredEvent): void {
    if (event.event === 'log') this.#linesOf(event.module).push(`${event.vm}: ${printable(event.line)}`);
    if (event.event === 'phase-finished' && event.outcome !== 'requeue')
      this.#casesOf(event.module).push(phaseCase(event));
    if (event.event === 'step-finished') this.#casesOf(event.module).push(stepCase(event));
  }

  render({ buildId, modules, durationMs }: EventOf<'build-finished'>): string {
    const suites = modules.map((module) => {
      const cases = [moduleCase(module), ...(this.#cases.get(module.name) ?? [])];
      const output = (this.#logs.get(module.name) ?? []).join('\n');
      return [
        `  <testsuite ${attributes({ name: module.name, ...counts(cases), time: time(module.durationMs) })}>`,
        ...cases.map((one) => renderCase(module.name, one)),
        ...(output === '' ? [] : [`    <system-out>${xmlText(output)}</system-out>`]),
        '  </testsuite>',
      ].join('\n');
    });
    const all = modules.flatMap((module) => [moduleCase(module), ...(this.#cases.get(module.name) ?? [])]);
    const head = attributes({ name: `slipway build ${buildId}`, ...counts(all), time: time(durationMs) });
    return ['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites ${head}>`, ...suites, '</testsuites>', ''].join(
      '\n',
    );
  }

  #casesOf(module: string): Case[] {
    return entry(this.#cases, module);
  }

  #linesOf(module: string): string[] {
    return entry(this.#logs, module);
  }
}

function phaseCase({ vm, phase, outcome, durationMs, failure }: EventOf<'phase-finished'>): Case {
  const text = describeFailure(failure).join('\n');
  return { machine: vm, name: phase, durationMs, ...troubleOf(outcome, failure?.message ?? outcome, text) };
}

function stepCase({ vm, step, name, type, outcome, exitCode, durationMs }: EventOf<'step-finished'>): Case {
  const message = exitCode === null ? outcome : `exit code ${exitCode}`;
  return {
    machine: vm,
    name: `step ${step + 1}: ${name ?? type}`,
    durationMs,
    ...troubleOf(outcome, message, message),
  };
}

function moduleCase(module: EventOf<'build-finished'>['modules'][number]): Case {
  const { name, action, durationMs, failure } = module;
  const outcome = isSkipped(module) ? 'skipped' : module.outcome;
  const text = describeFailure(failure).join('\n');
  return {
    machine: '',
    name: `${name} (${action})`,
    durationMs,
    ...troubleOf(outcome, failure?.message ?? outcome, text),
  };
}

function troubleOf(outcome: string, message: string, text: string): Pick<Case, 'trouble'> {
  if (outcome === 'succeeded') return {};
  return { trouble: { element: outcome === 'failed' ? 'failure' : 'skipped', message, text } };
}

function renderCase(module: string, { machine, name, durationMs, trouble }: Case): string {
  const classname = machine === '' ? module : `${module}.${machine}`;
  const open = `    <testcase ${attributes({ classname, name, time: time(durationMs) })}`;
  if (!trouble) return `${open}/>`;
  const { element, message, text } = trouble;
  return `${open}>\n      <${element} ${attributes({ message })}>${xmlText(text)}</${element}>\n    </testcase>`;
}

function counts(cases: readonly Case[]): Record<string, string> {
  const having = (element: 'failure' | 'skipped') => cases.filter(({ trouble }) => trouble?.element === element).length;
  return {
    tests: String(cases.length),
    failures: String(having('failure')),
    errors: '0',
    skipped: String(having('skipped')),
  };
}

function time(ms: number): string {
  return (ms / 1000).toFixed(3);
}

function attributes(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${xmlText(printable(value))}"`)
    .join(' ');
}

/** XML 1.0 does not allow control characters and halves of surrogate pairs, not even as references. */
function xmlText(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"]/g, (letter) => entities[letter] ?? letter);
}

function entry<T>(map: Map<string, T[]>, key: string): T[] {
  const found = map.get(key) ?? [];
  map.set(key, found);
  return found;
}

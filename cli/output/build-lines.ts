import { describeAttempt } from '../../common/contracts/attempt.ts';
import type { FarmEvent, Kept, StoredEvent } from '../../common/contracts/events.ts';
import { FAILURES } from '../../common/contracts/failure-table.ts';
import type { Failure } from '../../common/contracts/failures.ts';
import { seconds } from '../../common/text/durations.ts';
import { lastState } from '../../common/text/last-state.ts';
import { printable } from '../../common/text/printable.ts';
import { waitingWords } from '../../common/text/waiting.ts';

/** `slipway logs --serial` has all that is kept. */
const SERIAL_SHOWN = 20;

/** The sentence for an event of a build. */
export function describeEvent(event: StoredEvent, buildId: string): string {
  switch (event.event) {
    case 'build-accepted':
      return `Build ${event.buildId}: ${event.modules.join(', ')}`;
    case 'module-started':
      return `${event.module}: ${event.action === 'join' ? 'already being built, waiting for it' : 'started'}`;
    case 'module-reused':
      return `${event.module}: reused`;
    case 'phase-started': {
      const words = describeAttempt(event);
      return `${event.module}/${event.vm}: ${event.phase}${words === '' ? '' : ` (${words})`}`;
    }
    case 'phase-finished':
      return `${event.module}/${event.vm}: ${event.phase} ${event.outcome} after ${seconds(event.durationMs)}`;
    case 'phase-waiting':
      return `${event.module}/${event.vm}: ${describeWaiting(event)}`;
    case 'step-started':
      return `${event.module}/${event.vm}: step ${event.step + 1}, ${stepName(event)}`;
    case 'step-finished':
      return `${event.module}/${event.vm}: step ${event.step + 1}, ${stepName(event)}, ${event.outcome} after ${seconds(event.durationMs)}`;
    case 'handbuild-waiting':
      return [
        `${event.module}/${event.vm}: step ${event.step + 1}, ${stepName(event)}, ${waitsHow(event.kept)}:`,
        ...describeHandbuild(event, { buildId, vm: event.vm }),
      ].join('\n');
    case 'log':
      return `${event.module}/${event.vm} | ${printable(lastState(event.line))}`;
    case 'module-finished':
      if (isSkipped(event)) return `${event.module}: skipped. ${printable(event.failure?.message ?? '')}`;
      return [
        `${event.module}: ${event.outcome} after ${seconds(event.durationMs)}`,
        ...describeFailure(event.failure),
      ].join('\n');
    case 'build-finished':
      return `Build ${event.buildId} ${event.outcome} after ${seconds(event.durationMs)}`;
  }
}

/** `SSH 10.0.2.2:22: no route to host, 34 tries in 12 s, given up in 4 min 48 s`. */
export function describeWaiting(event: Extract<FarmEvent, { event: 'phase-waiting' }>): string {
  const { error, elapsedMs, leftMs } = event;
  const end = error === null ? '' : `, given up in ${seconds(leftMs)}`;
  return `${waitingWords(event)} in ${seconds(elapsedMs)}${end}`;
}

/** Whether a module failed only because one that it starts from did. */
export function isSkipped({ failure }: { readonly failure?: Failure | null | undefined }): boolean {
  return failure?.reason === 'ParentFailed';
}

/** Reason, message, evidence and remedy of a failure, indented below its subject. */
export function describeFailure(failure: Failure | undefined): string[] {
  if (!failure) return [];
  const hints = failure.hints.length > 0 ? failure.hints : [FAILURES[failure.reason].solve];
  return [
    `  ${failure.reason}: ${printable(failure.message)}`,
    ...hints.map((hint) => `  -> ${printable(hint)}`),
    ...failure.events.map((event) => `  event: ${printable(event)}`),
    ...failure.logTail.map((line) => `  | ${printable(line)}`),
    ...(failure.serialTail.length > 0
      ? ['  The last lines of the serial console (`slipway logs --serial` shows more):']
      : []),
    ...failure.serialTail.slice(-SERIAL_SHOWN).map((line) => `  | ${printable(line)}`),
    ...(failure.screenshot ? ['  A screenshot was kept; `slipway ps` shows where.'] : []),
  ];
}

/** Why a step waits, after its name. */
export function waitsHow(kept: Kept | null | undefined): string {
  if (!kept) return 'waits for you';
  return kept.why === 'failed' ? 'failed and is kept for you' : 'has not run yet and waits for you';
}

/** The task of a person, and its commands, indented below the machine. */
export function describeHandbuild(
  { instructions, kept }: { readonly instructions: string; readonly kept?: Kept | null | undefined },
  { buildId, vm }: { readonly buildId: string; readonly vm: string },
): string[] {
  return [
    ...instructions
      .trim()
      .split('\n')
      .map((line) => `  > ${printable(line)}`),
    `  slipway console ${buildId}/${vm}`,
    `  slipway ssh ${buildId}/${vm}`,
    ...(kept?.why === 'failed'
      ? [`  slipway step retry ${buildId}/${vm}    or  step skip`]
      : [`  slipway continue ${buildId} ${vm}`]),
    ...(kept ? [`  slipway release ${buildId}/${vm}       given up at ${new Date(kept.until).toISOString()}`] : []),
  ];
}

function stepName({ name, type }: { name: string | null; type: string }): string {
  return name === null ? type : `${type} "${printable(name)}"`;
}

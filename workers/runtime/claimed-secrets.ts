import type { FarmKey } from '../../common/config/sealing.ts';
import { fillSecrets } from '../../common/contracts/module/secret-text.ts';
import type { PhaseClaim, PhaseResult, PhaseStore } from '../../common/contracts/phase-store.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { type Mask, maskSecrets, maskTexts } from '../../common/logging/mask.ts';

/** The secrets of a claimed phase, in the open: they leave this process for the guest and its cluster only. */
export interface ClaimedSecrets {
  secretValue(name: string): string;
  /** A text of the module as the guest is to get it. */
  fill(text: string): string;
  /** Hides the values in what goes anywhere else. */
  readonly mask: Mask;
}

/** Opens what was sealed when the layer was submitted. @throws InvalidConfig */
export function openSecrets({ secrets }: Pick<PhaseClaim, 'secrets'>, farmKey: FarmKey): ClaimedSecrets {
  const values = new Map(Object.entries(secrets).map(([name, sealed]) => [name, farmKey.open(sealed)]));
  const secretValue = (name: string) => {
    const value = values.get(name);
    assert(value !== undefined, `The secret "${name}" was kept with the layer build.`);
    return value;
  };
  return { secretValue, fill: (text) => fillSecrets(text, secretValue), mask: maskSecrets([...values.values()]) };
}

/** A store that is told lines of logs only with their secrets masked. */
export function maskedStore(store: PhaseStore, mask: Mask): PhaseStore {
  return {
    ...store,
    emit: (claim, event) => store.emit(claim, event.event === 'log' ? { ...event, line: mask(event.line) } : event),
  };
}

/** A result whose failure shows no secret. */
export function maskedResult(result: PhaseResult, mask: Mask): PhaseResult {
  if (result.outcome !== 'failed') return result;
  const { failure } = result;
  const { message, logTail, events } = failure;
  return { outcome: 'failed', failure: { ...failure, ...maskTexts({ message, logTail, events }, mask) } };
}

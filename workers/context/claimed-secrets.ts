import type { FarmKey } from '../../common/config/sealing.ts';
import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { Credentials } from '../../common/contracts/module/location.ts';
import { fillSecrets } from '../../common/contracts/module/secret-text.ts';
import type { PhaseClaim, PhaseResult, PhaseStore } from '../../common/contracts/phase-store.ts';
import { assert } from '../../common/errors/farm-error.ts';
import { type Mask, maskSecrets, maskTexts } from '../../common/logging/mask.ts';

/** The secrets of a claimed phase, in the open: they leave this process for the guest and its cluster only. */
export interface ClaimedSecrets {
  secretValue(name: string): string;
  /** A text of the module as the guest is to get it. */
  fill(text: string): string;
  /** How a URL of the module is asked for; undefined without credentials. */
  credentials(sealed: Credentials | null): Credentials | undefined;
  /** Masks the values in other texts. */
  readonly mask: Mask;
}

/** Opens the secrets that were sealed at submission. @throws InvalidConfig */
export function openSecrets({ secrets, spec }: Pick<PhaseClaim, 'secrets' | 'spec'>, farmKey: FarmKey): ClaimedSecrets {
  const values = new Map(Object.entries(secrets).map(([name, sealed]) => [name, farmKey.open(sealed)]));
  const secretValue = (name: string) => {
    const value = values.get(name);
    assert(value !== undefined, `The secret "${name}" was kept with the layer build.`);
    return value;
  };
  const fill = (text: string) => fillSecrets(text, secretValue);
  const credentials = (sealed: Credentials | null) =>
    sealed ? { username: fill(sealed.username), password: fill(farmKey.open(sealed.password)) } : undefined;
  const logins = credentialsOf(spec.module).flatMap((sealed) => credentials(sealed) ?? []);
  // Together, too: the header of a request contains both in Base64.
  const hidden = logins.flatMap(({ username, password }) => [password, `${username}:${password}`]);
  return { secretValue, fill, credentials, mask: maskSecrets([...values.values(), ...hidden]) };
}

function credentialsOf({ vms, files }: CompiledModule): (Credentials | null)[] {
  const sources = vms.flatMap(({ source, isos }) => [...(source.kind === 'url' ? [source] : []), ...isos]);
  const urls = files.flatMap((file) => (file.kind === 'url' ? [file] : []));
  return [...sources, ...urls].map(({ credentials }) => credentials);
}

/** A store that receives lines of logs and serial ports only with their secrets masked. */
export function maskedStore(store: PhaseStore, mask: Mask): PhaseStore {
  return {
    ...store,
    emit: (claim, event) => store.emit(claim, event.event === 'log' ? { ...event, line: mask(event.line) } : event),
    keepSerial: (claim, read) => store.keepSerial(claim, { ...read, lines: read.lines.map((line) => mask(line)) }),
  };
}

/** A result whose failure shows no secret. */
export function maskedResult(result: PhaseResult, mask: Mask): PhaseResult {
  if (result.outcome !== 'failed') return result;
  const { failure } = result;
  const { reason, screenshot, ...texts } = failure;
  return { outcome: 'failed', failure: { reason, screenshot, ...maskTexts(texts, mask) } };
}

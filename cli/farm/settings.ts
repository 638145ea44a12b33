import { describeOptions, setOption } from '../../common/config/load-config.ts';
import { FarmError } from '../../common/errors/farm-error.ts';

/** Options of the configuration that `slipway up` has no option for: text by path, such as `http.limits.modules`. */
export type Settings = Readonly<Record<string, string>>;

/** @throws InvalidRequest for an option that the document has already */
export function applySettings(document: Record<string, unknown>, settings: Settings): void {
  for (const option of describeOptions()) {
    const text = settings[option.path];
    if (text === undefined) continue;
    if (option.path.split('.').reduce(fieldOf, document) !== undefined) {
      const message = `${option.path} cannot be set: on this farm it follows from other options of \`slipway up\`.`;
      throw new FarmError('InvalidRequest', message);
    }
    setOption(document, option, text);
  }
}

function fieldOf(parent: unknown, field: string): unknown {
  return Object.entries(parent ?? {}).find(([name]) => name === field)?.[1];
}

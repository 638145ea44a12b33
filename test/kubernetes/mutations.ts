type Json = Record<string, unknown>;

/** A body that was made wrong (or not) in one place. */
export interface Mutation {
  /** E.g. `spec.template.spec.domain.cpu: null`. */
  readonly what: string;
  readonly body: Json;
}

/** What is put in the place of every value. */
const INSTEAD: readonly unknown[] = [null, 7, -1, 'x', '', true, [], {}, ['x'], { x: 'y' }];
/** Contents of objects that no schema describes are the business of those who read them. */
const OPAQUE = /\.(config|userData|networkData)$/;

/** Every value of a body replaced by each wrong one, left out, and with an unknown neighbour. */
export function mutationsOf(body: Json): Mutation[] {
  return placesOf(body, []).flatMap((place) => {
    const at = place.map(String).join('.');
    if (OPAQUE.test(at)) return [];
    const replaced = INSTEAD.map((value) => ({
      what: `${at}: ${JSON.stringify(value)}`,
      body: changed(body, place, () => value),
    }));
    const absent = { what: `${at} left out`, body: changed(body, place, () => undefined) };
    const unknown = {
      what: `${at}.nonsense`,
      body: changed(body, place, (value) => (isObject(value) ? { ...value, nonsense: 1 } : value)),
    };
    return isObject(valueAt(body, place)) ? [...replaced, absent, unknown] : [...replaced, absent];
  });
}

function placesOf(value: unknown, path: readonly (string | number)[]): (readonly (string | number)[])[] {
  const below = Array.isArray(value)
    ? value.slice(0, 1).flatMap((item) => placesOf(item, [...path, 0]))
    : isObject(value)
      ? Object.entries(value).flatMap(([name, content]) => placesOf(content, [...path, name]))
      : [];
  return path.length === 0 ? below : [path, ...below];
}

function valueAt(body: unknown, place: readonly (string | number)[]): unknown {
  return place.reduce((value: unknown, step) => (value as Json)[step as string], body);
}

function changed(body: Json, place: readonly (string | number)[], change: (value: unknown) => unknown): Json {
  const copy = structuredClone(body);
  const parent = valueAt(copy, place.slice(0, -1)) as Json;
  const last = place.at(-1) as string;
  const value = change(parent[last]);
  if (value !== undefined) parent[last] = value;
  else if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete parent[last];
  return copy;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

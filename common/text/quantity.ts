const SUFFIX_FACTOR: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};
const QUANTITY = /^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/;

/**
 * The value of a Kubernetes quantity (`10Gi`, `500m`, `1e3`) in its base unit; undefined when it is none. The grammar is that of
 * `k8s.io/apimachinery/pkg/api/resource`: a suffix or an exponent, not both, and no spaces.
 */
export function parseQuantity(written: unknown): number | undefined {
  if (typeof written === 'number') return Number.isFinite(written) ? written : undefined;
  if (typeof written !== 'string') return undefined;
  const match = QUANTITY.exec(written);
  if (!match) return undefined;
  const [, number, suffix = '', exponent] = match;
  return exponent === undefined
    ? Number(number) * (SUFFIX_FACTOR[suffix] ?? Number.NaN)
    : Number(`${number}e${exponent}`);
}

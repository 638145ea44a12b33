import type { ErrorKind } from './error-kinds.ts';

interface ErrorRow {
  readonly kind: ErrorKind;
  /** Status when the error ends an HTTP request. */
  readonly http: number;
  /** Remedy for the reader; one or two sentences. */
  readonly solve: string;
}

/** Every error of the farm. `docs/errors.md` is generated from this table and compared by a test. */
export const ERRORS = {
  InvalidModule: {
    kind: 'invalid',
    http: 422,
    solve: 'Correct the module at the position named; `slipway validate` finds every problem at once.',
  },
  NotYetSupported: {
    kind: 'invalid',
    http: 422,
    solve: 'The field is part of the model but this version cannot execute it. Remove it, or build without it.',
  },
  GraphCycle: {
    kind: 'invalid',
    http: 422,
    solve: 'Break the cycle that the message names: a module may not start from its own output.',
  },
  UnknownModule: {
    kind: 'invalid',
    http: 422,
    solve: 'Submit the parent module too, build it first, or correct the name in `buildRef`.',
  },
  UnknownSecret: {
    kind: 'precondition',
    http: 422,
    solve: 'An admin sets it with `slipway secret set NAME`; `slipway secret list` lists the existing ones.',
  },
  ExceedsLimits: {
    kind: 'invalid',
    http: 422,
    solve: 'Ask for less, or raise the limits of a cluster in the configuration.',
  },
  NetworkNotOffered: {
    kind: 'invalid',
    http: 422,
    solve:
      'Request fewer network features, or add a cluster that has the features in the message: KubeOVN for isolated networks, `clusters[].externalSubnet` for internet there.',
  },
  NoSuchLabels: {
    kind: 'invalid',
    http: 422,
    solve:
      'Correct `placement.clusterLabels`, or give a cluster these labels: `slipway cluster label`, or `clusters[].labels`.',
  },
  ClusterClosed: {
    kind: 'precondition',
    http: 409,
    solve:
      'Wait until an admin opens the cluster again, with `slipway cluster resume NAME`; `slipway ps` shows its mode.',
  },
  StorageFull: {
    kind: 'exhausted',
    http: 507,
    solve:
      'Free storage: `slipway df` shows how it is used, and `slipway image prune` removes old images. `clusters[].leastFreeStorage` is the amount that must be free.',
  },
  InvalidRequest: {
    kind: 'invalid',
    http: 400,
    solve: 'The message describes the error in the request; the page /api of the farm describes the API.',
  },
  MethodNotAllowed: {
    kind: 'invalid',
    http: 405,
    solve: 'Use a method that the header Allow of the answer names; the page /api of the farm shows all operations.',
  },
  RequestTooLarge: {
    kind: 'invalid',
    http: 413,
    solve: 'Send less at once, or raise the option that the message names: `http.limits.body` where it names none.',
  },
  BlobMissing: {
    kind: 'precondition',
    http: 409,
    solve: 'Upload each content of `missing` to `/api/v1/blobs/SHA256`, then send the same request again.',
  },
  HashMismatch: {
    kind: 'invalid',
    http: 422,
    solve: 'The file changed while it was sent, or the hash is that of another one. Hash it again, then send it again.',
  },
  UploadConflict: {
    kind: 'precondition',
    http: 409,
    solve: 'Continue at the byte that `Upload-Offset` of the answer names, or send the whole content.',
  },
  BlobsFull: {
    kind: 'exhausted',
    http: 507,
    solve: 'Wait until files that no build needs are removed (`blobs.retention`), or raise `blobs.totalSize`.',
  },
  LocalFilesOff: {
    kind: 'precondition',
    http: 409,
    solve: 'Set the option in the message (docs/configuration.md), or use a URL in the module.',
  },
  InvalidConfig: {
    kind: 'invalid',
    http: 500,
    solve: 'Correct the option that the message names; `docs/configuration.md` lists all options.',
  },
  SourceUnreachable: {
    kind: 'precondition',
    http: 422,
    solve: 'Check that the URL or object in the message is right, and that the farm and its clusters can read it.',
  },
  SourceChanged: {
    kind: 'precondition',
    http: 409,
    solve: 'The source changed between planning and import. Build again; a checksum or a dated URL prevents it.',
  },
  RegistryRefused: {
    kind: 'precondition',
    http: 422,
    solve:
      'Check the reference. A registry that answers 401 or 403 requires an account that may push there: `docker login` on the machine of the command, or `--secret`.',
  },
  Unauthorized: { kind: 'precondition', http: 401, solve: 'Send the bearer token: `--token`, or `SLIPWAY_TOKEN`.' },
  Forbidden: {
    kind: 'precondition',
    http: 403,
    solve: 'Use a token of the role that the message names; an admin makes one with `slipway token create`.',
  },
  NameTaken: {
    kind: 'precondition',
    http: 409,
    solve: 'Choose another name, or revoke the token that has it.',
  },
  NotWaiting: {
    kind: 'precondition',
    http: 409,
    solve: 'No step of the VM waits for a person now. `slipway ps BUILD` shows which ones wait.',
  },
  ImageInUse: {
    kind: 'precondition',
    http: 409,
    solve:
      'Remove the images or tags in the message first, or wait for the builds; `--force` removes an image that has tags or children.',
  },
  NotFound: {
    kind: 'precondition',
    http: 404,
    solve: 'Check the name or id in the message; finished builds are forgotten after `retention.builds`.',
  },
  IdempotencyConflict: {
    kind: 'precondition',
    http: 409,
    solve: 'The key was used with another request. Use a new Idempotency-Key for a new request.',
  },
  ClusterUnfit: {
    kind: 'precondition',
    http: 409,
    solve: 'Install or repair the component in the message on the cluster; `slipway doctor` checks again.',
  },
  ClustersDiffer: {
    kind: 'precondition',
    http: 409,
    solve: 'Give the object in the message the same content on every cluster of the farm.',
  },
  RedisUnfit: {
    kind: 'precondition',
    http: 503,
    solve: 'Set `maxmemory-policy noeviction` and `appendonly yes` on the Redis server, version 6.2 or newer.',
  },
  PlanningTimeout: {
    kind: 'deadline',
    http: 503,
    solve: 'The farm is busy planning, or planning took too long: send the modules again, or in several requests.',
  },
  NoCapacity: {
    kind: 'exhausted',
    http: 429,
    solve: 'Nothing to do: the layer build waits for a slot. `slipway ps` shows which builds hold the slots.',
  },
  CatalogChanging: {
    kind: 'exhausted',
    http: 429,
    solve: 'Submit the build again: other builds added or removed images at each attempt to plan it.',
  },
  TooManyRequests: {
    kind: 'exhausted',
    http: 429,
    solve: 'Try again after the seconds of `Retry-After`, or raise `http.limits` in the configuration.',
  },
  RedisUnavailable: {
    kind: 'unavailable',
    http: 503,
    solve: 'Check the Redis server; the farm continues by itself when Redis answers again.',
  },
  ClusterUnavailable: {
    kind: 'unavailable',
    http: 503,
    solve: 'Check the Kubernetes API of the cluster; the farm continues by itself when the API answers again.',
  },
  ConnectionLost: {
    kind: 'unavailable',
    http: 503,
    solve: 'A connection to a guest or its console broke; the farm connects again.',
  },
  FarmUnreachable: {
    kind: 'unavailable',
    http: 503,
    solve: 'Start a farm with `slipway up`, or name one: `--url`, or `SLIPWAY_URL`.',
  },
  NotAFarm: {
    kind: 'precondition',
    http: 502,
    solve:
      'Correct the address: `--url`, `SLIPWAY_URL`. A farm answers at /healthz; a proxy in front of it must forward it.',
  },
  VersionSkew: {
    kind: 'precondition',
    http: 502,
    solve: 'Use the CLI of the version that the farm runs: the command `slipway` of its own installation.',
  },
  FarmNotStarted: {
    kind: 'internal',
    http: 500,
    solve: 'The message names the process that failed and its log; `slipway doctor` checks this machine.',
  },
  DeadlineExceeded: {
    kind: 'deadline',
    http: 504,
    solve:
      'Look at the screenshot and log of the failure; raise the timeout that the message names if it was too short.',
  },
  Superseded: { kind: 'cancelled', http: 409, solve: 'Nothing to do: another worker has taken over.' },
  Cancelled: { kind: 'cancelled', http: 409, solve: 'Nothing to do: the build was cancelled.' },
  BrokenInvariant: {
    kind: 'internal',
    http: 500,
    solve: 'This is a bug in Slipway. Report it with the log of the process.',
  },
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

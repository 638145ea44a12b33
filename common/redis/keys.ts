import { REDIS_PREFIX } from '../contracts/phases.ts';

const key = (...parts: readonly string[]) => [REDIS_PREFIX, ...parts].join(':');

/** The keys that processes read themselves; scripts change them. Their contents are documented in `scripts/include`. */
export const KEYS = {
  /** Which farm this is, in the labels of its objects. */
  farmId: key('farm-id'),
  /** Zset of build ids by the time they were accepted. */
  builds: key('builds'),
  /** `<digest> <build>` of the request that a token sent under an Idempotency-Key. */
  idempotency: (token: string, idempotencyKey: string) => key('idempotency', token, idempotencyKey),
  /** Set of the builds that are clones and have not ended. */
  runs: key('runs'),
  build: (id: string) => key('build', id),
  /** List of its modules (JSON), parents first. */
  buildModules: (id: string) => key('build', id, 'modules'),
  /** Hash of names of modules that have ended to their results. */
  buildResults: (id: string) => key('build', id, 'results'),
  buildLayerBuilds: (id: string) => key('build', id, 'layer-builds'),
  /** Stream of the build's events, field `event`. */
  buildEvents: (id: string) => key('build', id, 'events'),
  layerBuild: (id: string) => key('layer-build', id),
  layerBuildPhases: (id: string) => key('layer-build', id, 'phases'),
  layerBuildFailures: (id: string) => key('layer-build', id, 'failures'),
  layerBuildSteps: (id: string) => key('layer-build', id, 'steps'),
  layerBuildScreens: (id: string) => key('layer-build', id, 'screens'),
  /** Stream of a VM's serial output: `lines` (JSON) and `bytes`; `ended` in the last entry. */
  layerBuildSerial: (id: string, vm: string) => key('layer-build', id, 'serial', vm),
  /** Hash of `<vm>/bytes` and `<vm>/position` of these. */
  layerBuildSerials: (id: string) => key('layer-build', id, 'serial'),
  /** Stream of the lines that its phases have logged: `event` (JSON with `lines`) and `bytes`. */
  layerBuildLog: (id: string) => key('layer-build', id, 'log'),
  layerBuildSecrets: (id: string) => key('layer-build', id, 'secrets'),
  layerBuildDisks: (id: string) => key('layer-build', id, 'disks'),
  /** Set of layer builds that have not ended. */
  living: key('living'),
  /** Hash of owners to how many of their layer builds have not ended. */
  layersOf: key('layers-of'),
  /** Hash of what lasts how long (ms): `machines/<module>`, `import/<cluster>`. */
  durations: key('durations'),
  /** Hash of layer keys to the layer build that makes them. */
  building: key('building'),
  /** Hash of layer keys to LayerRecords. */
  layers: key('layers'),
  /** Set of the `<module>:<version>` of a layer; absent on a farm of an older version, until a script of this one has run. */
  layerImages: (layerKey: string) => key('layer', layerKey, 'images'),
  /** Set of the `<module>@<tag>` of a layer. */
  layerTags: (layerKey: string) => key('layer', layerKey, 'tags'),
  /** Hash of module names to the layer key of their newest version. */
  newest: key('newest'),
  /** Hash of `<module>:<version>` to ImageNames. */
  images: key('images'),
  /** Hash of `<module>@<tag>` to ImageTags. */
  tags: key('tags'),
  /** Hash of `<layerBuild>/<generation>` to LayerRecords whose snapshots and templates are to go. */
  removed: key('removed'),
  /** Hash of BullMQ job ids to the dispatched jobs that have not ended. */
  placed: key('placed'),
  outbox: key('outbox'),
  /** Zset of ready imports and gangs that wait for room, by the start of their wait. */
  waiting: (cluster: string, kind: 'imports' | 'gangs') => key('waiting', cluster, kind),
  imports: (cluster: string) => key('imports', cluster),
  slots: (cluster: string) => key('slots', cluster),
  /** Owner -> how long its machines held slots, and when that was counted. */
  had: (cluster: string) => key('had', cluster),
  orphans: (cluster: string) => key('orphans', cluster),
  /** Hash: the record of a shared source. */
  source: (cluster: string, name: string) => key('source', cluster, name),
  /** Set of the living layer builds that use it. */
  sourceUsers: (cluster: string, name: string) => key('source', cluster, name, 'users'),
  workers: (cluster: string) => key('workers', cluster),
  /** Hash of `<layer build>/<vm>` to the step of it that waits for a person. */
  handbuilds: (cluster: string) => key('handbuilds', cluster),
  /**
   * Hash of changes that people made to a cluster: `mode`, `limit/<name>`, `label/<key>` (JSON; null: removed), who did it
   * last (`by`), and when (`at`).
   */
  control: (cluster: string) => key('control', cluster),
  /** Hash of cluster names to their error; empty: healthy. Absent: not checked yet. */
  troubles: key('troubles'),
  /** Hash of cluster names to JSON lists of Findings. Absent: not looked at yet. */
  findings: key('findings'),
  /** Hash of cluster names to the kinds of their networks. Absent: not looked at yet. */
  networks: key('networks'),
  /** Hash of cluster names to StorageRooms. Absent: not reported, or not looked at yet. */
  rooms: key('storage-rooms'),
  /** Hash of names of tokens to their hashes. */
  tokens: key('tokens'),
  token: (hash: string) => key('token', hash),
  /** The hash of the token that a session of a browser is of, by the hash of its secret. */
  session: (hash: string) => key('session', hash),
  /** As `session`, of a link that signs in once. */
  signInCode: (hash: string) => key('sign-in-code', hash),
  /** Hash of names of secrets to who set them and when. */
  secrets: key('secrets'),
  /** Hash of names of secrets to their values, sealed. */
  sealedSecrets: key('secrets', 'sealed'),
  /** Pub/sub channel of notices. */
  notices: key('notices'),
} as const;

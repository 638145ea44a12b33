import { roleOfUserAgent } from '../../common/kubernetes/user-agent.ts';
import type { Answer, ClusterClient } from '../harness/cluster-client.ts';
import type { Recorded } from './recording-proxy.ts';

type Json = Record<string, unknown>;

/** The answer of a real server to a recorded request. */
export interface Replayed {
  /** `METHOD path` without its query, by the role that asked. */
  readonly asked: string;
  readonly recorded: number;
  readonly answered: number;
  readonly message: string;
  readonly warnings: string;
  /** The embedded cluster answered by a webhook of KubeVirt, CDI or KubeOVN, none of which runs beside a bare API server. */
  readonly byWebhook: boolean;
}

const STREAM = /[?&](watch|follow)=/;
/** Served by kubelets and virt-api on a whole cluster, and missing here; the authoriser is asked all the same. */
export const SERVED_BY_OTHERS = /\/apis\/subresources\.kubevirt\.io\/|\/(portforward|log)(\?|$)/;

/**
 * Sends what a farm asked of an embedded cluster to a real API server, request by request, each with the rights of its
 * role and strictly validated. Other clients of the embedded cluster (its controllers) are played by the
 * administrator: before each request, the object that it names is there, or is not, as it was then.
 */
export class Replay {
  readonly #administrator: ClusterClient;
  readonly #roles: ReadonlyMap<string, ClusterClient>;
  /** The last state of each object that the farm was shown, by its path. */
  readonly #seen = new Map<string, Json>();
  /** Identities on the embedded cluster to those on the real one. */
  readonly #uids = new Map<string, string>();

  constructor(administrator: ClusterClient, roles: ReadonlyMap<string, ClusterClient>) {
    this.#administrator = administrator;
    this.#roles = roles;
  }

  async run(records: readonly Recorded[]): Promise<Replayed[]> {
    const replayed: Replayed[] = [];
    for (const record of records) {
      const role = roleOfUserAgent(record.userAgent);
      const client = this.#roles.get(role ?? '');
      if (client) replayed.push(await this.#replay(record, client, `${role}: ${record.method} ${pathOf(record)}`));
    }
    return replayed;
  }

  async #replay(record: Recorded, client: ClusterClient, asked: string): Promise<Replayed> {
    if (!SERVED_BY_OTHERS.test(record.path) && !record.upgraded) await this.#prepare(record);
    const answer = STREAM.test(record.path) ? await openStream(client, record) : await this.#send(record, client);
    this.#learn(record, answer);
    const message = String(answer.body['message'] ?? '');
    const byWebhook = /^admission webhook ".+" denied the request/.test(String(record.answer?.['message'] ?? ''));
    return { asked, recorded: record.code, answered: answer.code, message, warnings: answer.warnings, byWebhook };
  }

  async #send({ method, path, contentType, body }: Recorded, client: ClusterClient): Promise<Answer> {
    const query = path.includes('?') ? '&' : '?';
    const strict = ['POST', 'PUT', 'PATCH'].includes(method) && !/fieldValidation=/.test(path);
    return await client.exchange({
      ...{ method, path: withoutPositions(strict ? `${path}${query}fieldValidation=Strict` : path) },
      ...(body === '' ? {} : { body: this.#translated(body) }),
      ...(contentType === '' ? {} : { headers: { 'content-type': contentType } }),
    });
  }

  /** Brings the object that a request is about into the state of being there or not that it was answered from. */
  async #prepare({ method, path, code, body, answer }: Recorded): Promise<void> {
    const collection = pathOf({ path });
    const name = method === 'POST' ? (JSON.parse(body || '{}').metadata?.name as string | undefined) : undefined;
    const object = method === 'POST' ? `${collection}/${name}` : collection;
    if (method === 'POST' ? name === undefined : !isObjectPath(collection)) return;
    const isThere = (await this.#administrator.send('GET', object)).code === 200;
    const wasThere = method === 'POST' ? code === 409 : code < 300;
    if (wasThere && !isThere) await this.#make(object, this.#seen.get(object) ?? firstSight({ method, body, answer }));
    if (!wasThere && isThere && (code === 404 || code === 201)) await this.#remove(object);
  }

  async #make(path: string, seen: Json | undefined): Promise<void> {
    if (!seen) return;
    const { status: _, ...object } = seen;
    const { uid, name, namespace, labels, annotations, finalizers } = object['metadata'] as Json;
    const metadata = { name, namespace, labels, annotations, finalizers };
    const made = await this.#administrator.send('POST', path.slice(0, path.lastIndexOf('/')), { ...object, metadata });
    if (made.code !== 201) throw new Error(`The administrator cannot make ${path}: ${JSON.stringify(made.body)}`);
    if (uid !== undefined) this.#uids.set(String(uid), String((made.body['metadata'] as Json)['uid']));
  }

  async #remove(path: string): Promise<void> {
    await this.#administrator.patch(path, 'merge-patch+json', { metadata: { finalizers: null } });
    await this.#administrator.send('DELETE', path, { gracePeriodSeconds: 0 });
    await this.#administrator.patch(path, 'merge-patch+json', { metadata: { finalizers: null } });
  }

  #translated(body: string): string {
    let text = withoutPositions(body);
    for (const [from, to] of this.#uids) text = text.replaceAll(from, to);
    return text;
  }

  /** Remembers what the farm was shown, and which identity it has here. */
  #learn({ path, method, answer }: Recorded, { body }: Answer): void {
    if (answer === undefined) return;
    const collection = pathOf({ path });
    if (Array.isArray(answer['items'])) {
      for (const item of answer['items'] as Json[]) {
        const { name, namespace } = item['metadata'] as Json;
        const at = namespace === undefined || /\/namespaces\//.test(collection) ? collection : undefined;
        const type = { apiVersion: answer['apiVersion'], kind: String(answer['kind']).replace(/List$/, '') };
        if (at !== undefined) this.#seen.set(`${at}/${name}`, { ...type, ...item });
      }
      return;
    }
    const metadata = answer['metadata'] as Json | undefined;
    if (metadata?.['uid'] === undefined) return;
    this.#seen.set(method === 'POST' ? `${collection}/${metadata['name']}` : collection, answer);
    const uid = (body['metadata'] as Json | undefined)?.['uid'];
    if (typeof uid === 'string') this.#uids.set(String(metadata['uid']), uid);
  }
}

/**
 * An object that the farm was not shown before: what it asks for and gets, or what it would make and another of its
 * processes was faster with.
 */
function firstSight({ method, body, answer }: Pick<Recorded, 'method' | 'body' | 'answer'>): Json | undefined {
  if (method === 'POST') return JSON.parse(body);
  return method === 'GET' && answer?.['metadata'] !== undefined ? answer : undefined;
}

/** Opens a watch and leaves it: the head of the answer is all that is compared. */
async function openStream(client: ClusterClient, { path }: Recorded): Promise<Answer> {
  return await client.head(withoutPositions(path));
}

function pathOf({ path }: Pick<Recorded, 'path'>): string {
  return path.split('?')[0] ?? '';
}

/** Versions of the embedded cluster mean nothing to another one. */
function withoutPositions(text: string): string {
  return text
    .replaceAll(/"resourceVersion":"\d+",?/g, '')
    .replaceAll(/([?&])(resourceVersion|continue)=[^&]*/g, '$1')
    .replaceAll(',}', '}');
}

function isObjectPath(path: string): boolean {
  const parts = path.split('/').filter((part) => part !== '');
  const root = parts[0] === 'api' ? 2 : 3;
  const rest = parts.slice(root);
  return rest[0] === 'namespaces' && rest.length > 2 ? rest.length === 4 : rest.length === 2;
}

import { ApiError, badRequest } from '../api-error.ts';
import { isJsonObject, type JsonObject, timestamp } from '../objects.ts';

/** The media type in which kubectl's generators (`kubectl create namespace`, ...) send objects of the core. */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** Every protobuf body of Kubernetes begins with this, then a `runtime.Unknown` message. */
const MAGIC = Buffer.from('k8s\0');

type FieldType = 'string' | 'strings' | 'bool' | 'int' | 'time' | 'stringMap' | 'bytesMap' | 'messages' | 'message';

interface Field {
  readonly name: string;
  readonly type: FieldType;
  /** Of `message` and `messages`. */
  readonly fields?: Message;
}

type Message = Readonly<Record<number, Field>>;

const text = (name: string): Field => ({ name, type: 'string' });
const nested = (name: string, fields: Message): Field => ({ name, type: 'message', fields });

const OWNER_REFERENCE: Message = {
  1: text('kind'),
  3: text('name'),
  4: text('uid'),
  5: text('apiVersion'),
  6: { name: 'controller', type: 'bool' },
  7: { name: 'blockOwnerDeletion', type: 'bool' },
};

/** Field numbers of `generated.proto` in k8s.io/apimachinery and k8s.io/api, v1.32. */
const METADATA = nested('metadata', {
  1: text('name'),
  2: text('generateName'),
  3: text('namespace'),
  5: text('uid'),
  6: text('resourceVersion'),
  7: { name: 'generation', type: 'int' },
  8: { name: 'creationTimestamp', type: 'time' },
  11: { name: 'labels', type: 'stringMap' },
  12: { name: 'annotations', type: 'stringMap' },
  13: { name: 'ownerReferences', type: 'messages', fields: OWNER_REFERENCE },
  14: { name: 'finalizers', type: 'strings' },
});

const RESOURCE_ATTRIBUTES: Message = {
  1: text('namespace'),
  2: text('verb'),
  3: text('group'),
  4: text('version'),
  5: text('resource'),
  6: text('subresource'),
  7: text('name'),
};

const KINDS: Readonly<Record<string, Message>> = {
  'v1/Namespace': { 1: METADATA },
  'v1/ConfigMap': {
    1: METADATA,
    2: { name: 'data', type: 'stringMap' },
    3: { name: 'binaryData', type: 'bytesMap' },
    4: { name: 'immutable', type: 'bool' },
  },
  'v1/Secret': {
    1: METADATA,
    2: { name: 'data', type: 'bytesMap' },
    3: text('type'),
    4: { name: 'stringData', type: 'stringMap' },
    5: { name: 'immutable', type: 'bool' },
  },
  'authorization.k8s.io/v1/SelfSubjectAccessReview': {
    2: nested('spec', {
      1: nested('resourceAttributes', RESOURCE_ATTRIBUTES),
      2: nested('nonResourceAttributes', { 1: text('path'), 2: text('verb') }),
    }),
  },
};

const TYPE_META: Message = { 1: text('apiVersion'), 2: text('kind') };

/** One field on the wire: a number, or bytes. */
interface WireField {
  readonly number: number;
  readonly value: number | Buffer;
}

function* wireFields(bytes: Buffer): Generator<WireField> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63) throw badRequest('the protobuf body is cut short');
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wireType = tag % 8;
    const number = Math.floor(tag / 8);
    if (wireType === 0) yield { number, value: varint() };
    else if (wireType === 2) {
      const length = varint();
      if (at + length > bytes.length) throw badRequest('the protobuf body is cut short');
      yield { number, value: bytes.subarray(at, at + length) };
      at += length;
    } else throw badRequest(`the protobuf body has a field of the unknown wire type ${wireType}`);
  }
}

/** A map entry is a message of key (1) and value (2). */
function entry(bytes: Buffer): [string, Buffer] {
  let [key, value] = ['', Buffer.alloc(0)];
  for (const field of wireFields(bytes)) {
    if (!Buffer.isBuffer(field.value)) continue;
    if (field.number === 1) key = field.value.toString('utf8');
    else value = Buffer.from(field.value);
  }
  return [key, value];
}

function add(result: JsonObject, { name, type, fields = {} }: Field, value: number | Buffer): void {
  if (!Buffer.isBuffer(value)) {
    // Go writes the zero of every field that is not a pointer; such a number says nothing.
    if (type === 'bool') result[name] = value !== 0;
    else if (value !== 0) result[name] = value;
    return;
  }
  const list = result[name];
  switch (type) {
    case 'strings':
      result[name] = [...(Array.isArray(list) ? list : []), value.toString('utf8')];
      break;
    case 'messages':
      result[name] = [...(Array.isArray(list) ? list : []), decodeMessage(value, fields)];
      break;
    case 'message':
      result[name] = decodeMessage(value, fields);
      break;
    case 'time': {
      const [seconds] = [...wireFields(value)].filter(({ number }) => number === 1);
      if (typeof seconds?.value === 'number') result[name] = timestamp(seconds.value * 1000);
      break;
    }
    case 'stringMap':
    case 'bytesMap': {
      const [key, content] = entry(value);
      const encoding = type === 'bytesMap' ? 'base64' : 'utf8';
      result[name] = { ...(isJsonObject(list) ? list : {}), [key]: content.toString(encoding) };
      break;
    }
    default:
      if (value.length > 0) result[name] = value.toString('utf8');
  }
}

function decodeMessage(bytes: Buffer, message: Message): JsonObject {
  const result: JsonObject = {};
  for (const { number, value } of wireFields(bytes)) {
    const field = message[number];
    if (field) add(result, field, value);
  }
  return result;
}

/**
 * Decodes the few kinds that kubectl insists on sending as protobuf; fields that it does not set are not read.
 * @throws ApiError 400 for a malformed body, 415 for any other kind
 */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) throw badRequest('the protobuf body has no Kubernetes envelope');
  let typeMeta: JsonObject = {};
  let raw: Buffer = Buffer.alloc(0);
  for (const { number, value } of wireFields(body.subarray(MAGIC.length))) {
    if (number === 1 && Buffer.isBuffer(value)) typeMeta = decodeMessage(value, TYPE_META);
    if (number === 2 && Buffer.isBuffer(value)) raw = value;
  }
  const { apiVersion, kind } = typeMeta;
  const message = KINDS[`${String(apiVersion)}/${String(kind)}`];
  if (message) return { apiVersion, kind, ...decodeMessage(raw, message) };
  throw new ApiError(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - ${String(kind)} is accepted as application/json and application/yaml`,
  );
}

import protobuf from 'protobufjs';
import { badRequest, unsupportedBody } from '../api-error.ts';
import { isJsonObject, type JsonObject, timestamp } from '../objects.ts';

/** The media type in which kubectl's generators (`kubectl create namespace`, ...) send objects of the core. */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** Every protobuf body of Kubernetes begins with this, then a `runtime.Unknown` message. */
const MAGIC = Buffer.from('k8s\0');

/** Of `generated.proto` in k8s.io/apimachinery and k8s.io/api, v1.32: what kubectl sets, with its numbers. */
const { root } = protobuf.parse(
  `syntax = "proto2";
  message TypeMeta { optional string apiVersion = 1; optional string kind = 2; }
  message Unknown { optional TypeMeta typeMeta = 1; optional bytes raw = 2; }
  message Time { optional int64 seconds = 1; }
  message OwnerReference {
    optional string kind = 1; optional string name = 3; optional string uid = 4; optional string apiVersion = 5;
    optional bool controller = 6; optional bool blockOwnerDeletion = 7;
  }
  message ObjectMeta {
    optional string name = 1; optional string generateName = 2; optional string namespace = 3; optional string uid = 5;
    optional string resourceVersion = 6; optional int64 generation = 7; optional Time creationTimestamp = 8;
    map<string, string> labels = 11; map<string, string> annotations = 12;
    repeated OwnerReference ownerReferences = 13; repeated string finalizers = 14;
  }
  message Namespace { optional ObjectMeta metadata = 1; }
  message ConfigMap {
    optional ObjectMeta metadata = 1; map<string, string> data = 2; map<string, bytes> binaryData = 3; optional bool immutable = 4;
  }
  message Secret {
    optional ObjectMeta metadata = 1; map<string, bytes> data = 2; optional string type = 3; map<string, string> stringData = 4;
    optional bool immutable = 5;
  }
  message ResourceAttributes {
    optional string namespace = 1; optional string verb = 2; optional string group = 3; optional string version = 4;
    optional string resource = 5; optional string subresource = 6; optional string name = 7;
  }
  message NonResourceAttributes { optional string path = 1; optional string verb = 2; }
  message ReviewSpec {
    optional ResourceAttributes resourceAttributes = 1; optional NonResourceAttributes nonResourceAttributes = 2;
  }
  message SelfSubjectAccessReview { optional ReviewSpec spec = 2; }`,
  { keepCase: true },
);

const KINDS: Readonly<Record<string, string>> = {
  'v1/Namespace': 'Namespace',
  'v1/ConfigMap': 'ConfigMap',
  'v1/Secret': 'Secret',
  'authorization.k8s.io/v1/SelfSubjectAccessReview': 'SelfSubjectAccessReview',
};

/**
 * Decodes the few kinds that kubectl insists on sending as protobuf; fields that it does not set are not read.
 * @throws ApiError 400 for a malformed body, 415 for any other kind
 */
export function decodeProtobuf(body: Buffer): JsonObject {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) throw badRequest('the protobuf body has no Kubernetes envelope');
  const { typeMeta, raw } = decode('Unknown', body.subarray(MAGIC.length));
  const { apiVersion, kind } = isJsonObject(typeMeta) ? typeMeta : {};
  const type = KINDS[`${String(apiVersion)}/${String(kind)}`];
  if (type === undefined) throw unsupportedBody(`${String(kind)} is accepted as application/json and application/yaml`);
  return { apiVersion, kind, ...decode(type, Buffer.from(String(raw ?? ''), 'base64')) };
}

/** As JSON has it: bytes in Base64, times as text. */
function decode(name: string, bytes: Buffer): JsonObject {
  const type = root.lookupType(name);
  try {
    const message = type.toObject(type.decode(bytes), { bytes: String, longs: Number }) as JsonObject;
    return withoutZeros(type, message);
  } catch (error) {
    throw badRequest(`the protobuf body cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Go writes the zero of every field that is not a pointer; such a number or text means absent. */
function withoutZeros(type: protobuf.Type, message: JsonObject): JsonObject {
  const result: JsonObject = {};
  for (const field of type.fieldsArray) {
    const value = message[field.name];
    const { resolvedType } = field.resolve();
    if (value === undefined || (!(field.map || field.repeated) && (value === '' || value === 0))) continue;
    if (!(resolvedType instanceof protobuf.Type) || !isJsonObject(value)) result[field.name] = value;
    else if (resolvedType.name !== 'Time') result[field.name] = withoutZeros(resolvedType, value);
    else if (typeof value['seconds'] === 'number') result[field.name] = timestamp(value['seconds'] * 1000);
  }
  return result;
}

import { expect, test } from 'vitest';
import { decodeProtobuf } from './protobuf.ts';

/** Fields on the wire: bytes of a number below 16. */
const field = (number: number, content: Buffer | string) => {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.of(number * 8 + 2, bytes.length), bytes]);
};
const sent = (apiVersion: string, kind: string, ...fields: Buffer[]) => {
  const typeMeta = Buffer.concat([field(1, apiVersion), field(2, kind)]);
  return Buffer.concat([Buffer.from('k8s\0'), field(1, typeMeta), field(2, Buffer.concat(fields))]);
};

test('reads what kubectl sends, without the zeros that Go writes', () => {
  const time = Buffer.of(8, 60);
  const metadata = Buffer.concat([field(1, 'site'), field(2, ''), field(3, ''), Buffer.of(56, 0), field(8, time)]);
  const label = field(11, Buffer.concat([field(1, 'empty'), field(2, '')]));
  const data = field(2, Buffer.concat([field(1, 'key'), field(2, Buffer.of(0, 255))]));
  const body = sent(
    'v1',
    'Secret',
    field(1, Buffer.concat([metadata, label])),
    data,
    field(3, 'Opaque'),
    Buffer.of(40, 0),
  );
  expect(decodeProtobuf(body)).toEqual({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'site', creationTimestamp: '1970-01-01T00:01:00Z', labels: { empty: '' } },
    data: { key: 'AP8=' },
    type: 'Opaque',
    immutable: false,
  });
  expect(decodeProtobuf(sent('v1', 'Namespace', field(1, Buffer.concat([field(1, 'a'), field(8, '')]))))).toEqual({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'a' },
  });
});

test.each([
  ['without an envelope', Buffer.from('{}'), 400],
  ['cut short', sent('v1', 'Secret', field(1, 'x')).subarray(0, -1), 400],
  ['whose content is garbage', sent('v1', 'Secret', Buffer.of(10, 200, 1)), 400],
  ['of another kind', sent('v1', 'Pod'), 415],
])('refuses a body %s', (_, body, code) => {
  expect(() => decodeProtobuf(body)).toThrow(expect.objectContaining({ code }));
});

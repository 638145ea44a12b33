import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { systemClock } from '../clock/clock.ts';
import { openVncSession } from './rfb2-session.ts';

/** What rfb2 0.2.2 does wrong; here it costs one session, never the process, and never hangs. */
test.each([
  ['a server that stays silent', []],
  ['an empty desktop name, which the library never stops waiting for', [handshake(), serverInit('')]],
  ['a server message that the library does not know', [handshake(), serverInit('x'), Buffer.of(99)]],
])('runs into the deadline with %s', async (_, answers) => {
  await expect(open(answers, 300)).rejects.toMatchObject({ code: 'ConnectionLost', message: /no answer within/ });
});

test('turns an exception inside the library into a lost session', async () => {
  const onlyVeNCrypt = Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.of(1, 19)]);
  await expect(open([onlyVeNCrypt], 5000)).rejects.toMatchObject({ message: /does not support any security/ });
});

test('loses the session when the server closes, and refuses keys from then on', async () => {
  const stream = server([handshake(), serverInit('x'), oneRawPixel()]);
  const session = await openVncSession({ stream, clock: systemClock, signal: AbortSignal.timeout(5000) });
  stream.destroy();
  await expect(session.barrier()).rejects.toMatchObject({ code: 'ConnectionLost' });
  expect(() => session.key(97, true)).toThrow('The console was lost');
});

test('rejects with the reason of its signal', async () => {
  const stop = new AbortController();
  const opening = openVncSession({ stream: server([]), clock: systemClock, signal: stop.signal });
  stop.abort(new Error('no longer needed'));
  await expect(opening).rejects.toThrow('no longer needed');
});

function open(answers: readonly Buffer[], answerTimeoutMs: number) {
  const signal = AbortSignal.timeout(5000);
  return openVncSession({ stream: server(answers), clock: systemClock, signal, answerTimeoutMs });
}

/** Sends its lines byte by byte and ignores what the client writes. */
function server(answers: readonly Buffer[]): Duplex {
  const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
  for (const byte of Buffer.concat(answers)) stream.push(Buffer.of(byte));
  return stream;
}

/** RFC 6143 7.1: version, the security types (None), the security result. */
function handshake(): Buffer {
  return Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.of(1, 1), Buffer.alloc(4)]);
}

/** RFC 6143 7.3.2: a screen of one pixel, 32 bits each. */
function serverInit(name: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(name.length);
  const format = Buffer.of(32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0);
  return Buffer.concat([Buffer.of(0, 1, 0, 1), format, length, Buffer.from(name)]);
}

function oneRawPixel(): Buffer {
  return Buffer.of(0, 0, 0, 1, /* x, y */ 0, 0, 0, 0, /* size */ 0, 1, 0, 1, /* raw */ 0, 0, 0, 0, 1, 2, 3, 4);
}

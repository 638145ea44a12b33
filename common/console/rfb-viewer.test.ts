import { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { joinedStreams } from '../../test/harness/joined-streams.ts';
import { systemClock } from '../clock/clock.ts';
import { openVncSession } from './rfb2-session.ts';
import { PIXEL_BYTES, Screen } from './screen.ts';
import { SharedConsole } from './shared-console.ts';
import type { VncSession } from './vnc-session.ts';

const HELLO = Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.of(1), Buffer.of(1)]);
/** Incremental, all of the screen. */
const ASK = Buffer.of(3, 1, 0, 0, 0, 0, 255, 255, 255, 255);
const KEY_A = Buffer.of(4, 1, 0, 0, 0, 0, 0, 97);

/** rfb2, which knows nothing of the server here, at the other end. */
async function viewerOf(shared: SharedConsole, { mayType = true } = {}) {
  const [near, far] = joinedStreams();
  shared.attach(near, { name: 'test', mayType: () => mayType });
  const screen = new Screen(1, 1);
  const signal = AbortSignal.timeout(5_000);
  const session = await openVncSession({ stream: far, screen, clock: systemClock, signal });
  session.follow(true);
  return { screen, session };
}

function draw(screen: Screen, x: number, y: number, pixels: readonly number[]): void {
  screen.drawRow(x, y, Buffer.from(pixels.flatMap((value) => [value, value, value, 0])));
  screen.changed();
}

test('shows every viewer the same picture, as it changes and when it gets another size', async () => {
  const shared = new SharedConsole();
  draw(shared.screen, 3, 4, [1, 2, 3]);
  const viewers = [await viewerOf(shared), await viewerOf(shared)];
  const same = () => viewers.map(({ screen }) => screen.pixels.equals(shared.screen.pixels));
  await expect.poll(same).toEqual([true, true]);
  draw(shared.screen, 717, 399, [7, 8, 9]);
  await expect.poll(same).toEqual([true, true]);
  shared.screen.resize(100, 50);
  draw(shared.screen, 99, 49, [200]);
  await expect.poll(same).toEqual([true, true]);
  expect(viewers.map(({ screen }) => [screen.width, screen.height])).toEqual([
    [100, 50],
    [100, 50],
  ]);
  shared.close();
  await expect.poll(() => viewers.map(({ session }) => session.lost.aborted)).toEqual([true, true]);
  expect(shared.viewers).toBe(0);
});

test('lets authorised viewers type, and releases the keys of a viewer that leaves', async () => {
  const shared = new SharedConsole();
  const { session, sent } = rememberingSession();
  shared.show(session);
  const [builder, looker] = [await viewerOf(shared), await viewerOf(shared, { mayType: false })];
  looker.session.key(120, true);
  looker.session.pointer(1, 1, 1);
  builder.session.key(97, true);
  builder.session.pointer(5, 6, 4);
  await expect.poll(() => sent).toEqual(['key 97 true', 'pointer 5 6 4']);
  builder.session.close();
  await expect.poll(() => sent.at(-1)).toBe('key 97 false');
});

test('continues with the next source, and asks it for pictures only while a viewer is there', async () => {
  const shared = new SharedConsole();
  const [first, second] = [rememberingSession(), rememberingSession()];
  shared.show(first.session);
  expect(first.followed).toEqual([false]);
  const viewer = await viewerOf(shared);
  expect(first.followed).toEqual([false, true]);
  shared.show(second.session);
  viewer.session.key(98, true);
  await expect.poll(() => second.sent).toEqual(['key 98 true']);
  expect([first.followed, second.followed]).toEqual([[false, true, false], [true]]);
  viewer.session.close();
  await expect.poll(() => second.followed.at(-1)).toBe(false);
});

test('understands a viewer whose bytes come one at a time', async () => {
  const shared = new SharedConsole();
  const { session, sent } = rememberingSession();
  shared.show(session);
  const { stream, push } = rawViewer(shared);
  const cutText = Buffer.concat([Buffer.of(6, 0, 0, 0, 0, 0, 0x20, 0), Buffer.alloc(0x2000, 1)]);
  for (const byte of Buffer.concat([HELLO, cutText, KEY_A])) push(Buffer.of(byte));
  await expect.poll(() => sent).toEqual(['key 97 true']);
  expect(stream.destroyed).toBe(false);
});

test.each([
  ['another version', Buffer.from('RFB 003.003\n')],
  ['no RFB at all', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
  ['a security type that was not offered', Buffer.concat([Buffer.from('RFB 003.008\n'), Buffer.of(2)])],
  ['an unknown message', Buffer.concat([HELLO, Buffer.of(99)])],
  ['too many encodings', Buffer.concat([HELLO, Buffer.of(2, 0, 0xff, 0xff)])],
  ['a clipboard without end', Buffer.concat([HELLO, Buffer.of(6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)])],
  ['pixels of 24 bits', Buffer.concat([HELLO, Buffer.alloc(4), format(24, 1)])],
  ['pixels by a colour map', Buffer.concat([HELLO, Buffer.alloc(4), format(8, 0)])],
  ['a colour beyond its pixel', Buffer.concat([HELLO, Buffer.alloc(4), format(8, 1)])],
])('disconnects a viewer that sends %s, and no other', async (_, output) => {
  const shared = new SharedConsole();
  const other = await viewerOf(shared);
  const ended: (Error | undefined)[] = [];
  const { push, stream } = rawViewer(shared, (cause) => ended.push(cause));
  push(output);
  await expect.poll(() => stream.destroyed).toBe(true);
  await expect.poll(() => ended).toEqual([expect.any(RangeError)]);
  draw(shared.screen, 0, 0, [9]);
  await expect.poll(() => other.screen.pixels.equals(shared.screen.pixels)).toBe(true);
});

test('gives a viewer that does not read one picture, and the others all of them', async () => {
  const shared = new SharedConsole();
  const quick = await viewerOf(shared);
  const { push, sent, letGo } = rawViewer(shared);
  push(Buffer.concat([HELLO, Buffer.of(3, 0, 0, 0, 0, 0, 255, 255, 255, 255)]));
  for (let round = 1; round <= 5; round += 1) {
    draw(shared.screen, 0, 0, [round]);
    push(ASK);
    await expect.poll(() => quick.screen.pixels[0]).toBe(round);
  }
  const whole = 4 + 12 + 720 * 400 * PIXEL_BYTES;
  const received = () => sent.reduce((sum, { length }) => sum + length, 0);
  const before = received();
  expect(before).toBeLessThan(2 * whole);
  // What it missed in between it never gets: only what has changed since.
  letGo();
  await expect.poll(received).toBeGreaterThan(before);
  await sleep(50);
  expect(received() - before).toBe(4 + 12 + 64 * 16 * PIXEL_BYTES);
  expect(sent.at(-1)?.[16]).toBe(5);
});

test('draws in the pixels that a viewer asks for', async () => {
  const shared = new SharedConsole();
  const { push, sent } = rawViewer(shared);
  shared.screen.drawRow(0, 0, Buffer.of(0x10, 0x80, 0xff, 0));
  // Blue 5 bits, green 6, red 5, big-endian.
  const rgb565 = Buffer.of(16, 16, 1, 1, 0, 31, 0, 63, 0, 31, 11, 5, 0, 0, 0, 0);
  push(Buffer.concat([HELLO, Buffer.alloc(4), rgb565, Buffer.of(3, 0, 0, 0, 0, 0, 0, 1, 0, 1)]));
  await expect.poll(() => sent.at(-1)?.subarray(16, 18)).toEqual(Buffer.of(0b11111_100, 0b000_00010));
});

/** Bits a pixel, and whether it is true colour; three colours of 8 bits. */
function format(bits: number, trueColour: number): Buffer {
  return Buffer.of(bits, 24, 0, trueColour, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0);
}

/** A session with a machine that only remembers what it was asked for. */
function rememberingSession() {
  const sent: string[] = [];
  const followed: boolean[] = [];
  const lost = new AbortController();
  const session: VncSession = {
    key: (keysym, down) => void sent.push(`key ${keysym} ${down}`),
    pointer: (x, y, buttons) => void sent.push(`pointer ${x} ${y} ${buttons}`),
    barrier: async () => {},
    follow: (isOn) => void followed.push(isOn),
    backlog: 0,
    lost: lost.signal,
    close: () => lost.abort(),
  };
  return { session, sent, followed };
}

/** A viewer by hand: reads the handshake, and the first picture not before `letGo`. */
function rawViewer(shared: SharedConsole, onEnd: (cause: Error | undefined) => void = () => {}) {
  const sent: Buffer[] = [];
  let letGo = () => {};
  const stream = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      sent.push(chunk);
      if (chunk.length < 100_000) done();
      else letGo = done;
    },
  });
  shared.attach(stream, { name: 'raw', mayType: () => true, onEnd });
  return { stream, sent, push: (bytes: Buffer) => void stream.push(bytes), letGo: () => letGo() };
}

import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../../common/clock/clock.ts';
import { openVncSession } from '../../common/console/rfb2-session.ts';
import { PIXEL_BYTES, Screen } from '../../common/console/screen.ts';
import type { VncSession } from '../../common/console/vnc-session.ts';
import { parseBootCommand } from '../../common/contracts/boot-command/parse.ts';

/** A person at a VNC viewer. */
export interface ConsoleViewer {
  readonly screen: Screen;
  readonly session: VncSession;
  /** Types as people do, one key after the other, in the words of boot commands. */
  type(text: string): Promise<void>;
  /** Resolves when nothing moves on the screen any more but a cursor. */
  settled(): Promise<void>;
  /** Types, waits until that has changed more than a cursor, and until it has settled. */
  typeAndSee(text: string): Promise<void>;
}

/** Pixels of a blinking cursor at most; a word is more. */
const CURSOR = 80;
const LOOK_MS = 400;
const CHANGE_MS = 60_000;

/** Opens a viewer that follows the picture on a stream of RFB bytes. */
export async function openViewer(stream: Duplex): Promise<ConsoleViewer> {
  const screen = new Screen(1, 1);
  const signal = AbortSignal.timeout(30_000);
  const session = await openVncSession({ stream, screen, signal, clock: systemClock });
  session.follow(true);
  const type = async (text: string) => {
    const command = parseBootCommand([text]);
    if ('error' in command) throw new Error(command.error);
    for (const event of command.events) {
      if (event.type === 'key') session.key(event.keysym, event.down);
      await sleep(30);
    }
  };
  const settled = async () => {
    for (let before = picture(screen); ; before = picture(screen)) {
      await sleep(LOOK_MS);
      if (difference(before, screen.pixels) <= CURSOR) return;
    }
  };
  const typeAndSee = async (text: string) => {
    const before = picture(screen);
    const seen = changeOf(screen, before);
    await type(text);
    await seen;
    await settled();
  };
  return { screen, session, type, settled, typeAndSee };
}

/** Resolves when the screen shows something else, for however short; rejects after a while. */
function changeOf(screen: Screen, before: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = screen.listen(() => {
      if (difference(before, screen.pixels) <= CURSOR) return;
      end();
      resolve();
    });
    const late = setTimeout(() => {
      end();
      reject(new Error('Nothing changes on the screen.'));
    }, CHANGE_MS);
    const end = () => {
      stop();
      clearTimeout(late);
    };
  });
}

/** Whether anything is to be seen. */
export function isDark({ pixels }: Screen): boolean {
  return difference(pixels, Buffer.alloc(pixels.length)) <= CURSOR;
}

function picture({ pixels }: Screen): Buffer {
  return Buffer.from(pixels);
}

/** Number of pixels that differ; all of them when the sizes do. */
function difference(one: Buffer, other: Buffer): number {
  if (one.length !== other.length) return Math.max(one.length, other.length) / PIXEL_BYTES;
  let count = 0;
  for (let at = 0; at < one.length; at += PIXEL_BYTES) {
    if (one.compare(other, at, at + 3, at, at + 3) !== 0) count += 1;
  }
  return count;
}

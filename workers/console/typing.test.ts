import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { openVncSession } from '../../common/console/rfb2-session.ts';
import { type BootEvent, parseBootCommand } from '../../common/contracts/boot-command/parse.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { BootTyping } from './typing.ts';

/** A real QEMU without a disk: its trace shows each key event that reached the machine, in order. */
const resources = new ReleaseStack();
let socket: string;
let trace: string;
let qemu: ChildProcess;

beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'typing-'));
  resources.defer('folder', () => rm(folder, { recursive: true, force: true }));
  socket = join(folder, 'vnc.sock');
  trace = join(folder, 'trace');
  qemu = spawn('qemu-system-x86_64', [
    ...['-accel', 'tcg', '-m', '64', '-net', 'none', '-display', 'none', '-vnc', `unix:${socket}`],
    ...['-trace', `enable=input_event_key_qcode,file=${trace}`, '-D', trace],
  ]);
  resources.defer('qemu', () => void qemu.kill('SIGKILL'));
  await until(async () => (await dial().catch(() => undefined))?.destroy() !== undefined);
});

afterAll(() => resources.close());

test('loses no key of a long line and keeps their order', { timeout: 60_000 }, async () => {
  const line = `${'The Quick_Brown:Fox?'.repeat(8)}<wait1s>{"x": ~!@#}<f12><leftCtrlOn>c<leftCtrlOff><enter>`;
  const events = eventsOf(line);
  const before = await played();
  const session = await openSession();
  const typing = new BootTyping(events);
  await typing.run(session, { clock: systemClock, signal: AbortSignal.timeout(50_000) });
  session.close();
  expect(typing.finished).toBe(true);
  const keys = events.filter((event) => event.type === 'key');
  const got = (await played()).slice(before.length);
  expect(got.map((event) => event.down)).toEqual(keys.map((event) => event.down));
  expect(got.length).toBe(keys.length);
  expect(got.filter((event) => event.qcode === 'f12').length).toBe(2);
  expect(got.slice(0, 4).map((event) => event.qcode)).toEqual(['shift', 't', 't', 'shift']);
});

test('loses no key when the machine is held up for seconds', { timeout: 60_000 }, async () => {
  const events = eventsOf('held up '.repeat(60));
  const before = await played();
  const session = await openSession();
  const typing = new BootTyping(events);
  const run = typing.run(session, { clock: systemClock, signal: AbortSignal.timeout(50_000) });
  await until(async () => (await played()).length > before.length);
  qemu.kill('SIGSTOP');
  await sleep(7_000);
  qemu.kill('SIGCONT');
  await run;
  session.close();
  expect((await played()).length - before.length).toBe(events.length);
});

test('shows in the same trace that an unpaced burst loses keys', async () => {
  const keys = eventsOf('a'.repeat(200)).filter((event) => event.type === 'key');
  const before = await played();
  const session = await openSession();
  for (const { keysym, down } of keys) session.key(keysym, down);
  await session.barrier();
  await sleep(keys.length * 12);
  session.close();
  expect((await played()).length - before.length).toBeLessThan(keys.length);
});

test('continues in the next session when the console is lost in a wait, and releases what is held', async () => {
  const before = await played();
  const typing = new BootTyping(eventsOf('ab<leftCtrlOn><wait5s>c'));
  const first = await openSession();
  const options = { clock: systemClock, signal: AbortSignal.timeout(20_000) };
  const run = typing.run(first, options);
  await until(async () => typing.resumable && (await played()).length >= before.length + 5);
  first.close();
  await expect(run).rejects.toThrow('The console was lost');
  const second = await openSession();
  await typing.run(second, options);
  second.close();
  expect((await played()).slice(before.length).map(({ qcode, down }) => `${qcode}${down ? '+' : '-'}`)).toEqual([
    ...['a+', 'a-', 'b+', 'b-', 'ctrl+', 'ctrl-', 'ctrl+', 'c+', 'c-', 'ctrl-'],
  ]);
});

test('pauses between two batches and in a wait, and another object continues there', { timeout: 60_000 }, async () => {
  const events = eventsOf(`<leftCtrlOn>${'x'.repeat(120)}<leftCtrlOff>yz<wait30s>q`);
  const before = await played();
  const options = { clock: systemClock, signal: AbortSignal.timeout(50_000) };
  const session = await openSession();
  const betweenBatches = new AbortController();
  const first = new BootTyping(events);
  const beforeBatch = async () => void (first.pressed > 30 && betweenBatches.abort());
  await first.run(session, { ...options, beforeBatch, pause: betweenBatches.signal });
  expect(first).toMatchObject({ finished: false, resumable: true });

  const second = new BootTyping(events, first.position);
  const inWait = new AbortController();
  const run = second.run(session, { ...options, pause: inWait.signal });
  await until(async () => second.resumable && second.position.next === events.length - 3);
  inWait.abort();
  await run;
  expect(second.finished).toBe(false);

  const { next, dueAt } = second.position;
  expect(dueAt).toBeGreaterThan(systemClock.now() + 20_000);
  await new BootTyping(events, { next, dueAt: systemClock.now() }).run(session, options);
  session.close();
  const keys = (await played()).slice(before.length).map(({ qcode, down }) => `${qcode}${down ? '+' : '-'}`);
  expect(keys.filter((key) => !key.startsWith('ctrl'))).toEqual([
    ...Array.from({ length: 120 }, () => ['x+', 'x-']).flat(),
    ...['y+', 'y-', 'z+', 'z-', 'q+', 'q-'],
  ]);
  expect(keys.filter((key) => key.startsWith('ctrl'))).toEqual(['ctrl+', 'ctrl-', 'ctrl+', 'ctrl-']);
});

test('is not resumable when the console is lost between keys', async () => {
  const typing = new BootTyping(eventsOf('x'.repeat(200)));
  const session = await openSession();
  let batches = 0;
  const beforeBatch = async () => {
    batches += 1;
    if (batches === 2) session.close();
  };
  const run = typing.run(session, { clock: systemClock, signal: AbortSignal.timeout(20_000), beforeBatch });
  await expect(run).rejects.toThrow('The console was lost');
  expect(typing.resumable).toBe(false);
});

function eventsOf(text: string): readonly BootEvent[] {
  const result = parseBootCommand([text]);
  if ('error' in result) throw new Error(result.error);
  return result.events;
}

async function openSession() {
  return openVncSession({ stream: await dial(), clock: systemClock, signal: AbortSignal.timeout(10_000) });
}

function dial(): Promise<ReturnType<typeof connect>> {
  return new Promise((resolve, reject) => {
    const stream = connect(socket, () => resolve(stream)).on('error', reject);
  });
}

async function played(): Promise<{ qcode: string; down: boolean }[]> {
  const text = await readFile(trace, 'utf8').catch(() => '');
  return [...text.matchAll(/input_event_key_qcode .*key qcode (\S+), down (\d)/g)].map((match) => ({
    qcode: match[1] ?? '',
    down: match[2] === '1',
  }));
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(50);
}

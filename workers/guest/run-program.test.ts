import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { Duplex } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '../../common/clock/clock.ts';
import { packagePath } from '../../common/config/package-root.ts';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { maskSecrets } from '../../common/logging/mask.ts';
import { type SshGuest, startSshGuest } from '../../test/harness/ssh-guest.ts';
import { howLost } from '../phases/provision/shell-step.ts';
import { GuestLink } from './guest-link.ts';
import { GuestLog } from './guest-log.ts';
import { type ProgramEnd, runProgram } from './run-program.ts';
import { type StepProgram, supervisorOf } from './supervisor.ts';

/** One real guest for the whole file: busybox, OpenSSH, emulated. */
const BUILD = '01JD0000000000000000000000.g1.vm';
const OTHER_BUILD = '01JD0000000000000000000001.g1.vm';
const resources = new ReleaseStack();
let guest: SshGuest;
/** The TCP connection that the link uses at the moment. */
let wire: Socket | undefined;
let link: GuestLink;

beforeAll(async () => {
  guest = await startSshGuest(resources);
  link = openLink(AbortSignal.timeout(400_000));
  await link.connect();
}, 180_000);

afterAll(async () => {
  link?.close();
  await resources.close();
});

test('runs a script with its environment and keeps code and log', async () => {
  const env = { GREETING: `it's "$HOME"\n\\two` };
  const { end, lines } = await runScript(0, { script: 'echo "$GREETING"; umask; pwd; exit 3', env, wrapper: null });
  expect(end).toMatchObject({ state: 'exited', exitCode: 3 });
  expect(lines).toEqual([`it's "$HOME"`, '\\two', '0022', '/root']);
});

test('runs a script on when the connection breaks, once, and misses no line', async () => {
  const script =
    'echo start >>/root/starts; i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.1; done; exit 7';
  const connections = new Set<Socket>();
  const { end, lines, adopted } = await runScript(1, { script, env: {}, wrapper: null }, (line) => {
    if ((line === 'line 3' || line === 'line 20') && wire) {
      connections.add(wire);
      wire.destroy();
    }
  });
  expect(end).toMatchObject({ state: 'exited', exitCode: 7 });
  expect(lines).toEqual(Array.from({ length: 40 }, (_, n) => `line ${n}`));
  expect(connections.size).toBe(2);
  expect(adopted).toBe(0);
  expect(await shell('cat /root/starts')).toBe('start\n');
});

test('lets another process attach to the script of one that was killed', { timeout: 60_000 }, async () => {
  const script = 'echo start >>/root/starts2; for i in 1 2 3 4 5 6 7 8; do echo part $i; sleep 1; done; exit 5';
  const program = { script, env: {}, wrapper: null };
  const seen: string[] = [];
  const worker = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', workerCode(program)], {
    cwd: packagePath(),
    env: { ...process.env, GUEST_KEY: guest.privateKey, GUEST_PORT: String(guest.port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  resources.defer('worker', () => void worker.kill('SIGKILL'));
  for await (const line of createInterface({ input: worker.stdout })) {
    seen.push(line);
    if (line === 'part 3') break;
  }
  worker.kill('SIGKILL');
  await once(worker, 'exit');
  link.close();
  const { end, lines, adopted } = await runScript(2, program);
  expect(adopted).toBe(1);
  expect(end).toMatchObject({ state: 'exited', exitCode: 5 });
  expect(new Set([...seen, ...lines])).toEqual(new Set([1, 2, 3, 4, 5, 6, 7, 8].map((n) => `part ${n}`)));
  expect(lines.at(-1)).toBe('part 8');
  expect(await shell('cat /root/starts2')).toBe('start\n');
});

test('ends a script and its children when its time is over', async () => {
  const script = 'sleep 1000 & echo $! >/root/child; echo begun; sleep 1000';
  const { end, lines } = await runScript(3, { script, env: {}, wrapper: null }, undefined, 1500);
  expect(end).toMatchObject({ state: 'timeout' });
  expect(lines[0]).toBe('begun');
  // init takes a moment to bury it.
  await until(async () => (await shell('kill -0 $(cat /root/child) 2>/dev/null || echo gone')) === 'gone\n');
});

test('wraps the command, honours its first line and lets daemons live', async () => {
  const script = '#!/bin/sh -e\nsleep 1000 &\necho $! >/root/daemon\nprintf "no newline $WHO"\nfalse\necho never';
  const wrapper = `WHO=wrapped sh -c '{{ .Command }}'`;
  const { end, lines } = await runScript(4, { script, env: {}, wrapper });
  expect(end).toMatchObject({ state: 'exited', exitCode: 1 });
  expect(lines).toEqual(['no newline wrapped']);
  expect(await shell('kill $(cat /root/daemon) && echo alive')).toBe('alive\n');
});

test('takes few processes of the guest for a step, and few to come and go', async () => {
  const side = openLink(AbortSignal.timeout(60_000));
  try {
    const beside = await side.connect();
    const started = async () => Number(await shell('sed -n "s/^processes //p" /proc/stat'));
    const costOf = async (work: () => Promise<unknown>) => {
      const before = await started();
      await work();
      return (await started()) - before;
    };
    const measuring = await costOf(async () => {});
    const coming = await costOf(() => supervisorOf(beside, OTHER_BUILD));
    const step = await costOf(() => runScript(8, { script: 'echo done', env: {}, wrapper: null }));
    const going = await costOf(async () => (await supervisorOf(beside, OTHER_BUILD)).remove());
    // A program takes 10 ms of an emulated guest. The kernel may start threads of its own meanwhile.
    expect(coming - measuring).toBeLessThan(10);
    expect(step - measuring).toBeLessThan(18);
    expect(going - measuring).toBeLessThan(5);
  } finally {
    side.close();
  }
});

test('does not run a script again that the guest rebooted under, and recognises a requested reboot', async () => {
  const before = (await supervisor()).bootId;
  const program = { script: 'echo start >>/root/starts6; sync; sleep 1000', env: {}, wrapper: null };
  const crashed = runScript(6, program, undefined);
  await until(async () => (await other('cat /root/starts6 2>/dev/null || :')) === 'start\n');
  // What is left of a script that the reboot killed before it killed the runner.
  await other(`cd /var/lib/slipway/${BUILD} && sed 's/running -/exited 137/' 6 >7`);
  // The answer may be lost in the reboot itself.
  const asking = openLink(AbortSignal.timeout(60_000));
  const asked = (await supervisorOf(await asking.connect(), BUILD)).reboot(5, 'reboot').catch(() => undefined);
  expect((await crashed).end).toMatchObject({ state: 'crashed' });
  await asked;
  asking.close();
  const after = await supervisor();
  expect(after.bootId).not.toBe(before);
  expect(after.status(5)?.state).toBe('rebooted');
  expect(after.status(7)?.state).toBe('crashed');
  expect(after.status(0)).toMatchObject({ state: 'exited', exitCode: 3 });
  expect(await shell('cat /root/starts6')).toBe('start\n');
}, 90_000);

test('a worker that was replaced while it was suspended changes nothing in the guest', async () => {
  const [stale, current] = [openLink(AbortSignal.timeout(60_000)), openLink(AbortSignal.timeout(60_000))];
  const suspended = await stale.connect();
  await supervisorOf(suspended, OTHER_BUILD);
  const successor = await supervisorOf(await current.connect(), OTHER_BUILD);
  await expect(suspended.exec('echo late >/root/late')).rejects.toMatchObject({ code: 'ConnectionLost' });
  expect(await other('ls /root')).not.toContain('late');
  await successor.remove();
  stale.close();
  current.close();
});

test('a script that leaves the guest read-only is lost, and the reason is known', async () => {
  // Busy while a file is open for writing.
  const script = 'until mount -o remount,ro / 2>/dev/null; do sleep 0.1; done';
  const { end } = await runScript(61, { script, env: {}, wrapper: null });
  expect(end.state).toBe('died');
  expect(howLost(end.logTail)).toContain('read-only');
  await shell('mount -o remount,rw /');
});

test('a session whose successor died while it took over is ended by the next one', async () => {
  const [stale, current] = [openLink(AbortSignal.timeout(60_000)), openLink(AbortSignal.timeout(60_000))];
  const suspended = await stale.connect();
  await supervisorOf(suspended, OTHER_BUILD);
  const program = `set -- /*/.slipway-0/${OTHER_BUILD}/supervisor.sh; . "$1"`;
  expect(await other(`answer() { echo "$@"; }; kill() { exit; }; ${program}; load ${OTHER_BUILD}`)).toBe('');
  expect((await suspended.exec('echo alive')).output).toBe('alive\n');
  const successor = await supervisorOf(await current.connect(), OTHER_BUILD);
  await expect(suspended.exec('echo late >/root/late')).rejects.toMatchObject({ code: 'ConnectionLost' });
  expect(await other('ls /root')).not.toContain('late');
  await successor.remove();
  stale.close();
  current.close();
});

test('leaves nothing behind', async () => {
  await (await supervisor()).remove();
  link.close();
  expect(await shell('ls -a /var/lib /var/tmp /root /run /dev/shm')).not.toContain('slipway');
});

test('reports that the guest disk is full', async () => {
  await shell('dd if=/dev/zero of=/fill bs=1M 2>/dev/null; dd if=/dev/zero of=/fill2 bs=1k 2>/dev/null; :');
  const full = runScript(0, { script: `: ${'x'.repeat(100_000)}`, env: {}, wrapper: null });
  await expect(full).rejects.toMatchObject({ failure: { reason: 'GuestDiskFull' } });
});

test('never takes another host for the guest', async () => {
  const stranger = openLink(AbortSignal.timeout(20_000), { hostKey: 'ab'.repeat(32), timeoutMs: 0 });
  await expect(stranger.connect()).rejects.toMatchObject({ failure: { reason: 'GuestNeverAnswered' } });
});

async function runScript(
  index: number,
  program: StepProgram,
  onLine: (line: string) => void = () => {},
  timeoutMs: number | null = null,
): Promise<{ end: ProgramEnd; lines: string[]; adopted: number }> {
  const lines: string[] = [];
  let adopted = 0;
  const emit = async (line: string) => {
    lines.push(line);
    onLine(line);
  };
  const end = await runProgram({
    link,
    build: BUILD,
    index,
    program,
    timeoutMs,
    beforeStart: async () => {},
    onAdopted: () => {
      adopted += 1;
    },
    clock: systemClock,
    openLog: (offset) =>
      new GuestLog({ emit, offset, mask: maskSecrets([]), clock: systemClock, signal: AbortSignal.timeout(60_000) }),
  });
  return { end, lines, adopted };
}

/** A worker in a process of its own: it prints each line of the log when it is stored. */
function workerCode(program: StepProgram): string {
  return `
    import { connect } from 'node:net';
    import { once } from 'node:events';
    import { systemClock as clock } from './common/clock/clock.ts';
    import { createLogger } from './common/logging/logger.ts';
    import { GuestLink } from './workers/guest/guest-link.ts';
    import { GuestLog } from './workers/guest/guest-log.ts';
    import { runProgram } from './workers/guest/run-program.ts';
    const signal = new AbortController().signal;
    const dial = async () => {
      const socket = connect(Number(process.env.GUEST_PORT), '127.0.0.1');
      await once(socket, 'connect');
      return socket;
    };
    const link = new GuestLink({
      dial, clock, signal, timeoutMs: 30000, logger: createLogger({ name: 'worker', level: 'silent' }),
      credentials: { username: 'root', privateKeys: [process.env.GUEST_KEY], password: undefined },
      hostKeys: { read: async () => undefined, write: async () => {} },
    });
    const emit = async (line) => console.log(line);
    await runProgram({
      link, clock, build: '${BUILD}', index: 2, timeoutMs: null, beforeStart: async () => {},
      program: ${JSON.stringify(program)},
      openLog: (offset) => new GuestLog({ emit, offset, mask: (text) => text, clock, signal }),
    });
  `;
}

function openLink(
  signal: AbortSignal,
  {
    hostKey,
    timeoutMs = 150_000,
    dial = async () => {
      wire = await guest.dial();
      return wire;
    },
  }: { hostKey?: string; timeoutMs?: number; dial?: () => Promise<Duplex> } = {},
) {
  let pinned: readonly string[] | undefined = hostKey === undefined ? undefined : [hostKey];
  return new GuestLink({
    dial,
    credentials: { username: 'root', privateKeys: [guest.privateKey], password: undefined },
    hostKeys: {
      read: async () => pinned,
      write: async (keys) => {
        pinned = keys;
      },
    },
    timeoutMs,
    clock: systemClock,
    logger: createLogger({ name: 'test', level: 'silent' }),
    signal,
  });
}

function supervisor() {
  return link.use((connection) => supervisorOf(connection, BUILD));
}

async function shell(command: string): Promise<string> {
  return (await link.use((connection) => connection.exec(command))).output;
}

/** By a connection of its own: the first is in use. */
async function other(command: string): Promise<string> {
  const side = openLink(AbortSignal.timeout(60_000));
  try {
    return (await side.use((connection) => connection.exec(command))).output;
  } finally {
    side.close();
  }
}

test('ends at once when it is to, also when the guest stands still and answers no farewell', async () => {
  const over = new AbortController();
  let socket: Socket | undefined;
  // A tunnel into a cluster: its other side does not learn of the end of the bytes.
  const dial = async () => {
    const opened = await guest.dial();
    socket = opened;
    const tunnel = new Duplex({
      read: () => {},
      write: (bytes, _, done) => void opened.write(bytes, done),
      destroy: (error, done) => done(opened.destroy() && error),
    });
    opened.on('data', (bytes) => tunnel.push(bytes));
    return tunnel;
  };
  const held = openLink(over.signal, { dial });
  const asked = held.use(async (connection) => {
    socket?.removeAllListeners('data').pause();
    systemClock.after(500).then(() => over.abort(new Error('The machine stands still.')));
    return connection.exec('sleep 1000');
  });
  const startedAt = Date.now();
  await expect(asked).rejects.toThrow('The machine stands still.');
  expect(Date.now() - startedAt).toBeLessThan(10_000);
});

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await systemClock.after(100);
}

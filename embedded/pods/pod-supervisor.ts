import { spawn } from 'node:child_process';
import { openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { sendSignal } from '../host/processes.ts';
import { type PodFiles, type PodPlan, podFiles } from './pod-plan.ts';

/**
 * Runs in a pod's network namespace, as the user of the server, in a session of its own, and outlives the server: starts the
 * pod's command, which is confined, writes down how it ended, and joins connections on a unix socket (which the server can reach) with ports on the namespace's
 * loopback (which it cannot). A client first sends one line: `CONNECT <port>`, answered with `OK` or `ERROR <why>`
 * before the bytes flow, or `WATCH`, which stays open until the command has ended.
 */
const directory = process.argv[2] ?? '';
const files = podFiles(directory);
const plan = JSON.parse(readFileSync(files.plan, 'utf8')) as PodPlan;

const log = openSync(files.log, 'a');
const [command = '', ...args] = plan.argv;
const child = spawn(command, args, { env: { ...plan.env }, cwd: plan.directory, stdio: ['ignore', log, log] });
const server = createServer(greet).listen(files.socket);

child.once('error', (error) => end(files, { exitCode: 127, reason: error.message }));
child.once('exit', (code, signal) => end(files, { exitCode: code ?? 128 + (signal === 'SIGKILL' ? 9 : 15) }));
process.on('SIGTERM', () => {
  for (const pid of commandsOf(child.pid ?? 0)) sendSignal(pid, 'SIGTERM');
});

/** What confines the command passes no signal on. */
function commandsOf(pid: number): number[] {
  if (readFileSync(`/proc/${pid}/comm`, 'utf8').trim() !== 'bwrap') return [pid];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children.flatMap((id) => commandsOf(Number(id)));
}

function end({ exit }: PodFiles, result: { readonly exitCode: number; readonly reason?: string }): void {
  writeFileSync(`${exit}.new`, JSON.stringify(result));
  renameSync(`${exit}.new`, exit);
  server.close();
  process.exit(0);
}

/** Reads the first line, and hands what came after it on. */
function greet(client: Socket): void {
  let head = Buffer.alloc(0);
  client.on('error', () => client.destroy());
  const onData = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const at = head.indexOf('\n');
    if (at < 0) return;
    client.off('data', onData);
    client.pause();
    const [verb, port] = head.toString('latin1', 0, at).split(' ');
    if (at + 1 < head.length) client.unshift(head.subarray(at + 1));
    if (verb === 'CONNECT') forward(client, Number(port));
    else client.resume();
  };
  client.on('data', onData);
}

function forward(client: Socket, port: number): void {
  const target = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
  const refuse = (error: Error) => client.end(`ERROR ${error.message}\n`);
  target.once('error', refuse);
  target.once('connect', () => {
    client.write('OK\n');
    client.pipe(target).pipe(client);
    // From here on everything is bytes of the connection: it only ends.
    target.off('error', refuse).on('error', () => target.destroy());
  });
  target.once('close', () => client.destroySoon());
  client.once('close', () => target.destroy());
}

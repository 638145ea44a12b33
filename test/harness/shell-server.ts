import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, type Socket } from 'node:net';
import ssh2, { type Connection, type ServerChannel } from 'ssh2';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { generateKeyPair } from '../../common/ssh/key-pair.ts';

/** Whom the server lets in, and into what. */
export interface ShellServerOptions {
  /** The login shell. */
  readonly shell: string;
  readonly home: string;
  /** Before the shell, e.g. `unshare -m sh -c 'mount …; exec "$@"' -`. @defaultValue nothing */
  readonly around?: readonly string[];
}

/** An SSH server that stands for a guest without a machine: it runs real shells, here. */
export interface ShellServer {
  readonly privateKey: string;
  dial(): Promise<Socket>;
}

/** Starts a server that runs commands as sshd does: `SHELL -c COMMAND`, in the user's home, with sshd's environment. */
export async function startShellServer(resources: ReleaseStack, options: ShellServerOptions): Promise<ShellServer> {
  const keys = generateKeyPair('test');
  const server = new ssh2.Server({ hostKeys: [generateKeyPair('host').privateKey] }, (client: Connection) => {
    client.on('authentication', (attempt) => (attempt.method === 'publickey' ? attempt.accept() : attempt.reject()));
    client.on('error', () => {});
    client.on('session', (acceptSession) => {
      acceptSession().on('exec', (accept, _reject, { command }) => runCommand(accept(), command, options));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  resources.defer('shell server', () => void server.close());
  const { port } = server.address() as AddressInfo;
  const dial = async () => {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return socket;
  };
  return { privateKey: keys.privateKey, dial };
}

function runCommand(channel: ServerChannel, command: string, { shell, home, around = [] }: ShellServerOptions): void {
  const [program = shell, ...words] = [...around, shell, '-c', command];
  const env = {
    ...{ HOME: home, SHELL: shell, USER: 'root', PATH: process.env['PATH'] },
    // bash reads .bashrc when it is started by an SSH server.
    ...{ SSH_CLIENT: '127.0.0.1 1 22', SSH_CONNECTION: '127.0.0.1 1 127.0.0.1 22' },
  };
  const child = spawn(program, words, { cwd: '/', env, stdio: 'pipe', detached: true });
  channel.pipe(child.stdin);
  child.stdin.on('error', () => {});
  child.stdout.pipe(channel, { end: false });
  child.stderr.pipe(channel.stderr, { end: false });
  child.on('close', (code) => {
    channel.exit(code ?? 1);
    channel.end();
  });
  channel.on('close', () => child.stdin.end());
}

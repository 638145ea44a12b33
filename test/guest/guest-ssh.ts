import { once } from 'node:events';
import { promisify } from 'node:util';
import { Client } from 'ssh2';

/** A session as root in a guest. */
export class GuestSsh {
  readonly #client = new Client();

  /** Logs in with a private key; rejects when the guest refuses it. */
  static async connect(port: number, privateKey: string): Promise<GuestSsh> {
    const ssh = new GuestSsh();
    const ready = once(ssh.#client, 'ready');
    ssh.#client.connect({ host: '127.0.0.1', port, username: 'root', privateKey, readyTimeout: 20_000 });
    await ready;
    return ssh;
  }

  /** Stdout of a command, without the last newline. */
  async run(command: string): Promise<string> {
    const exec = promisify<string, import('ssh2').ClientChannel>((line, done) => this.#client.exec(line, done));
    const channel = await exec(command);
    let output = '';
    channel.stderr.resume();
    channel.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await once(channel, 'close');
    return output.trimEnd();
  }

  /** Writes a file by SFTP. */
  async write(path: string, content: string): Promise<void> {
    const sftp = await promisify(this.#client.sftp.bind(this.#client))();
    await new Promise<void>((resolve, reject) =>
      sftp.writeFile(path, content, (error) => (error ? reject(error) : resolve())),
    );
  }

  close(): void {
    this.#client.destroy();
  }
}

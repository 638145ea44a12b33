import type { Socket } from 'node:net';

/** Reads up to the first line feed and leaves the rest in the stream; what came of it when the stream ends or is longer. */
export function firstLine(socket: Socket, mostBytes = 4096): Promise<string> {
  return new Promise((resolve) => {
    let head = Buffer.alloc(0);
    const end = (line: string) => {
      socket.off('readable', onReadable);
      resolve(line);
    };
    const onReadable = () => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
        head = Buffer.concat([head, chunk]);
        const at = head.indexOf('\n');
        if (at < 0 && head.length <= mostBytes) continue;
        if (at >= 0 && at + 1 < head.length) socket.unshift(head.subarray(at + 1));
        return end(head.toString('utf8', 0, at < 0 ? mostBytes : at));
      }
    };
    socket.on('readable', onReadable);
    socket.once('close', () => end(head.toString()));
  });
}

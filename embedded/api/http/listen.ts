import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { hasErrorCode } from '../../../common/errors/error-code.ts';

/** Listens at the first of these ports that is free, and resolves with it; 0 is any. */
export async function listen(server: Server, host: string, [port = 0, ...others]: readonly number[]): Promise<number> {
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    if (others.length === 0 || !hasErrorCode(error, 'EADDRINUSE')) throw error;
    return await listen(server, host, others);
  }
  return (server.address() as AddressInfo).port;
}

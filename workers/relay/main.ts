import { once } from 'node:events';
import type { Server } from 'node:http';
import { parseArgs } from 'node:util';
import type { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { runProcess } from '../../common/lifecycle/run-process.ts';
import { createLogger } from '../../common/logging/logger.ts';
import { createControlServer } from './control-server.ts';
import { createDiskServer } from './disk-server.ts';
import { createFileServer } from './file-server.ts';
import { FileShelf } from './file-shelf.ts';
import { parseRecords } from './name-records.ts';
import { startNameServer } from './name-server.ts';

/*
 * The relay: the pod that is in a module's network. With `--disk PATH` it serves the content of that disk on its control
 * port instead, and nothing else. Flags:
 *   --address IP         where guests reach it (its address in the VPC)
 *   --control-port N     port of the control server, on 127.0.0.1
 *   --http-port N        port of the file server
 *   --dns-port N         port of the name server
 *   --files DIR          where files are kept
 *   --max-file-bytes N   room for them
 *   --network CIDR       a network that workers may connect to; repeated
 *   --domain NAME        what names of machines may end with
 *   --record NAME=IP,…   a machine of the module, without addresses until it receives some; repeated
 *   --upstream IP[:PORT] a name server for all other names; repeated
 * Prints a log line with the ports when it is ready; port 0 takes a free one.
 */
const { values } = parseArgs({
  options: {
    disk: { type: 'string' },
    address: { type: 'string' },
    'control-port': { type: 'string', default: '0' },
    'http-port': { type: 'string', default: '0' },
    'dns-port': { type: 'string', default: '0' },
    files: { type: 'string' },
    'max-file-bytes': { type: 'string', default: '0' },
    network: { type: 'string', multiple: true, default: [] },
    domain: { type: 'string', default: '' },
    record: { type: 'string', multiple: true, default: [] },
    upstream: { type: 'string', multiple: true, default: [] },
  },
});

const logger = createLogger({ name: 'relay' });

await runProcess(logger, async (resources) => {
  const controlPort = Number(values['control-port']);
  if (values.disk) {
    const disk = await listen(createDiskServer(values.disk), controlPort, { host: '127.0.0.1', resources });
    return logger.info({ ports: { disk } }, 'The disk can be read');
  }
  const host = values.address;
  if (!host || !values.files) throw new Error('--address and --files are needed.');
  const shelf = await FileShelf.open(values.files, Number(values['max-file-bytes']));
  const http = await listen(createFileServer(shelf, logger), Number(values['http-port']), { host, resources });
  const records = parseRecords(values.record);
  const dns = await startNameServer(
    {
      host,
      port: Number(values['dns-port']),
      names: { records, domain: values.domain },
      upstreams: values.upstream,
      logger,
    },
    resources,
  );
  const server = createControlServer({ shelf, networks: values.network, records, logger });
  const control = await listen(server, controlPort, { host: '127.0.0.1', resources });
  logger.info({ ports: { http, dns, control } }, 'The relay is ready');
});

async function listen(
  server: Server,
  port: number,
  { host, resources }: { host: string; resources: ReleaseStack },
): Promise<number> {
  server.listen(port, host);
  await once(server, 'listening');
  resources.defer(`server on ${host}`, () => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  return typeof address === 'object' && address ? address.port : port;
}

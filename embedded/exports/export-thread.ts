import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { MessageChannel, type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../common/errors/farm-error.ts';
import { ApiError } from '../api/api-error.ts';
import { asApiError, sendJson } from '../api/http/exchange.ts';
import { listen } from '../api/http/listen.ts';
import { answerExport } from './answer-export.ts';
import type { ExportedDisk, ExportQuestion, ThreadAnswer, ThreadIdentity, ThreadReport } from './export-messages.ts';

const main = parentPort;
assert(main, 'The thread of exports is started by the embedded cluster.');
const report = (message: ThreadReport, moved: readonly MessagePort[] = []) => main.postMessage(message, moved);
const { host, ports, key, certificate } = workerData as ThreadIdentity;
const running = new Set<AbortController>();
const server = createServer({ key, cert: certificate }, (request, response) => void serve(request, response));
report({ port: await listen(server, host, ports) });

await once(main, 'message');
for (const activity of running) activity.abort(new Error('The server stops.'));
server.close();
server.closeAllConnections();
main.close();

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const activity = new AbortController();
  running.add(activity);
  response.once('close', () => {
    running.delete(activity);
    activity.abort(new Error('The client has left.'));
  });
  try {
    await answerExport({ request, response, signal: activity.signal, find });
  } catch (error) {
    if (!(error instanceof ApiError) && !activity.signal.aborted) report({ failure: error, path: request.url ?? '' });
    if (response.headersSent) return void response.destroy();
    const refusal = asApiError(error);
    sendJson(response, refusal.code, refusal.toStatus());
  }
}

async function find(question: ExportQuestion): Promise<ExportedDisk> {
  const { port1, port2 } = new MessageChannel();
  report({ question, reply: port2 }, [port2]);
  const [answer] = (await once(port1, 'message')) as [ThreadAnswer];
  port1.close();
  if ('disk' in answer) return answer.disk;
  const { code, reason, message } = answer.refusal;
  throw new ApiError(code, reason, message);
}

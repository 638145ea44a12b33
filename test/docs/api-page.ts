import type { Answer } from '../../common/contracts/api/operation.ts';
import { type NamedOperation, OPERATION_LIST } from '../../common/contracts/api/operations.ts';
import { submissionSchema } from '../../common/contracts/api/submission.ts';
import { jsonSchema, parametersOf } from '../../scheduler/http/openapi.ts';
import { typeText } from '../../scheduler/http/type-text.ts';

/** How the API is used, and what each operation takes and answers; blocks of Markdown. */
export function apiBlocks(table: (head: readonly string[], rows: readonly (readonly string[])[]) => string): string[] {
  return [
    'A farm serves this as a page at `/api` and as OpenAPI 3.1 at `/api/openapi.json`. It is written from the schemas that validate requests, in `common/contracts/api/`; what is not in these tables is not served. Beside it, `/` is the web console, and `/queues` shows the queues for looking only.',
    '## Who may do what',
    'Every request carries a token: `Authorization: Bearer …`. A browser has a session instead, from a link with a code that works once (`slipway open`). Only `/healthz` and `/readyz` are open. The token in the file `http.tokenFile` is an admin; it makes the others: `slipway token create --role builder --name ci --expires 30d`. A token is shown once, and kept as its SHA-256 only.',
    table(
      ['role', 'may'],
      [
        ['viewer', 'read everything but tokens and the names of secrets; no secret is in what can be read'],
        [
          'builder',
          'also plan, submit and cancel builds, whose modules may name any secret, and list the names of secrets',
        ],
        ['admin', 'also set and remove secrets; make, list and revoke tokens'],
      ],
    ),
    'Every attempt to change something is one line of the log of the scheduler with `"audit":true`: `who` (name of the token) and `role`, `what` (id of the operation), `build` and `modules` or `subject`, and `outcome`.',
    '## What all operations have in common',
    '- A refusal is a problem (RFC 9457) as `application/problem+json`. Match on its `code`; [errors.md](errors.md) has them all.\n- A list is a page of `limit` rows. Where there is more, `nextCursor` is the `cursor` of the next page; otherwise it is null.\n- A submission with an `Idempotency-Key` can be sent again: the same request is the same build.\n- Streams are server-sent events. `Last-Event-ID` continues where one was cut.\n- Bodies, requests in a minute, streams and unfinished layers are bounded by `http.limits` of [configuration.md](configuration.md). What is too much is answered with 429 and `Retry-After`.\n- A request may hold 5,000 modules (`http.limits.modules`), 600,000 words and marks (600,000 values where aliases repeat them), 5,000 anchors and aliases, 100 levels of lists and maps, texts of 1 MiB, 200 VMs in a module and 100,000 characters in a boot command; its user data counts too, with at most 100,000 words and marks in each. More is refused with the place where it begins. At most 200 problems are listed, errors first; the last one counts the others.',
    '## Operations',
    ...OPERATION_LIST.flatMap((operation) => operationBlocks(operation, table)),
  ];
}

function operationBlocks(
  operation: NamedOperation,
  table: (head: readonly string[], rows: readonly (readonly string[])[]) => string,
): string[] {
  const { method, path, summary, role, answers, body, bodyType } = operation;
  const parameters = parametersOf(operation).map(({ name, in: place, required, description = '', schema }) => [
    `\`${name}\``,
    required ? `${place}, required` : place,
    `\`${typeText(schema)}\``,
    description,
  ]);
  return [
    `### ${method.toUpperCase()} ${path}`,
    `${summary} ${role === null ? 'No token needed.' : `Needs the role ${role}.`}`,
    ...(parameters.length > 0 ? [table(['parameter', 'in', 'type', 'meaning'], parameters)] : []),
    ...(body === undefined ? [] : bodyBlocks(body, bodyType)),
    ...Object.entries(answers).flatMap(answerBlocks),
  ];
}

function bodyBlocks(body: NonNullable<NamedOperation['body']>, bodyType: string | undefined): string[] {
  if (body === 'content') return ['Takes bytes, as `application/octet-stream`.'];
  if (body !== 'modules')
    return [`Takes ${bodyType === undefined ? 'JSON' : `\`${bodyType}\``}:`, code(typeText(jsonSchema(body, 'input')))];
  return ['Takes modules as YAML or JSON documents, or JSON:', code(typeText(jsonSchema(submissionSchema, 'input')))];
}

function answerBlocks([status, { mediaType = 'application/json', schema }]: [string, Answer]): string[] {
  const type = mediaType === null ? 'without a body' : `\`${mediaType}\``;
  return [
    `Answers ${status}, ${type}${schema ? ':' : '.'}`,
    ...(schema ? [code(typeText(jsonSchema(schema, 'output')))] : []),
  ];
}

function code(text: string): string {
  return `\`\`\`ts\n${text}\n\`\`\``;
}

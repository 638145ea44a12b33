import type { Answer } from '../../common/contracts/api/operation.ts';
import { type NamedOperation, OPERATION_LIST } from '../../common/contracts/api/operations.ts';
import { submissionSchema } from '../../common/contracts/api/submission.ts';
import { escapeHtml } from './escape-html.ts';
import { jsonSchema, parametersOf } from './openapi.ts';
import { typeText } from './type-text.ts';

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2733}
h2{margin-top:2.5rem;border-top:1px solid #cdd5de;padding-top:1rem}code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:#f3f5f8;padding:.8rem;overflow:auto}td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}`;

let page: string | undefined;

/** The reference of the API as a page without scripts, from the table of operations. */
export function referencePage(): string {
  page ??= `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Slipway API</title><style>${STYLE}</style></head><body><h1>Slipway API</h1>
<p>Send a token as <code>Authorization: Bearer …</code>. The same for programs: <a href="/api/openapi.json">OpenAPI 3.1</a>.
Refusals are problem details (RFC 9457) whose <code>code</code> names the cause and whose <code>solve</code> explains the correction.</p>
<ul>${OPERATION_LIST.map(({ id, method, path }) => `<li><a href="#${id}"><code>${method.toUpperCase()} ${escapeHtml(path)}</code></a></li>`).join('')}</ul>
${OPERATION_LIST.map(section).join('\n')}</body></html>\n`;
  return page;
}

function section(operation: NamedOperation): string {
  const { id, method, path, summary, role, answers, body } = operation;
  const parameters = parametersOf(operation).map(
    ({ name, in: place, required, description = '', schema }) =>
      `<tr><td><code>${escapeHtml(name)}</code></td><td>${place}${required ? ', required' : ''}</td><td><code>${escapeHtml(typeText(schema))}</code></td><td>${escapeHtml(description)}</td></tr>`,
  );
  return `<h2 id="${id}"><code>${method.toUpperCase()} ${escapeHtml(path)}</code></h2>
<p>${escapeHtml(summary)} ${role === null ? 'No token needed.' : `Needs the role <b>${role}</b>.`}</p>
${parameters.length > 0 ? `<table>${parameters.join('')}</table>` : ''}
${body === undefined ? '' : bodyText(body)}
${Object.entries(answers).map(answerText).join('\n')}`;
}

function bodyText(body: NonNullable<NamedOperation['body']>): string {
  if (body === 'content') return '<p>Takes bytes.</p>';
  const [schema, documents] =
    body === 'modules' ? [submissionSchema, ' modules as YAML or JSON documents, or'] : [body, ''];
  return `<p>Takes${documents}:</p>${shape(typeText(jsonSchema(schema, 'input')))}`;
}

function answerText([status, { mediaType = 'application/json', schema }]: [string, Answer]): string {
  const type = mediaType === null ? 'nothing' : `<code>${mediaType}</code>`;
  return `<p>Answers ${status}: ${type}</p>${schema ? shape(typeText(jsonSchema(schema, 'output'))) : ''}`;
}

function shape(text: string): string {
  return `<pre>${escapeHtml(text)}</pre>`;
}

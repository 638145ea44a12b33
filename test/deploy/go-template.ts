import { createHash } from 'node:crypto';

/** `name: chart.yaml text with {{ … }}`, and what `.Release` and `.Values` are. */
export interface TemplateScope {
  readonly Release: { readonly Name: string; readonly Namespace: string };
  readonly Values: Readonly<Record<string, unknown>>;
}

/**
 * Renders the constructs of Helm's templates that the chart uses, and no others: paths, string literals, `toYaml` with
 * `nindent` or `sha256sum`, and `if` with `eq` and `else`. It is not Helm. @throws on anything else
 */
export function renderTemplate(template: string, scope: TemplateScope, toYaml: (value: unknown) => string): string {
  const kept: string[] = [];
  const open: boolean[] = [];
  for (const line of template.split('\n')) {
    const control = /^\s*\{\{- (if .+|else|end) \}\}$/.exec(line)?.[1];
    if (control === 'end') {
      if (open.pop() === undefined) throw new Error('An end without an if');
    } else if (control === 'else') open.push(!open.pop());
    else if (control !== undefined) open.push(isTrue(control.slice('if '.length), scope));
    else if (!open.includes(false)) kept.push(line);
  }
  if (open.length > 0) throw new Error('An if without an end');
  const action = / ?\{\{-? (.+?) \}\}/g;
  return kept
    .map((line) =>
      line.replace(action, (whole, expression: string) => {
        const space = whole.startsWith(' ') && !whole.startsWith(' {{-') ? ' ' : '';
        return space + evaluate(expression, scope, toYaml);
      }),
    )
    .join('\n');
}

function isTrue(condition: string, scope: TemplateScope): boolean {
  const [, path, wanted] = /^eq (\S+) "(.*)"$/.exec(condition) ?? [];
  if (path !== undefined) return lookUp(path, scope) === wanted;
  return lookUp(condition, scope) === true;
}

function evaluate(expression: string, scope: TemplateScope, toYaml: (value: unknown) => string): string {
  const literal = /^"(.*)"$/.exec(expression)?.[1];
  if (literal !== undefined) return literal;
  const [head = '', pipe] = expression.split(' | ');
  if (!head.startsWith('toYaml ')) return String(lookUp(expression, scope));
  const text = toYaml(lookUp(head.slice('toYaml '.length), scope));
  if (pipe === 'sha256sum') return createHash('sha256').update(text).digest('hex');
  const indent = ' '.repeat(Number(/^nindent (\d+)$/.exec(pipe ?? '')?.[1]));
  return `\n${text.replace(/^/gm, indent)}`;
}

function lookUp(path: string, scope: TemplateScope): unknown {
  if (!/^(\.\w+)+$/.test(path)) throw new Error(`Not known here: ${path}`);
  const value = path
    .slice(1)
    .split('.')
    .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], scope);
  if (value === undefined) throw new Error(`${path} has no value`);
  return value;
}

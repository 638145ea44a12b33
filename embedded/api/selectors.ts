import { badRequest } from './api-error.ts';
import { fieldAt, type KubeObject } from './objects.ts';

/** Whether an object is among those asked for. */
export type ObjectFilter = (object: KubeObject) => boolean;

type LabelTest = (labels: Readonly<Record<string, string>>) => boolean;

const SET_TERM = /^([\w./-]+)\s+(in|notin)\s+\(([^()]*)\)$/;
const EQUALITY_TERM = /^([\w./-]+)\s*(==|=|!=)\s*([\w.-]*)$/;
const EXISTENCE_TERM = /^(!?)\s*([\w./-]+)$/;

/** Splits at commas that are not inside parentheses. */
function terms(selector: string): string[] {
  return selector
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

function labelTest(term: string): LabelTest {
  const set = SET_TERM.exec(term);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    const isIn: LabelTest = (labels) => key in labels && values.has(labels[key] ?? '');
    return operator === 'in' ? isIn : (labels) => !isIn(labels);
  }
  const equality = EQUALITY_TERM.exec(term);
  if (equality) {
    const [, key = '', operator, value = ''] = equality;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const existence = EXISTENCE_TERM.exec(term);
  if (existence) {
    const [, negation, key = ''] = existence;
    return (labels) => key in labels !== (negation === '!');
  }
  throw badRequest(`unable to parse requirement: found '${term}'`);
}

/**
 * Compiles a label selector in the text form of the Kubernetes API (`a=b,c!=d,e in (f,g),!h`).
 * @throws ApiError 400 when it cannot be read
 */
export function compileLabelSelector(selector: string): ObjectFilter {
  const tests = terms(selector).map(labelTest);
  return (object) => tests.every((test) => test(object.metadata.labels ?? {}));
}

/** Fields beyond name and namespace that the core kinds can be selected by. */
const SELECTABLE_FIELDS: Readonly<Record<string, readonly string[]>> = {
  Event: [
    'involvedObject.kind',
    'involvedObject.namespace',
    'involvedObject.name',
    'involvedObject.uid',
    'involvedObject.apiVersion',
    'involvedObject.resourceVersion',
    'involvedObject.fieldPath',
    'reason',
    'reportingComponent',
    'source',
    'type',
  ],
  Pod: ['spec.nodeName', 'spec.restartPolicy', 'spec.schedulerName', 'spec.serviceAccountName', 'status.phase'],
  Secret: ['type'],
  Namespace: ['status.phase'],
  Node: ['spec.unschedulable'],
};

/**
 * Compiles a field selector for one kind. Custom kinds know only `metadata.name` and `metadata.namespace`.
 * @throws ApiError 400 for a field that the kind cannot be selected by
 */
export function compileFieldSelector(selector: string, kind: string): ObjectFilter {
  const tests = terms(selector).map((term): ObjectFilter => {
    const match = /^([\w.]+)(==|=|!=)(.*)$/.exec(term);
    if (!match) throw badRequest(`invalid selector: '${term}'; can't understand '${term}'`);
    const [, field = '', operator, value = ''] = match;
    const isKnown = field === 'metadata.name' || field === 'metadata.namespace';
    if (!isKnown && !SELECTABLE_FIELDS[kind]?.includes(field)) {
      throw badRequest(`field label not supported: ${field}`);
    }
    const path = field.split('.');
    return (object) => (String(fieldAt(object, ...path) ?? '') === value) !== (operator === '!=');
  });
  return (object) => tests.every((test) => test(object));
}

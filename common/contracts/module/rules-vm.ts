import { bootWaitMs, checkBootCommand } from '../boot-command/parse.ts';
import type { Cursor } from './cursor.ts';
import { parseDuration } from './duration.ts';
import { valueOrNull } from './parsed.ts';
import { namesOf, type Report, type Rule, reportRepeated, reportUnknown, reportUnlessOne } from './rule.ts';
import type { StepType } from './step-type.ts';
import { STEP_TYPES, type StepTypeName } from './step-types.ts';
import { reportUrlDoubts } from './url-doubts.ts';

export const SOURCE_KINDS = ['url', 'blank', 'buildRef', 'containerDisk', 'sourcePvc', 'path'] as const;

/** Rules that concern a single VM. */
export const vmRules: Rule = (body, report) => {
  if (Array.isArray(body.at('vms').value) && body.list('vms').length === 0) {
    report(body.at('vms'), 'MissingField', 'a module needs at least one VM');
  }
  reportRepeated(body.list('vms'), 'name', report);
  for (const vm of body.list('vms')) {
    checkSource(vm.at('source'), report);
    reportRepeated(vm.list('disks'), 'name', report);
    checkBootDisk(vm, report);
    checkCloudInit(vm.at('cloudInit'), report);
    checkLogin(vm, report);
    checkTimeouts(body, vm, report);
    for (const iso of vm.list('isos')) checkIso(iso, report);
    reportUnlessFiles(vm.at('floppy'), report);
    for (const step of vm.list('provisioners')) checkStep(step, report);
  }
};

function checkSource(source: Cursor, report: Report): void {
  const blank = source.at('blank');
  if (blank.value === false)
    report(blank, 'InvalidValue', 'blank can only be true: write true, or name another source');
  reportUnlessOne(source, SOURCE_KINDS, report);
  if (source.at('checksum').isPresent && !source.at('url').isPresent) {
    report(source.at('checksum'), 'Conflict', 'a checksum belongs to a source with url');
  }
  if (source.at('buildRef').isPresent && source.at('maxAge').isPresent) {
    report(source.at('maxAge'), 'Conflict', 'the maximum age of a module is set in that module: write maxAge there');
  }
  if (source.at('buildRef', 'version').isPresent && source.at('buildRef', 'tag').isPresent) {
    report(source.at('buildRef', 'tag'), 'Conflict', 'a tag names a version: write either version or tag');
  }
  reportAgeOfLocal(source, report);
  reportUrlDoubts(source, 'disk', report);
  if (blank.isPresent && source.at('maxAge').isPresent) {
    report(source.at('maxAge'), 'Conflict', 'an empty disk has no age: write maxAge beside vms, or at an ISO');
  }
}

/** Local files are identified by their content. */
function reportAgeOfLocal(holder: Cursor, report: Report): void {
  if (!holder.at('path').isPresent || !holder.at('maxAge').isPresent) return;
  report(holder.at('maxAge'), 'Conflict', 'a local file is sent with every build: write maxAge beside vms');
}

function checkIso(iso: Cursor, report: Report): void {
  reportAgeOfLocal(iso, report);
  reportUrlDoubts(iso, 'iso', report);
  reportUnlessOne(iso, ['url', 'path'], report);
  if (iso.at('checksum').isPresent && !iso.at('url').isPresent) {
    report(iso.at('checksum'), 'Conflict', 'a checksum belongs to an ISO with url');
  }
}

/** Under `buildRef` the boot disk is the parent's, which only the graph knows. */
function checkBootDisk(vm: Cursor, report: Report): void {
  const bus = vm.at('disks', 0, 'bus');
  if (bus.value !== 'usb' || vm.at('source', 'buildRef').isPresent) return;
  report(
    bus,
    'InvalidValue',
    'the first disk is the boot disk, and VMs cannot boot from the usb bus: use virtio, scsi or sata',
  );
}

function checkCloudInit(cloudInit: Cursor, report: Report): void {
  if (cloudInit.at('userData').isPresent && cloudInit.at('userDataFrom').isPresent) {
    report(cloudInit.at('userDataFrom'), 'Conflict', 'userData and userDataFrom are mutually exclusive: keep one');
  }
  reportUnlessOne(cloudInit.at('userDataFrom'), ['configMapRef', 'secretRef'], report);
}

/** How the farm logs in to a guest that is not installed during the build. */
const LOGINS = [['cloudInit'], ['communicator', 'sshPassword'], ['communicator', 'sshPrivateKeySecret']] as const;

function checkLogin(vm: Cursor, report: Report): void {
  const source = vm.at('source');
  const isInstalled = source.at('blank').isPresent || vm.list('bootCommand').length > 0;
  if (isInstalled || vm.list('provisioners').length === 0 || LOGINS.some((path) => vm.at(...path).isPresent)) return;
  const message =
    'the steps cannot log in: the image has no key or password of this build; `cloudInit: {}` gives a cloud image the key, ' +
    'for other images set communicator.sshPassword or communicator.sshPrivateKeySecret';
  report(source, 'Doubtful', message, 'warning');
}

function checkTimeouts(body: Cursor, vm: Cursor, report: Report): void {
  const sshTimeout = vm.at('communicator', 'sshTimeout');
  const wait = sshTimeout.isPresent ? valueOrNull(parseDuration(sshTimeout.value)) : null;
  const timeout = body.at('timeout');
  const whole = valueOrNull(parseDuration(timeout.isPresent ? timeout.value : '30m'));
  if (whole === null) return;
  const bound = timeout.isPresent ? `the module's timeout "${timeout.value}"` : "the module's default timeout of 30m";
  if (wait !== null && wait > whole) {
    report(sshTimeout, 'Doubtful', `"${sshTimeout.value}" is longer than ${bound}: raise that too`, 'warning');
  }
  const typed = bootWaitMs(vm.list('bootCommand').map((string) => string.text ?? ''));
  if (typed >= whole) {
    const message = `waits for ${Math.round(typed / 60_000)} minutes in all, longer than ${bound}: raise that too`;
    report(vm.at('bootCommand'), 'Doubtful', message, 'warning');
  }
}

/** A list of files that is there must name one. */
export function reportUnlessFiles(holder: Cursor, report: Report): void {
  const files = holder.at('files');
  if (Array.isArray(files.value) && files.value.length === 0) report(files, 'MissingField', 'needs at least one file');
}

function checkStep(step: Cursor, report: Report): void {
  const type = step.at('type').text ?? '';
  const own = Object.hasOwn(STEP_TYPES, type) ? STEP_TYPES[type as StepTypeName] : undefined;
  for (const { key, check } of Object.values<StepType>(STEP_TYPES)) {
    if (own && key !== own.key && step.at(key).isPresent) {
      report(step.at(key), 'Conflict', `the key "${key}" does not belong to a step of type ${type}`);
    }
    check?.(step.at(key), report);
  }
  if (own?.isNeeded && step.at(own.key).value === undefined) {
    report(step.at('type'), 'MissingField', `a step of type ${type} needs the key "${own.key}"`);
  }
}

/** Boot commands must follow the grammar; `strict` makes errors of what would only be typed literally. */
export function bootCommandRule(strict: boolean): Rule {
  return (body, report) => {
    for (const vm of body.list('vms')) {
      const strings = vm.list('bootCommand');
      for (const finding of checkBootCommand(strings.map((string) => string.text ?? ''))) {
        const at = strings[finding.element] ?? vm.at('bootCommand');
        report(at, 'BootCommand', finding.message, strict ? 'error' : finding.severity);
      }
    }
  };
}

/** `dependsOn` names other VMs of the module, without a cycle. */
export const dependsOnRule: Rule = (body, report) => {
  const vms = body.list('vms');
  const known = { what: 'VM', names: namesOf(vms) };
  const dependencies = new Map<string, readonly Cursor[]>();
  for (const vm of vms) {
    const name = vm.at('name').text;
    const references = vm.list('dependsOn');
    if (name !== null) dependencies.set(name, references);
    for (const reference of references) reportUnknown(reference, known, report);
  }
  const settled = new Set<string>();
  for (const name of dependencies.keys()) {
    const cycle = findCycle(name, dependencies, settled);
    if (cycle) report(cycle.at, 'DependencyCycle', () => `the VMs wait for each other: ${cycle.names.join(' -> ')}`);
  }
};

/** A VM on the way down, and those of its references that were not followed yet. */
interface Visit {
  readonly name: string;
  readonly references: Iterator<Cursor>;
}

/** The first cycle below a VM; all that it looked at are settled then. */
function findCycle(
  start: string,
  dependencies: ReadonlyMap<string, readonly Cursor[]>,
  settled: Set<string>,
): { names: string[]; at: Cursor } | null {
  const visit = (name: string): Visit => ({ name, references: (dependencies.get(name) ?? []).values() });
  const way: Visit[] = settled.has(start) ? [] : [visit(start)];
  const onWay = new Set([start]);
  for (let last = way.at(-1); last; last = way.at(-1)) {
    const next = last.references.next();
    const name = next.done ? '' : (next.value.text ?? '');
    if (next.done) {
      settled.add(last.name);
      onWay.delete(last.name);
      way.pop();
    } else if (onWay.has(name)) {
      const names = way.map((visited) => visited.name);
      for (const visited of names) settled.add(visited);
      return { names: [...names.slice(names.indexOf(name)), name], at: next.value };
    } else if (!settled.has(name)) {
      way.push(visit(name));
      onWay.add(name);
    }
  }
  return null;
}

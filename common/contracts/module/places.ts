import { own } from '../own.ts';
import type { Cursor } from './cursor.ts';
import type { Places, Position } from './position.ts';
import type { SourceDocument } from './yaml-source.ts';

/** Names a part of a module that planning may refuse: `partPath('vms', 'web', 'source')`. */
export function partPath(...steps: readonly (string | number)[]): string {
  return steps.join('/');
}

/** Places of the parts of a document without errors. */
export function placesOf(source: SourceDocument, body: Cursor): Places {
  const places: Record<string, Places[string]> = {};
  const add = (part: string, at: Cursor) => {
    if (!at.isPresent) return;
    const { line, column } = source.locate(at.path);
    places[part] = { line, column };
  };
  for (const vm of body.list('vms')) {
    const name = vm.at('name').text ?? '';
    add(partPath('vms', name), vm);
    for (const at of SOURCES.map((path) => vm.at('source', ...path))) add(partPath('vms', name, 'source'), at);
    for (const [index, iso] of vm.list('isos').entries()) add(partPath('vms', name, 'isos', index), iso.at('url'));
    for (const disk of vm.list('disks')) add(partPath('vms', name, 'disks', disk.at('name').text ?? ''), disk);
  }
  for (const file of body.list('files')) add(partPath('files', file.at('name').text ?? ''), file.at('url'));
  return places;
}

/** Key of the content of each kind of source. */
const SOURCES = [['url'], ['containerDisk'], ['buildRef', 'name'], ['sourcePvc', 'name']] as const;

/** The place of a part, else the smallest recorded part that it belongs to, else the module. */
export function placeOf(module: { readonly origin: Position; readonly places?: Places }, part: string): Position {
  for (let path = part; path !== ''; path = path.slice(0, Math.max(0, path.lastIndexOf('/')))) {
    const place = own(module.places ?? {}, path);
    if (place) return { ...module.origin, ...place };
  }
  return module.origin;
}

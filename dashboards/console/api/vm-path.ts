import type { ModuleView, VmView } from '../../../common/contracts/builds.ts';

/** Paths of the API about one VM of a build: `screenshot`, `continue`, `vnc`, `serial`. */
export function vmPath(buildId: string, { layerBuild }: ModuleView, { vm }: VmView) {
  const query = layerBuild === null ? '' : `?layerBuild=${layerBuild}`;
  return (what: 'screenshot' | 'continue' | 'vnc' | 'serial') =>
    `/api/v1/builds/${encodeURIComponent(buildId)}/vms/${encodeURIComponent(vm)}/${what}${query}`;
}

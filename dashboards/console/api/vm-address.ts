import type { AddressOf } from '../../../common/contracts/api/request.ts';
import type { ModuleView, VmView } from '../../../common/contracts/builds.ts';

/** Where the API is asked about one VM of a build. */
export function vmAddress(buildId: string, { layerBuild }: ModuleView, { vm }: VmView): AddressOf<'readScreenshot'> {
  return { params: { id: buildId, vm }, query: layerBuild === null ? {} : { layerBuild } };
}

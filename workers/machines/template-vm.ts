import type { ClusterConfig } from '../../common/config/schema.ts';
import type { LayerDisk } from '../../common/contracts/layers.ts';
import { ANNOTATIONS } from '../../common/contracts/object-keys.ts';
import { runnableModule } from '../../common/contracts/runs.ts';
import type { VirtualMachine } from '../../common/kubernetes/objects.ts';
import { volumeSpec } from '../../common/kubernetes/volume-objects.ts';
import { type BuildScope, vmLabels } from '../cluster/build-scope.ts';
import { networkOf } from '../networks/networks.ts';
import { machineTemplate } from './build-vm.ts';

/**
 * The halted VirtualMachine that a finished layer is started from: its disks are cloned from the layer's snapshots when
 * it starts. Resources and NICs are the module's own, without what held while building; no build media, no keys.
 */
export function templateVm(
  scope: BuildScope,
  disks: readonly LayerDisk[],
  clusterConfig: ClusterConfig,
): VirtualMachine {
  const { names, plan, vm } = scope;
  const claimOf = (disk: string) => names.templateDisk(vm.name, disk);
  const labels = vmLabels(scope, 'template');
  return {
    apiVersion: 'kubevirt.io/v1',
    kind: 'VirtualMachine',
    metadata: {
      name: names.template(vm.name),
      namespace: scope.namespace,
      labels,
      annotations: {
        'kubevirt.io/immediate-data-volume-creation': 'false',
        [ANNOTATIONS.recipe]: JSON.stringify(runnableModule(scope.spec.module)),
      },
    },
    spec: {
      runStrategy: 'Halted',
      dataVolumeTemplates: disks.map((disk) => ({
        metadata: { name: claimOf(disk.name), labels },
        spec: diskSpec(scope, disk, clusterConfig),
      })),
      template: machineTemplate(scope, {
        nics: plan.templateNics,
        wiring: networkOf(scope.spec).templateWiring(scope, clusterConfig),
        cpu: vm.resources.cpu,
        memoryBytes: vm.resources.memoryBytes,
        labels,
        claimOf,
        media: [],
      }),
    },
  };
}

function diskSpec({ namespace, plan }: BuildScope, { name, snapshot }: LayerDisk, { storageClass }: ClusterConfig) {
  const planned = plan.disks.find((disk) => disk.name === name);
  return volumeSpec({
    source: { snapshot: { namespace, name: snapshot } },
    storageClass: planned?.storageClass ?? storageClass,
  });
}

import { STORAGE_CLASS } from '../api/bootstrap.ts';
import type { KubeObject } from '../api/objects.ts';
import { freeBytes } from '../host/file-facts.ts';
import { RESERVE_BYTES } from '../storage/free-space.ts';
import type { ControllerContext } from './context.ts';

/** As often as CSI's external-provisioner asks its driver. */
const POLL_MS = 60_000;
const KEY = { namespace: 'kube-system', name: 'csisc-slipway-files' };

/** Reports the free storage for volumes, as the provisioner of a CSI driver does: without the reserve that imports leave. */
export async function keepStorageCapacity(context: ControllerContext): Promise<void> {
  const { clock, signal, logger } = context;
  while (!signal.aborted) {
    await report(context).catch((err: unknown) => logger.warn({ err }, 'The free space for volumes could not be read'));
    await clock.after(POLL_MS, signal).catch(() => undefined);
  }
}

async function report({ store, layout }: ControllerContext): Promise<void> {
  const free = Math.max(0, (await freeBytes(layout.volumes)) - RESERVE_BYTES);
  const capacity = `${Math.floor(free / 1024 ** 2)}Mi`;
  const known = store.get<KubeObject & { capacity?: string }>('CSIStorageCapacity', KEY);
  if (known?.capacity === capacity) return;
  if (known) await store.update({ ...known, capacity });
  else {
    const object = { apiVersion: 'storage.k8s.io/v1', kind: 'CSIStorageCapacity', metadata: KEY };
    await store.create<KubeObject & { storageClassName: string; capacity: string }>({
      ...{ ...object, storageClassName: STORAGE_CLASS, capacity },
    });
  }
}

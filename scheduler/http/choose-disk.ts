import type { ImageView } from '../../common/contracts/images.ts';
import { FarmError } from '../../common/errors/farm-error.ts';
import type { ExportOrder } from '../exports/export-service.ts';

/** The disk that is meant. @throws InvalidRequest when it is none, or could be several */
export function chooseDisk(
  { module, version, vms, cluster }: ImageView,
  { vm, disk }: { readonly vm?: string | undefined; readonly disk?: string | undefined },
): Omit<ExportOrder, 'format'> {
  const all = vms.flatMap((each) => each.disks.map((one) => ({ vm: each.vm, ...one })));
  const meant = all.filter((one) => (vm ?? one.vm) === one.vm && (disk ?? one.name) === one.name);
  const [found, other] = meant;
  if (!found || other) {
    const known = all.map((one) => `${one.vm}/${one.name}`).join(', ');
    const asked = `${vm ?? '*'}/${disk ?? '*'}`;
    const what = found ? `has several disks ${asked}: name one of them` : `has no disk ${asked}`;
    throw new FarmError('InvalidRequest', `${module}:${version} ${what}. Its disks (VM/DISK) are ${known}.`);
  }
  const { snapshot } = found;
  return { module, version, vm: found.vm, disk: found.name, cluster, snapshot, isOneOfSeveral: all.length > 1 };
}

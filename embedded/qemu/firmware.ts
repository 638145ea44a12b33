import { copyFile, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { FarmError } from '../../common/errors/farm-error.ts';
import { isThere } from '../host/file-facts.ts';
import type { FirmwareSpec } from './machine-spec.ts';

/**
 * Code and variable images of OVMF, in the order of preference, where distributions put them. The secure ones need SMM
 * and have Microsoft's keys enrolled, so that they enforce signatures from the first start on.
 */
const IMAGES = {
  plain: [
    ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'],
    ['/usr/share/OVMF/OVMF_CODE.fd', '/usr/share/OVMF/OVMF_VARS.fd'],
    ['/usr/share/edk2/ovmf/OVMF_CODE.fd', '/usr/share/edk2/ovmf/OVMF_VARS.fd'],
  ],
  secure: [
    ['/usr/share/OVMF/OVMF_CODE_4M.secboot.fd', '/usr/share/OVMF/OVMF_VARS_4M.ms.fd'],
    ['/usr/share/OVMF/OVMF_CODE.secboot.fd', '/usr/share/OVMF/OVMF_VARS.ms.fd'],
    ['/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd', '/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd'],
  ],
} as const;

/**
 * The UEFI firmware of a machine with its own copy of the variable store in `directory`. An existing copy is kept, so
 * that the guest's variables survive a crash of the server during the start. Secure never becomes plain:
 * @throws FarmError `ClusterUnfit` when the requested firmware is not installed
 */
export async function prepareEfi(directory: string, secureBoot: boolean): Promise<FirmwareSpec> {
  for (const [code, pristine] of IMAGES[secureBoot ? 'secure' : 'plain']) {
    if (!(await isThere(code)) || !(await isThere(pristine))) continue;
    const variables = join(directory, 'efi-variables.fd');
    await mkdir(directory, { recursive: true });
    if (!(await isThere(variables))) {
      await copyFile(pristine, `${variables}.new`);
      await rename(`${variables}.new`, variables);
    }
    return { kind: 'efi', code, variables, secureBoot };
  }
  throw new FarmError('ClusterUnfit', `No ${secureBoot ? 'secure-boot ' : ''}UEFI firmware (OVMF) is installed`);
}

import type { ImportRequest } from '../../common/contracts/imports.ts';
import type { SentModules } from '../planning/read-modules.ts';

/** Path of a stored content in the document; the name is arbitrary. */
const LOCAL_NAME = 'image';

/**
 * The request for a build that makes an image of a disk image as it is: a module of one machine, read and judged as any
 * other. cloud-init is offered to its clones, so that the keys of those who run them get in where the guest looks for it.
 */
export function importRequest(name: string, order: ImportRequest): SentModules {
  const { source, firmware, secureBoot, cpu, memory, sshUsername } = order;
  const vm = {
    name,
    source: 'url' in source ? source : { path: LOCAL_NAME },
    resources: { cpu, memory },
    ...(firmware === 'efi' ? { efiFirmware: { secureBoot } } : {}),
    cloudInit: {},
    ...(sshUsername === undefined ? {} : { communicator: { sshUsername } }),
  };
  const submission = {
    files: [{ path: `import-${name}.json`, text: JSON.stringify({ name, vms: [vm] }) }],
    localFiles: 'url' in source ? [] : [{ path: LOCAL_NAME, ...source }],
  };
  const how = { isJson: true, noCache: false, rebuild: '', only: '', strict: false } as const;
  return { body: Buffer.from(JSON.stringify(submission)), ...how, isImport: true };
}

import type { FailureReason } from '../../../common/contracts/failures.ts';
import { type Evidence, PhaseFailure } from '../../context/phase-failure.ts';

/** What to do about an image, by what its import found: sentences of ours (common/image) and of CDI 1.66. The first that fits. */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /unexpected (EOF|end of file)|was cut off|broke off|header is not whole|without a whole header/,
    'Compare its length and its checksum with what its publisher names. If they are the same there, the server or a proxy cuts it off on the way; if not, upload it again.',
  ],
  [
    /it is an HTML page|it is a JSON text|it is an XML text|it is a text,/,
    'Ask the server as the farm does: `curl -L -o - URL | head -c 200`. It answers with a page where it wants a login, asks to choose a mirror, or has given the file another name: give the URL of the file itself.',
  ],
  [
    /does not accept the user and password/,
    'Try them with `curl -u USER URL`, and correct the user in the URL, or the secret by `slipway secret set`.',
  ],
  [
    /(answered|got) 401\b/,
    'Write https://USER:PASSWORD@HOST/… in the module, with a secret of the farm as the password.',
  ],
  [
    /got 403\b/,
    'The server forbids it: give the user and the password that it wants, or let it answer the address of the cluster. Links that were signed for a time end with it.',
  ],
  [/image header: EOF|it is empty/, 'The server has a file of 0 bytes there: upload the image again.'],
  [
    /an archive, not a disk image/,
    'Unpack it with `unzip`, `7z x` or `tar -xf`, and upload the disk image that comes out.',
  ],
  [/with bzip2|with lz4/, 'Unpack it, and give it as it is or as `xz -T0` packs it.'],
  [
    /encrypted|encrypt\.key-secret|key-secret' is required/,
    'Write a copy without encryption with `qemu-img convert` and the key of the image. What the guest encrypts by itself stays as it is.',
  ],
  [
    /backing file|needs its parent|in another file|names other files|names another file|give one of a single file/,
    'Write a copy that stands alone where its other files are: `qemu-img convert -O qcow2 IMAGE ALONE.qcow2`.',
  ],
  [
    /importers do not take|of version |of the kind |unknown (version|kind|features)|Invalid format/,
    'Convert it: `qemu-img convert -O qcow2 IMAGE IMAGE.qcow2`.',
  ],
  [/corrupt|header is broken/, 'See what `qemu-img check IMAGE` says where it was made, and upload a whole one.'],
  [/not an ISO: give it as source/, 'Move it from `isos` to `source: { url: … }`.'],
  [/an ISO that boots from a CD only/, 'A system is installed from it: docs/recipes.md has a module for that.'],
  [
    /no image found in image index/,
    'Push the image for the architecture of the cluster, too, or name one that has it: `docker manifest inspect IMAGE` lists them.',
  ],
  [
    /Failed to find VM disk image file in the container image/,
    'A container disk holds one disk in its folder /disk: `FROM scratch` and `ADD --chown=107:107 DISK /disk/`.',
  ],
  [
    /the volume was removed again/,
    'Find out who removes DataVolumes of the farm: the audit log of the cluster says so.',
  ],
  [
    /volume expansion does not end/,
    'Choose a storage class with a resizer that works: `storageClass` of the disk or of the cluster.',
  ],
];

/** The failure of an import, with what to do about it where that is known. */
export function importFailure(reason: FailureReason, message: string, evidence: Evidence = {}): PhaseFailure {
  const [, hint] = (reason === 'ImportFailed' && HINTS.find(([found]) => found.test(message))) || [];
  return new PhaseFailure(reason, message, {
    evidence: hint === undefined ? evidence : { ...evidence, hints: [hint] },
  });
}

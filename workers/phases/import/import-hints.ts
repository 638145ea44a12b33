import type { FailureReason } from '../../../common/contracts/failures.ts';
import { type Evidence, PhaseFailure } from '../../context/phase-failure.ts';

/**
 * What to do about an image, by what its import found: sentences of ours (common/image), of Node.js, and of CDI 1.66 with those of
 * Go. The first that fits.
 */
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
    /it is an OVF description/,
    'An OVA is a tar file with the description and its disks: unpack it, convert the VMDK with `qemu-img convert -O qcow2`, and give that.',
  ],
  [
    /is not a public address/,
    'A farm asks no loopback or private address unless its configuration names it. Where it is a mistake, correct the host of the URL.',
  ],
  [
    /which may not be reached/,
    'Link-local addresses are never asked: clouds answer there with the keys of a machine. Put the image on another server.',
  ],
  [
    /ENOTFOUND|EAI_AGAIN|no such host/,
    'The DNS server of the cluster does not know the host of the URL: look for a slip in the name, and ask for it there (`getent hosts NAME`).',
  ],
  [
    /ECONNREFUSED|connection refused/,
    'No server listens at that address and port: start it, or correct the port of the URL.',
  ],
  [
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|i\/o timeout|no route to host|was silent for/,
    'No answer came, as where a firewall drops packets: try `curl -I URL` on a machine of the cluster.',
  ],
  [
    /x509:|certificate/,
    'Give the server a certificate that the cluster trusts, or put the image on a server that has one.',
  ],
  [/(answered|got) (404|410)\b/, 'There is no such file: compare the URL with the list that its publisher shows.'],
  [/(answered|got) 5\d\d\b/, 'The server itself has trouble: build again when `curl -I URL` answers with 200.'],
  [
    /the volume was removed again/,
    'Find out who removes DataVolumes of the farm: the audit log of the cluster says so.',
  ],
  [
    /volume expansion does not end/,
    'Choose a storage class with a resizer that works: `storageClass` of the disk or of the cluster.',
  ],
];

/** Why an image could not be had, or is none; what else ends an import has a hint of its own. */
const OF_THE_SOURCE: readonly FailureReason[] = ['ImportFailed', 'SourceUnreachable'];

/** The failure of an import, with what to do about it where that is known. */
export function importFailure(reason: FailureReason, message: string, evidence: Evidence = {}): PhaseFailure {
  const [, hint] = (OF_THE_SOURCE.includes(reason) && HINTS.find(([found]) => found.test(message))) || [];
  return new PhaseFailure(reason, message, {
    evidence: hint === undefined ? evidence : { ...evidence, hints: [hint] },
  });
}

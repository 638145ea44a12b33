import type { FailureReason } from '../../../common/contracts/failures.ts';
import { type Evidence, PhaseFailure } from '../../context/phase-failure.ts';

/**
 * Remedies for images by the error of their import: messages of the farm (common/image), of Node.js, and of CDI 1.66 with those of
 * Go. The first that fits.
 */
const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /unexpected (EOF|end of (file|input))|premature end|was cut off|broke off|header is not whole|without a whole header/i,
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
    'The server denies access: add the user and password that it requires, or allow the address of the cluster there. Signed links expire.',
  ],
  [
    /(answered|got) 407\b/,
    'A proxy between the cluster and the server wants a login: have it let the cluster through, or put the image on a server that needs no proxy.',
  ],
  [
    /(answered|got) 429\b/,
    'The server limits how often it is asked: build again later, or keep the image on a server of your own.',
  ],
  [/image header: EOF|it is empty/, 'The server has a file of 0 bytes there: upload the image again.'],
  [
    /an archive, not a disk image/,
    'Unpack it with `unzip`, `7z x` or `tar -xf`, and upload the disk image that comes out.',
  ],
  [/with bzip2|with lz4|with lzma|with lzip/, 'Unpack it, and give it as it is or as `xz -T0` packs it.'],
  [
    /encrypted|encrypt\.key-secret|key-secret' is required/,
    'Write a copy without encryption with `qemu-img convert` and the key of the image. What the guest encrypts by itself stays as it is.',
  ],
  [
    /backing file|needs its parent|in another file|names other files|names another file|give one of a single file/,
    'Write a standalone copy where its other files are: `qemu-img convert -O qcow2 IMAGE ALONE.qcow2`.',
  ],
  [
    /importers do not take|of version |of the kind |unknown (version|kind|features)|Invalid format/,
    'Convert it: `qemu-img convert -O qcow2 IMAGE IMAGE.qcow2`.',
  ],
  [/corrupt|header is broken/, 'Run `qemu-img check IMAGE` where the image was made, and upload a complete one.'],
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
    'A farm connects to loopback and private addresses only if its configuration names them. If the address is a mistake, correct the host of the URL.',
  ],
  [
    /which may not be reached/,
    'Link-local addresses are never allowed: clouds serve the credentials of a machine there. Put the image on another server.',
  ],
  [
    /ENOTFOUND|EAI_AGAIN|no such host/,
    'The DNS server of the cluster does not know the host of the URL: check the spelling, and look it up there (`getent hosts NAME`).',
  ],
  [
    /ECONNREFUSED|connection refused/,
    'No server listens at that address and port: start it, or correct the port of the URL.',
  ],
  [
    /ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|i\/o timeout|no route to host|was silent for/,
    'No answer arrived, for example because a firewall drops packets: try `curl -I URL` on a machine of the cluster.',
  ],
  [
    /x509:|certificate/,
    'Give the server a certificate that the cluster trusts, or put the image on a server that has one.',
  ],
  [/(answered|got) (404|410)\b/, 'The server does not have this file: compare the URL with the list of its publisher.'],
  [
    /redirects|unsupported protocol scheme/,
    'The server redirects to an address that does not work: `curl -sIL URL` shows the redirects. Give the address of the file itself.',
  ],
  [/(answered|got) 5\d\d\b/, 'The server failed: build again when `curl -I URL` answers with 200.'],
  [
    /, not a disk image|not of a disk|no machine boots from it/,
    'The URL leads to another file than the image: compare it with the list of its publisher.',
  ],
  [
    /the volume was removed again/,
    'Find out which client removes the DataVolumes of the farm: the audit log of the cluster shows it.',
  ],
  [
    /volume expansion does not end/,
    'Choose a storage class with a resizer that works: `storageClass` of the disk or of the cluster.',
  ],
];

/** Why an image could not be had, or is none; what else ends an import has a hint of its own. */
const OF_THE_SOURCE: readonly FailureReason[] = ['ImportFailed', 'SourceUnreachable'];

/** The failure of an import, with its remedy where one is known. */
export function importFailure(reason: FailureReason, message: string, evidence: Evidence = {}): PhaseFailure {
  const [, hint] = (OF_THE_SOURCE.includes(reason) && HINTS.find(([found]) => found.test(message))) || [];
  return new PhaseFailure(reason, message, {
    evidence: hint === undefined ? evidence : { ...evidence, hints: [hint] },
  });
}

import { expect, test } from 'vitest';
import type { DataVolume } from '../../../common/kubernetes/objects.ts';
import type { PhaseContext } from '../../context/phase-context.ts';
import { importFailure } from './import-hints.ts';
import { importVerdict } from './import-verdict.ts';
import { ProgressLog } from './progress-log.ts';
import { VolumePatience } from './volume-patience.ts';

function volume(phase: string, restartCount: number, message = '', reason = 'Error'): DataVolume {
  const conditions = [{ type: 'Running', status: 'False', reason, message }];
  return { spec: {}, status: { phase, restartCount, conditions } };
}

function condition(reason: string, message: string): DataVolume {
  return { spec: {}, status: { conditions: [{ type: 'Bound', status: 'False', reason, message }] } };
}

const CONNECT = 'Unable to connect to http data source:';
const HTTP = `${CONNECT} expected status code 200, got`;
const SCRATCH = 'Unable to process data: Unable to transfer source data to scratch space: failed to pull image:';
const CONVERT = 'Unable to process data: Unable to convert source data to target format:';

// The sentences of CDI 1.66.
const JUDGED: readonly (readonly [string, DataVolume, string])[] = [
  ['a missing file, at once', volume('ImportInProgress', 0, `${HTTP} 404. Status: 404 Not Found`), 'SourceUnreachable'],
  ['a login, at once', volume('ImportInProgress', 0, `${HTTP} 401. Status: 401 Unauthorized`), 'ImportFailed'],
  ['a refusal, at once', volume('ImportInProgress', 0, `${HTTP} 403. Status: 403 Forbidden`), 'ImportFailed'],
  ['a server that is busy', volume('ImportInProgress', 2, `${HTTP} 429. Status: 429 Too Many Requests`), 'running'],
  ['a server with trouble', volume('ImportInProgress', 2, `${HTTP} 503. Status: 503`), 'running'],
  ['a server with lasting trouble', volume('ImportInProgress', 3, `${HTTP} 503. Status: 503`), 'SourceUnreachable'],
  [
    'a third restart',
    volume('ImportInProgress', 3, `${HTTP.slice(0, 39)} dial tcp 10.0.0.1:80: i/o timeout`),
    'SourceUnreachable',
  ],
  [
    'a volume that is too small',
    volume('ImportInProgress', 0, 'DataVolume too small to contain image'),
    'ImageTooLarge',
  ],
  ['a wrong checksum', volume('Failed', 1, 'got aa, want bb', 'ChecksumError'), 'ChecksumMismatch'],
  ['a cut download', volume('ImportInProgress', 2, `${SCRATCH} unexpected EOF`, 'ImagePullFailed'), 'running'],
  [
    'one that is always cut',
    volume('ImportInProgress', 3, `${SCRATCH} unexpected EOF`, 'ImagePullFailed'),
    'ImportFailed',
  ],
  [
    'an empty file, at once',
    volume(
      'ImportInProgress',
      0,
      'Unable to process data: Unable to obtain information about data source: could not process image header: EOF',
    ),
    'ImportFailed',
  ],
  [
    'a backing file, at once',
    volume('ImportInProgress', 0, `${CONVERT} Image /s is invalid because it has invalid backing file /b`),
    'ImportFailed',
  ],
  [
    'encryption, at once',
    volume('ImportInProgress', 0, `${CONVERT} Parameter 'encrypt.key-secret' is required for cipher`),
    'ImportFailed',
  ],
  [
    'an address that may not be asked',
    volume(
      'ImportInProgress',
      1,
      'Unable to connect to http data source: 10.0.0.1 is not a public address: name it in …',
    ),
    'SourceUnreachable',
  ],
  // The digits of a time are not a status.
  [
    'anything else',
    volume('ImportInProgress', 4, 'I1129 01:52:45.500938 1 x.go:404] blockdev: cannot open'),
    'ImportFailed',
  ],
  [
    'scratch space',
    volume('ImportScheduled', 4, 'scratch space required and none found', 'Scratch space required'),
    'running',
  ],
  ['a first try', volume('ImportInProgress', 0, 'unable to connect to server'), 'stuck'],
  ['a second try', volume('ImportInProgress', 2, 'unable to connect to server'), 'running'],
  ['a wait for its machine', volume('PendingPopulation', 0), 'unplaced'],
  ['the same of other drivers', volume('WaitForFirstConsumer', 0), 'unplaced'],
  [
    'a clone that does not fit, at once',
    condition(
      'CloneValidationFailed',
      'The clone … target resources requests storage size is smaller than the source 1 < 2',
    ),
    'ImageTooLarge',
  ],
  ['a clone that cannot be planned', volume('CloneScheduled', 0, 'target storage class not found'), 'stuck'],
  ['a class that does not exist', condition('ErrClaimNotValid', 'PVC spec is missing accessMode'), 'stuck'],
  ['a quota that is used up', condition('ErrExceededQuota', 'exceeded quota: small'), 'stuck'],
  ['a snapshot that is not ready', condition('CloneValidationFailed', 'snapshot has no restore size'), 'stuck'],
  ['a snapshot that is gone', condition('CloneWithoutSource', "The source snapshot x doesn't exist"), 'stuck'],
  ['an importer that finds no node', volume('ImportScheduled', 0, 'cannot be scheduled', 'Unschedulable'), 'stuck'],
  ['an expansion', volume('PrepClaimInProgress', 0, '', 'Populator is running'), 'stuck'],
  [
    'an importer whose own image is missing',
    volume('ImportScheduled', 0, 'failed to pull image: quay.io/x:1', 'ImagePullFailed'),
    'stuck',
  ],
  [
    'a registry without the image, at once',
    volume('ImportInProgress', 0, `${SCRATCH} reading manifest: manifest unknown`, 'ImagePullFailed'),
    'SourceUnreachable',
  ],
  [
    'a registry that refuses',
    volume('ImportInProgress', 3, `${SCRATCH} pinging container registry r: unauthorized`, 'ImagePullFailed'),
    'SourceUnreachable',
  ],
  [
    'a truncated archive',
    volume('ImportInProgress', 3, `${SCRATCH} unexpected EOF`, 'ImagePullFailed'),
    'ImportFailed',
  ],
  ...['RunContainerError', 'CreateContainerConfigError', 'CreateContainerError', 'StartError'].map(
    (reason) => [`a pod that ends as ${reason}`, volume('ImportScheduled', 0, 'why', reason), 'stuck'] as const,
  ),
  ['the same again and again', volume('ImportScheduled', 3, 'why', 'RunContainerError'), 'ImportFailed'],
  ['a pod that is being made', volume('ImportScheduled', 3, '', 'ContainerCreating'), 'running'],
  ['a pod without memory', volume('ImportInProgress', 3, '', 'OOMKilled'), 'running'],
  ['the end of an import', volume('ImportInProgress', 3, 'Import Complete', 'Completed'), 'running'],
  ['a pod that may not start', volume('ImportScheduled', 0, "Error starting pod 'x'", 'ErrStartingPod'), 'stuck'],
  ['a quota for pods', volume('ImportScheduled', 0, 'exceeded quota: pods', 'ErrExceededQuota'), 'stuck'],
  ['a claim of others', condition('ErrResourceExists', 'Resource "v" already exists'), 'stuck'],
  [
    'a class without access modes',
    condition('ErrClaimNotValid', 'no accessMode specified in StorageProfile hp'),
    'stuck',
  ],
  ['a source that is written', condition('CloneSourceInUse', 'pod v using PersistentVolumeClaim w'), 'running'],
  [
    'a claim that lost its volume',
    { spec: {}, status: { phase: 'Failed', conditions: [{ type: 'Bound', status: 'False', reason: 'ClaimLost' }] } },
    'ClusterRefused',
  ],
  [
    'two pods of a copy without a message',
    volume('CloneInProgress', 3, ' and ', 'ContainerCreating and Pod is running'),
    'running',
  ],
  [
    'two pods of a copy that are done',
    volume('CloneInProgress', 3, 'Upload Complete and Clone Complete', 'Completed and Completed'),
    'running',
  ],
  ['one of two pods of a copy', volume('CloneInProgress', 0, ' and broken pipe', 'Completed and Error'), 'stuck'],
  [
    'a copy that restarts',
    { ...volume('CloneInProgress', 4, '', 'Pod is running'), spec: { source: { pvc: { name: 'a', namespace: 'b' } } } },
    'ImportFailed',
  ],
];

test.each(JUDGED)('judges %s', (_case, object, expected) => {
  const verdict = importVerdict(object);
  expect(verdict.kind === 'failed' ? verdict.reason : verdict.kind).toBe(expected);
});

test('names the configuration that is needed where the importer may not open a block device', () => {
  const denied = 'blockdev: cannot open /dev/cdi-block-volume: Permission denied';
  expect(importVerdict(volume('ImportInProgress', 0, `Unable to process data: ${denied}`))).toMatchObject({
    ...{ kind: 'failed', reason: 'ClusterRefused' },
    message: expect.stringMatching(/Permission denied\. .*device_ownership_from_security_context = true/),
  });
});

test('gives up what makes no progress for the same reason, and only then', () => {
  let now = 0;
  const patience = new VolumePatience({ now: () => now, after: async () => {} });
  const asked: number[] = [];
  const judge = (reason: string, message = 'why') => {
    const { status } = condition(reason, message);
    return patience.judge({ metadata: { name: 'v' }, spec: {}, ...(status ? { status } : {}) }, (ms) => asked.push(ms))
      .kind;
  };
  expect(judge('CloneWithoutSource')).toBe('running');
  now = 50_000;
  expect(judge('CloneWithoutSource')).toBe('running');
  expect(asked).toEqual([60_000, 10_000]);
  expect(judge('CloneValidationFailed')).toBe('running');
  now = 100_000;
  expect(judge('CloneValidationFailed')).toBe('running');
  now = 110_000;
  expect(judge('CloneValidationFailed')).toBe('failed');
  expect(judge('Bound')).toBe('running');
  expect(judge('CloneValidationFailed')).toBe('running');
});

test('names the cause of an expansion that does not end', () => {
  const { message } = importVerdict(volume('PrepClaimInProgress', 0, '', 'Populator is running')) as {
    message: string;
  };
  expect(message).toContain('volume expansion');
});

test('reports an import by tenths, and nothing while CDI does not know how far it is', () => {
  const lines: string[] = [];
  const store = { emit: async (_claim: unknown, { line }: { line: string }) => void lines.push(line) };
  const claim = { job: { vm: 'main', phase: 'import' }, spec: { module: { name: 'base' } } };
  const log = new ProgressLog({ claim, store } as unknown as PhaseContext);
  for (const progress of [undefined, 'N/A', '2.75%', '12.50%', '19.99%', '100.0%', '100.0%']) {
    log.progress('disk "root"', progress);
  }
  expect(lines).toEqual(['disk "root": 12 %', 'disk "root": 100 %']);
});

// What each image is refused with is tried in common/image and in the e2e of bad guests.
test.each([
  ['it is an HTML page, not a disk image: the server may want a login', 'curl -L'],
  ['it is a qcow2 image that was cut off: it has 9 bytes, its tables name byte 99', 'Compare its length'],
  [`${SCRATCH} unexpected EOF: 1024 of 99999 bytes came`, 'Compare its length'],
  [`${SCRATCH} xz: Unexpected end of input after 9 bytes`, 'Compare its length'],
  [`${SCRATCH} zstd: Read error (39) : premature end after 9 bytes`, 'Compare its length'],
  ['it is of no known format, and has no boot sector: no machine boots from it', 'another file than the image'],
  [`${CONNECT} stopped after 10 redirects`, 'curl -sIL'],
  [`${CONNECT} unsupported protocol scheme "file"`, 'curl -sIL'],
  ['the server answered 401; it requires a user and a password', 'https://USER:PASSWORD@HOST/'],
  ['the server answered 401; it does not accept the user and password of the URL', 'curl -u USER'],
  [`${HTTP} 403. Status: 403 Forbidden`, 'address of the cluster'],
  [`${HTTP} 407. Status: 407 Proxy Authentication Required`, 'A proxy between'],
  [`${HTTP} 429. Status: 429 Too Many Requests`, 'limits how often'],
  ['it is a video (MP4), not a disk image', 'another file than the image'],
  ['it is empty: the server sent no byte', '0 bytes'],
  ['it is a ZIP file, an archive, not a disk image: unpack it, and give the image itself', '`unzip`'],
  ['it is a qcow2 image that is encrypted (LUKS): decrypt it', 'without encryption'],
  ['it is a qcow2 image that needs its backing file "/b": merge the two', 'standalone copy'],
  [`${CONVERT} Image /s is invalid because it has invalid backing file /b`, 'standalone copy'],
  ['it is a VHDX that needs its parent (differencing): merge the two first', 'standalone copy'],
  ['it is a QED image, which importers do not take', 'qemu-img convert'],
  ['it is a VMDK whose header is broken: its tables do not fit', 'qemu-img check'],
  ['it is a disk image (qcow2), not an ISO: give it as source.url', 'from `isos` to `source'],
  ['it is an OVF description, not a disk image: give the VMDK that it names', 'convert the VMDK'],
  [`${CONNECT} 10.1.2.3 is not a public address: name it in fetch.allowedAddresses`, 'correct the host'],
  [`${CONNECT} 169.254.169.254 is a metadata address, which may not be reached`, 'another server'],
  [`${CONNECT} getaddrinfo ENOTFOUND images.invalid`, 'getent hosts'],
  [`${CONNECT} dial tcp: lookup images.invalid: no such host`, 'getent hosts'],
  [`${CONNECT} connect ECONNREFUSED 127.0.0.1:81`, 'correct the port'],
  [`${CONNECT} dial tcp 10.1.2.3:80: i/o timeout`, 'firewall'],
  [`${CONNECT} tls: failed to verify certificate: x509: certificate signed by unknown authority`, 'trusts'],
  [`${HTTP} 404. Status: 404 Not Found`, 'does not have this file'],
  [`${HTTP} 503. Status: 503 Service Unavailable`, 'when `curl -I URL` answers with 200'],
])('the hint fits: %s', (found, hint) => {
  const message = `Importing disk "root" from http://x/y.qcow2 (HTTP 200): ${found}`;
  for (const reason of ['ImportFailed', 'SourceUnreachable'] as const) {
    expect(importFailure(reason, message).failure.hints).toEqual([expect.stringContaining(hint)]);
  }
  expect(importFailure('ImageTooLarge', found).failure.hints).toEqual([]);
});

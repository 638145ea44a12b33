import { stringify } from 'yaml';
import type { Submission } from '../../../cli/client/farm-client.ts';
import type { ServedFile } from '../../harness/file-server.ts';

const SIZE = { cpu: 1, memory: '256Mi' };
/** What Packer's machines have, and the raw ones. Slipway's own default for installations from media (e1000e) has drivers
 * on any media, and takes this guest 3-4 s longer until its link is up, at each boot. */
const NICS = [{ name: 'lan', subnet: 'default', model: 'virtio' }];

/** A module on a cloud image, with one shell step per script. */
export function imageModule(image: ServedFile, scripts: readonly string[]): Submission {
  return submission([
    {
      name: 'image',
      vms: [
        {
          ...{ name: 'vm', resources: SIZE, cloudInit: {}, provisioners: scripts.map(shell) },
          source: { url: image.url, checksum: `sha256:${image.sha256}` },
          disks: [{ name: 'system', size: '1Gi' }],
        },
      ],
    },
  ]);
}

/** A module that is installed from its media by a typed line, and one layer above it per further script. */
export function installedModules(media: ServedFile, bootCommand: readonly string[], scripts: readonly string[]) {
  const [first = '', ...others] = scripts;
  const answers = answersFor('{{ .SSHPublicKey }}');
  const base = {
    name: 'layer0',
    files: [{ name: 'answers.txt', inline: answers }],
    httpDirectory: { files: [{ name: 'answers.txt' }] },
    vms: [
      {
        ...{ name: 'vm', resources: SIZE, nics: NICS, bootCommand, provisioners: [shell(first)] },
        source: { blank: true },
        isos: [{ url: media.url, checksum: media.sha256 }],
        disks: [{ name: 'system', size: '1Gi' }],
      },
    ],
  };
  const layers = others.map((script, index) => ({
    name: `layer${index + 1}`,
    vms: [
      {
        ...{ name: 'vm', resources: SIZE, cloudInit: {}, provisioners: [shell(script)] },
        source: { buildRef: { name: `layer${index}` } },
      },
    ],
  }));
  return submission([base, ...layers]);
}

/** The answers to the installer. */
export function answersFor(publicKey: string): string {
  return `hostname=base\nssh_key=${publicKey}\nfinish=reboot\n`;
}

function shell(script: string) {
  return { type: 'shell', shell: { inline: script } };
}

function submission(modules: readonly object[]): Submission {
  return {
    files: [{ path: 'bench.yaml', text: modules.map((module) => stringify(module)).join('---\n') }],
    variables: {},
  };
}

import { NIC_MODELS } from './compiled.ts';
import {
  age,
  bytes,
  checksum,
  choice,
  cpu,
  dnsLabel,
  duration,
  flag,
  ipv4,
  mac,
  pattern,
  text,
  url,
  wholeNumber,
} from './leaves.ts';
import { localPathField, objectKeyField, objectNameField, objectSource } from './references.ts';
import { list, map } from './shapes.ts';
import { STEP_SETTINGS, STEP_TYPE_NAMES } from './step-types.ts';

function fileNames(description: string) {
  return map(description, {
    files: list('At least one file of the registry.', map('A file of the registry.', { name: text('Its name.') })),
  });
}

export const httpDirectorySchema = map(
  'What guests can fetch from http://{{ .HTTPIP }}:{{ .HTTPPort }}/: files as NAME, those of a folder below it.',
  {
    files: list('Files of the registry.', map('A file of the registry.', { name: text('Its name.') })).optional(),
    path: localPathField('A folder whose content is served from / on').optional(),
  },
);

export const resourcesSchema = map(
  'Processors and memory.',
  {
    cpu: cpu('CPUs; the guest gets the number rounded up.', '2').optional(),
    memory: bytes("The guest's memory.", '4Gi').optional(),
  },
  'resources',
);

export const nicSchema = map(
  'A network card.',
  {
    name: dnsLabel('A label; the guest names its interfaces itself.'),
    subnet: text('Name of the subnet.'),
    ip: ipv4('A fixed address of the subnet.').optional(),
    mac: mac('A fixed hardware address.').optional(),
    model: choice(
      "Model of the card. Default: `virtio` for cloud images (`url`, `containerDisk`, `sourcePvc`), the card of the parent in the same place under `buildRef`, `e1000e` for `blank`; `e1000` in RudderVirt's manifests.",
      NIC_MODELS,
    ).optional(),
    slot: wholeNumber('Pins the PCI slot, so that the guest finds the same card again.', { min: 1, max: 9 }).optional(),
  },
  'nic',
);

const sourceSchema = map(
  'Where the boot disk comes from; exactly one of url, blank, buildRef, containerDisk, sourcePvc, path.',
  {
    path: localPathField('A disk image').optional(),
    url: url('A disk image, such as the qcow2 of a cloud image.').optional(),
    checksum: checksum('Expected checksum of the image at `url`.').optional(),
    blank: flag('true: an empty disk, to be installed from an ISO.', false).optional(),
    buildRef: map('The captured disks of another module.', {
      name: dnsLabel('The module.'),
      vmName: text('Its VM; needed when it has several.').optional(),
      version: wholeNumber('This version of it, also when the module is built along; default: the newest one.', {
        min: 1,
        max: 999_999_999,
      }).optional(),
      tag: pattern(
        'The version that has this tag when the build is submitted, also when the module is built along.',
        /^[A-Za-z][A-Za-z0-9._-]{0,62}$/,
        'a tag: it begins with a letter; up to 62 letters, digits, dots, dashes and underscores follow',
      ).optional(),
      namespace: text('Kept for manifests of RudderVirt.').optional(),
    }).optional(),
    containerDisk: pattern(
      'A container image with a disk in `/disk/`; pinned by its digest, or by what its tag names when it is submitted.',
      /^[A-Za-z0-9][A-Za-z0-9._-]*(:\d+)?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:\w[\w.-]{0,127})?(@sha256:[0-9a-f]{64})?$/,
      'a container image reference: write one such as quay.io/containerdisks/fedora:41, in lower case and without a scheme',
    ).optional(),
    sourcePvc: map('An existing volume; it may change, so layers made from it are not reused without `maxAge`.', {
      name: objectNameField('Name of the claim; disks of a build farm are refused.'),
      namespace: dnsLabel('Its namespace; by default that of the farm.').optional(),
    }).optional(),
    maxAge: age(
      'A layer that was made from it longer ago than this is built again instead of reused. A source whose content cannot be identified counts as unchanged for that time.',
    ).optional(),
  },
);

function accountField(description: string) {
  return pattern(
    description,
    /^\S(.*\S)?$/s,
    'the name of an account: it must not be empty, or have blanks around it',
    {
      default: 'root',
    },
  );
}

const communicatorSchema = map(
  'How the farm connects to the running guest.',
  {
    type: choice('Only SSH is supported.', ['ssh'], 'ssh', {
      winrm: 'install OpenSSH in Windows, and set shell: powershell',
      none: 'without steps no login is needed: leave communicator out',
    }).optional(),
    shell: choice('The shell that runs scripts and stores files.', ['bash', 'powershell'], 'bash').optional(),
    sshUsername: accountField('The account; cloud-init guests get it if they do not have it.').optional(),
    sshPort: wholeNumber('The port.', { min: 1, max: 65535, whenMissing: 22 }).optional(),
    sshPassword: text('Tried besides the key of the build.').optional(),
    sshTimeout: duration('How long to wait until the guest answers.', '5m').optional(),
    sshPrivateKeySecret: map('A private key to log in with; its public half is put where that of the build would be.', {
      name: objectNameField('Name of the Secret in the farm namespace.'),
      key: objectKeyField('Key in the Secret.'),
    }).optional(),
  },
  'communicator',
);

/** Provisioners of Packer. */
const PACKER_STEPS = {
  ansible: 'write a step of type shell that runs ansible-playbook in the guest',
  'ansible-local': 'write a step of type shell that runs ansible-playbook in the guest',
  breakpoint: 'write a step of type handbuild',
  inline: 'write type: shell',
  powershell: 'write type: shell, and communicator: { shell: powershell }',
  script: 'write type: shell',
  'shell-local': 'steps run in the guest: run it before `slipway build`',
  'windows-restart': 'write type: reboot',
  'windows-shell': 'write type: shell, and communicator: { shell: powershell }',
};

const provisionerSchema = map(
  'A step: one thing done in the running guest.',
  {
    name: text('A label for logs.').optional(),
    type: choice(
      'Type of the step; its settings are under the key of the same name.',
      STEP_TYPE_NAMES,
      undefined,
      PACKER_STEPS,
    ),
    stepTimeout: duration('Limit of this step; without one only the limit of the module applies.').optional(),
    ...STEP_SETTINGS,
  },
  'provisioner',
);

export const vmSchema = map(
  'A machine.',
  {
    name: dnsLabel('Also its host name, by which the other machines find it.'),
    source: sourceSchema,
    resources: resourcesSchema.optional(),
    disks: list(
      'The first is the boot disk. Without a list: one of 20Gi named `rootdisk`.',
      map('A disk.', {
        name: dnsLabel('Its name; with `buildRef` it inherits the disk of that name.'),
        size: bytes('Its size.'),
        bus: choice(
          'Bus of the disk; VMs cannot boot from usb.',
          ['virtio', 'scsi', 'sata', 'usb'],
          'virtio',
        ).optional(),
        storageClass: text('Default: that of the cluster.').optional(),
      }),
    ).optional(),
    isos: list(
      'Installation media.',
      map('A CD; exactly one of url and path.', {
        url: url('Its URL.').optional(),
        checksum: checksum('Expected checksum of the ISO at `url`.').optional(),
        maxAge: age('As `maxAge` of a source.').optional(),
        path: localPathField('An ISO').optional(),
      }),
    ).optional(),
    floppy: fileNames('Files on a labelled CD, for installers that look for an answer file.').optional(),
    efiFirmware: map('UEFI instead of BIOS.', {
      secureBoot: flag("Only start boot loaders that are signed under Microsoft's keys.", false).optional(),
      tpm: flag(
        'A TPM 2.0, a new one at every start: the image contains no keys that are sealed to it.',
        false,
      ).optional(),
    }).optional(),
    cpuModel: text('CPU model that the guest sees.').optional(),
    machineType: text('Machine type.').optional(),
    bootCommand: list('Typed at the console, in the grammar of Packer.', text('A piece of it.')).optional(),
    cloudInit: map('A cloud-init disk; {} is enough to bring in the SSH key of the build.', {
      userData: text(
        'User data of any kind that cloud-init takes: `#cloud-config`, a script, a template, MIME, also in gzip and Base64. The guest gets it byte for byte, together with a part that lets the farm log in.',
      ).optional(),
      userDataFrom: objectSource('User data in a ConfigMap or Secret of the cluster.').optional(),
      networkData: text('Network configuration of cloud-init, version 1 or 2.').optional(),
    }).optional(),
    communicator: communicatorSchema.optional(),
    nics: list('Network cards; without a list one with DHCP.', nicSchema).optional(),
    provisioners: list('Steps, in order.', provisionerSchema).optional(),
    dependsOn: list('Machines that boot first.', text('A VM of this module.')).optional(),
    shutdownCommand: text('Command that shuts the guest down; each shell has a default.').optional(),
    shutdownTimeout: duration('How long the guest may take to shut down.', '5m').optional(),
    invisible: flag('Hides the machine from the consoles of clones.', false).optional(),
  },
  'vm',
);

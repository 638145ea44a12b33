import type { FailureReason } from '../../common/contracts/failures.ts';
import { type AttemptEnd, endOf } from './attempts.ts';

/** Known facts about a guest that failed. */
export interface GuestSigns {
  readonly reason: FailureReason;
  /** Error of the last login attempt. */
  readonly cause: unknown;
  /** The last lines of its serial port; undefined when the cluster keeps none. */
  readonly serialTail: readonly string[] | undefined;
  /** Where it was tried. */
  readonly host: string;
  readonly port: number;
  readonly username: string;
  /** Model of the NIC that has the address. */
  readonly nicModel: string;
  /** Whether the module hands user data to cloud-init. */
  readonly hasCloudInit: boolean;
}

/** Failures of guests that do not come up, or not as they should. */
const EXPLAINED: readonly FailureReason[] = [
  'GuestNeverAnswered',
  'GuestCrashed',
  'GuestPoweredOff',
  'CloudInitFailed',
  'GuestRebooted',
];

/** Likely causes with their signs and remedies; the likeliest first. */
export function likelyCauses(signs: GuestSigns): string[] {
  if (!EXPLAINED.includes(signs.reason)) return [];
  const text = signs.serialTail?.join('\n') ?? '';
  const seen = SERIAL_SIGNS.filter(({ sign }) => sign.test(text)).map(({ means }) => means);
  if (signs.reason !== 'GuestNeverAnswered') return seen;
  const end = endOf(signs.cause);
  return [...seen, ...NETWORK_SIGNS[end](signs), ...bootSigns(signs.serialTail, end, seen.length > 0)];
}

/** Progress of the guest according to its serial port; undefined lines are those of a cluster that keeps none. */
function bootSigns(tail: readonly string[] | undefined, end: AttemptEnd, isStuck: boolean): string[] {
  if (tail === undefined) return [];
  if (AT_LOGIN.test(tail.join('\n')))
    return ['The serial port shows the login prompt: the guest has booted, so the network or SSH is what is missing.'];
  const isOnNetwork = end !== 'no-address' && end !== 'other';
  if (tail.length === 0)
    return [
      isOnNetwork
        ? 'The guest wrote nothing to its serial port, though its network is up: its kernel has no `console=ttyS0`. The screenshot shows how far it has come.'
        : 'The guest wrote nothing to its serial port: it has not come past its firmware, or its kernel has no `console=ttyS0`. The screenshot shows which.',
    ];
  return isStuck || end === 'login-refused' || end === 'no-login'
    ? []
    : [
        'The serial port shows no login prompt yet: the guest may still be booting. If its lines continue, raise `sshTimeout`.',
      ];
}

/** Complete lines only: the prompt itself has no newline, the line before it names the terminal. */
const AT_LOGIN = /(^|\s)ttyS0\s*$|login:\s*$/m;

/** Serial output of guests that are stuck, with its meaning. */
const SERIAL_SIGNS: readonly { readonly sign: RegExp; readonly means: string }[] = [
  {
    sign: /Kernel panic - not syncing/,
    means:
      'The kernel of the guest panicked; the lines before it show why. Often the root file system is on a disk whose driver the kernel lacks: try another `bus` of the disk.',
  },
  {
    sign: /emergency mode|emergency\.target|Give root password for maintenance/i,
    means:
      'The guest is in emergency mode: a mount of /etc/fstab or a service that it needs has failed. Its lines with [FAILED] or "Dependency failed" show which.',
  },
  {
    sign: /Gave up waiting for root|dracut-initqueue.*timeout|Entering (?:the )?emergency shell|ALERT!.*does not exist/i,
    means:
      'The guest cannot find its root file system: the disk is on a bus whose driver is not in its initramfs, or has another name or UUID than its boot loader expects.',
  },
  {
    sign: /No bootable device|Boot failed: not a bootable disk|BdsDxe: (?:failed to load|No bootable)|Could not read from CDROM/i,
    means:
      'The firmware found no bootable device. An image for UEFI needs `efiFirmware`, one for BIOS must not have it; an empty disk needs an ISO.',
  },
  {
    sign: /grub(?: rescue)?>\s*$/m,
    means: 'The boot loader GRUB is at its prompt: it does not find its configuration or its disk.',
  },
  {
    sign: /Out of memory: Killed process|invoked oom-killer/,
    means: 'The guest ran out of memory. Raise `resources.memory`.',
  },
  {
    sign: /I\/O error, dev|Buffer I\/O error/,
    means: 'The guest could not read or write its disk; see the Events and the storage of the cluster.',
  },
];

const NETWORK_SIGNS: Readonly<Record<AttemptEnd, (signs: GuestSigns) => string[]>> = {
  'no-address': ({ host, nicModel, hasCloudInit }) => [
    `Nothing on the network has the address ${host}: the guest has not taken it by DHCP.`,
    nicModel === 'virtio'
      ? 'Its NIC is a virtio one: an installer or an old system without that driver needs another `model`, such as `e1000e`. `ip link` at the console shows no card then.'
      : `Its NIC has the model "${nicModel}": kernels of cloud images often lack that driver. Set \`model: virtio\`. \`ip link\` at the console shows no card then.`,
    hasCloudInit
      ? 'Or `networkData` configures another card, or a fixed address.'
      : 'Or the system in the image configures another card, or a fixed address.',
  ],
  'no-listener': ({ host, port }) => [
    `The guest has its address ${host}, but nothing listens at port ${port}: its SSH server is not installed, was not started, or listens at another port (\`sshPort\`). \`ss -ltn\` at the console shows it.`,
  ],
  silent: ({ host, port }) => [
    `The guest at ${host} does not answer at port ${port}, and does not refuse either: a firewall in the guest drops it, or the guest hangs. The screenshot shows which.`,
  ],
  'login-refused': ({ username, hasCloudInit }) => [
    `SSH answers, but refuses the login of "${username}". Is \`sshUsername\` the account of this image? Cloud images have their own: debian, ubuntu, fedora, cloud-user, almalinux, rocky, opensuse, arch.`,
    hasCloudInit
      ? 'cloud-init puts the key of the farm into the guest: is that installed in the image, and does the user data not disable the account? `/var/log/cloud-init.log` shows what it did.'
      : "Without `cloudInit` the farm's key is in the guest only if the installation puts `{{ .SSHPublicKey }}` there; else set `sshPassword`.",
    'An account that is locked, or whose password has expired, is refused too: the journal of sshd in the guest shows it.',
  ],
  'no-login': ({ port }) => [
    `Something answers at port ${port}, but ends the connection before the login: an SSH server without host keys (\`ssh-keygen -A\`), or no SSH server at all.`,
  ],
  slow: ({ port }) => [
    `Port ${port} accepts connections, but the SSH server does not get as far as the login in time: the guest is still starting, or the machine that it runs on is overloaded. Raise \`sshTimeout\`, or \`resources\`.`,
  ],
  other: () => [],
};

interface FailureRow {
  /**
   * `never`: the module itself is at fault. `same-generation`: retry the phase and adopt the existing objects.
   * `next-generation`: the disks can no longer be trusted, start the module again from its sources.
   */
  readonly retry: 'never' | 'same-generation' | 'next-generation';
  /** Remedy for the author of the module. */
  readonly solve: string;
}

/** Why a module could not be built. A failure is a result, not an error of the farm. */
export const FAILURES = {
  ChecksumMismatch: {
    retry: 'never',
    solve:
      'The source is not the one that the checksum names; that of a packed image is of the packed file. Correct one of them.',
  },
  SourceUnreachable: {
    retry: 'never',
    solve:
      'The object or URL in the message could not be read. Check it from the cluster; private addresses must be allowed by fetch.allowedAddresses.',
  },
  SourceChanged: {
    retry: 'never',
    solve: 'The source changed since it was planned. Build again, or pin it by checksum.',
  },
  ImageTooLarge: {
    retry: 'never',
    solve: 'Raise the size of the first disk to at least the virtual size of the image.',
  },
  ImportFailed: {
    retry: 'never',
    solve: 'Run `qemu-img info` and `qemu-img check` on the source that the message names, and correct it.',
  },
  ClusterRefused: {
    retry: 'never',
    solve:
      'The admission control of the cluster refused an object; the message quotes it. Change what it names in the module, or the policy of the cluster.',
  },
  NotScheduled: {
    retry: 'never',
    solve:
      'No node had room, or an image could not be pulled; the Events show which. Ask for less, add nodes, or make the image available.',
  },
  MachineNotStarted: {
    retry: 'never',
    solve:
      'The hypervisor or the network of the cluster refused to start the machine; the message quotes it. Change the setting that it names.',
  },
  KeyUnusable: {
    retry: 'never',
    solve: 'Put a private key without a passphrase, in the format of OpenSSH or as PEM, into the Secret.',
  },
  TypingInterrupted: {
    retry: 'next-generation',
    solve: 'The console was lost while typing; the farm starts the module again from its source.',
  },
  GuestNeverAnswered: {
    retry: 'never',
    solve: 'Look at the screenshot. Raise `sshTimeout`, or correct the boot command, the credentials or cloud-init.',
  },
  GuestShutOut: {
    retry: 'next-generation',
    solve:
      'A step removed the access of the farm to the guest, and then its worker was lost; the farm starts the module again from its source.',
  },
  CloudInitFailed: {
    retry: 'never',
    solve: 'cloud-init ended with an error in the guest; the log shows where. Correct `cloudInit`.',
  },
  StepFailed: {
    retry: 'never',
    solve:
      'The script ended with a code that is not 0; its last lines show why. Correct it; `slipway build --on-error=keep` keeps the machine for a look.',
  },
  StepTimeout: { retry: 'never', solve: 'Raise `stepTimeout`, or find what the script waits for in its log.' },
  GuestRebooted: { retry: 'never', solve: 'Never reboot from a shell step: use a `reboot` step.' },
  GuestPoweredOff: {
    retry: 'never',
    solve: 'The guest powered off while a step ran. Power off only with `shutdownCommand`.',
  },
  GuestDiskFull: { retry: 'never', solve: 'Raise the size of the disk, or free space in the guest.' },
  GuestCrashed: {
    retry: 'next-generation',
    solve: 'The VM ended while its guest ran; the farm starts the module again from its source.',
  },
  MachineEvicted: {
    retry: 'next-generation',
    solve:
      'The node of the machine was drained or shut down; the farm starts the module again and does not count this as a retry.',
  },
  StorageFull: {
    retry: 'never',
    solve:
      'The storage of the machine was full or failed, and the cluster paused it. Free space there, then build again; the module is not at fault.',
  },
  WorkerLost: {
    retry: 'never',
    solve:
      'Check the log of the workers, for example for a lack of memory. Give them more, or change the module so that it needs less.',
  },
  UncleanShutdown: {
    retry: 'never',
    solve: 'The guest did not power off in time. Raise `shutdownTimeout`, or give a `shutdownCommand` that works.',
  },
  SnapshotFailed: {
    retry: 'never',
    solve:
      'The storage driver could not snapshot the disk; the message quotes it. Repair the storage, then `slipway retry BUILD`.',
  },
  ModuleTimeout: { retry: 'never', solve: 'Raise `timeout` of the module.' },
  RetriesExhausted: {
    retry: 'never',
    solve: 'All generations failed; the message is the last cause. Remove it, then build again.',
  },
  ParentFailed: { retry: 'never', solve: 'The parent module failed: solve its failure, then build again.' },
  Fault: { retry: 'same-generation', solve: 'The farm had an internal error; it retries by itself.' },
} as const satisfies Record<string, FailureRow>;

export type FailureReason = keyof typeof FAILURES;

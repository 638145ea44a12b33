import { text } from '../leaves.ts';
import { map } from '../shapes.ts';
import { type StepBase, stepType } from '../step-type.ts';

export interface RebootStep extends StepBase {
  readonly type: 'reboot';
  readonly command: string;
}

/** Default command of a `reboot` step. Small systems have no sudo, and their user is root. */
export const REBOOT_COMMAND = {
  bash: 'if command -v sudo >/dev/null; then sudo reboot; else reboot; fi',
  powershell: 'shutdown /r /f /t 0',
} as const;

export const reboot = stepType<RebootStep>()({
  key: 'reboot',
  settings: map('Restarts the guest and waits until it answers again.', {
    command: text(
      'Default: `sudo reboot` (`reboot` without sudo), or `shutdown /r /f /t 0` with powershell.',
    ).optional(),
  }),
  isNeeded: false,
  version: 1,
  compile: (settings, surroundings) => ({ command: settings?.command ?? REBOOT_COMMAND[surroundings.shell] }),
  layerKey: { command: 'in' },
});

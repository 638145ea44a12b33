import { execFileSync } from 'node:child_process';
import { packagePath } from '../../common/config/package-root.ts';

/** Before the first test of a run (vitest's globalSetup): the programs that tests start are compiled from what is here. */
export function setup(): void {
  execFileSync('bash', [packagePath('deploy', 'setup.sh')], { stdio: 'inherit' });
}

import { afterAll, beforeAll, beforeEach } from 'vitest';
import { ReleaseStack } from '../../common/lifecycle/release-stack.ts';
import { FarmState } from './farm-state.ts';

/** Opens the farm's state for the test file that calls it, empties it before each test, and closes it after the last one. */
export function useFarmState(opened: (farm: FarmState) => void): void {
  const resources = new ReleaseStack();
  let farm: FarmState;
  beforeAll(async () => {
    farm = await FarmState.open(resources);
    opened(farm);
  });
  beforeEach(() => farm.reset());
  afterAll(() => resources.close());
}

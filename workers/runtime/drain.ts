import { FarmError } from '../../common/errors/farm-error.ts';

/** Reason of an executor's signal when the worker is asked to stop: another worker carries the phase on. */
export class Draining extends FarmError {
  constructor() {
    super('Superseded', 'The worker stops; another one continues from here.');
  }
}

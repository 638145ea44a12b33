import { FarmError } from '../../common/errors/farm-error.ts';

/** Reason of an executor's signal when the worker is asked to stop: the work itself goes on elsewhere. */
export class Draining extends FarmError {
  constructor() {
    super('Superseded', 'The worker stops; another one goes on from here.');
  }
}

export { haltMachines } from './purge.ts';
export { startControllers } from './start.ts';

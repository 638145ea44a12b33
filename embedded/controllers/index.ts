export { haltMachines } from './purge.ts';
export { type ControllersOptions, type MachineConfig, startControllers } from './start.ts';

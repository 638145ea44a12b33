import { buildAll } from './build-all.ts';
import { CLOUD_INIT_CASES } from './built-cases.ts';

buildAll(CLOUD_INIT_CASES);

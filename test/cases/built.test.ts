import { buildAll } from './build-all.ts';
import { BUILT_CASES } from './built-cases.ts';

buildAll(BUILT_CASES);

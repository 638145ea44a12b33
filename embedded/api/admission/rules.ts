import type { KindAdmission } from './admission.ts';
import { namespaceAdmission } from './namespace.ts';

/** What happens to a client's write before it is stored, by kind. */
export const ADMISSION: Readonly<Record<string, KindAdmission>> = {
  Namespace: namespaceAdmission,
};

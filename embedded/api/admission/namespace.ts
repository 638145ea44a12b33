import { forbidden } from '../api-error.ts';
import type { KindAdmission } from './admission.ts';

/** Namespaces that cannot be deleted. */
const IMMORTAL = new Set(['default', 'kube-system']);

/** Defaults of kube-apiserver for a new namespace: its name as a label, the finalizer that empties it, the phase. */
export const namespaceAdmission: KindAdmission = {
  mutate: ({ object, operation }) => {
    const { metadata } = object;
    metadata.labels = { ...metadata.labels, 'kubernetes.io/metadata.name': metadata.name };
    if (operation !== 'CREATE') return;
    object.spec = { ...object.spec, finalizers: ['kubernetes'] };
    object.status = { phase: 'Active' };
  },
  validate: ({ operation, object, kind }) => {
    if (operation === 'DELETE' && IMMORTAL.has(object.metadata.name)) {
      throw forbidden(kind, object.metadata, 'this namespace may not be deleted');
    }
  },
};

import { formatIpv4, parseIpv4 } from '../../../common/text/ipv4.ts';
import { itemsOf } from '../json-lists.ts';
import type { JsonObject } from '../objects.ts';
import type { Store } from '../store.ts';
import type { KindAdmission } from './admission.ts';
import { Causes } from './causes.ts';

/** Addresses of Services; no interface has them, packet filters redirect them. */
const FIRST_ADDRESS = '100.88.0.1';

/** Services: each gets an address of its own, which it keeps; ports have protocols. */
export const serviceAdmission: KindAdmission = {
  mutate: ({ object, operation, store }) => {
    if (operation !== 'CREATE') return;
    const spec: JsonObject = { type: 'ClusterIP', sessionAffinity: 'None', ...object.spec };
    object.spec = spec;
    spec['ports'] = itemsOf(spec, 'ports').map((port) => ({ protocol: 'TCP', targetPort: port['port'], ...port }));
    spec['ipFamilies'] ??= ['IPv4'];
    spec['clusterIP'] ??= nextAddress(store);
    spec['clusterIPs'] = [spec['clusterIP']];
    object.status = { loadBalancer: {} };
  },
  validate: ({ object, previous, kind, operation, subresource }) => {
    if (operation === 'DELETE' || subresource !== undefined) return;
    const causes = new Causes();
    const ports = itemsOf(object.spec, 'ports');
    if (ports.length === 0) causes.require('spec.ports', 'Required value');
    for (const [index, { name, port }] of ports.entries()) {
      const at = `spec.ports[${index}]`;
      if (!(Number(port) >= 1 && Number(port) <= 65_535)) {
        causes.add(`${at}.port`, `Invalid value: ${String(port)}: must be between 1 and 65535, inclusive`);
      }
      if (ports.length > 1 && !name) causes.require(`${at}.name`, 'Required value');
    }
    if (previous && previous.spec?.['clusterIP'] !== object.spec?.['clusterIP']) {
      causes.add('spec.clusterIPs[0]', 'Invalid value: may not change once set');
    }
    causes.refuseField(kind, object);
  },
};

/** NetworkPolicies: the default directions of a policy follow from its rules. */
export const networkPolicyAdmission: KindAdmission = {
  mutate: ({ object, operation }) => {
    if (operation === 'DELETE') return;
    const spec: JsonObject = { podSelector: {}, ...object.spec };
    object.spec = spec;
    spec['policyTypes'] ??= ['Ingress', ...(spec['egress'] === undefined ? [] : ['Egress'])];
    for (const rule of [...itemsOf(spec, 'ingress'), ...itemsOf(spec, 'egress')]) {
      for (const port of itemsOf(rule, 'ports')) port['protocol'] ??= 'TCP';
    }
  },
  validate: ({ object, kind, operation }) => {
    if (operation === 'DELETE') return;
    const causes = new Causes();
    for (const [direction, side] of [
      ['ingress', 'from'],
      ['egress', 'to'],
    ] as const) {
      for (const [index, rule] of itemsOf(object.spec, direction).entries()) {
        for (const [number, peer] of itemsOf(rule, side).entries()) {
          const at = `spec.${direction}[${index}].${side}[${number}]`;
          const named = ['podSelector', 'namespaceSelector', 'ipBlock'].filter((field) => peer[field] !== undefined);
          if (named.length === 0) causes.require(at, 'Required value: must specify a peer');
          if (named.length > 1 && named.includes('ipBlock')) {
            causes.add(at, 'Forbidden: may not specify both ipBlock and another peer');
          }
        }
      }
    }
    causes.refuseField(kind, object);
  },
};

function nextAddress(store: Store): string {
  const used = new Set(store.list('Service').map(({ spec }) => spec?.['clusterIP']));
  let address = parseIpv4(FIRST_ADDRESS) ?? 0;
  while (used.has(formatIpv4(address))) address += 1;
  return formatIpv4(address);
}

/** Mutations that the embedded cluster judges otherwise than a real API server, and why that stays so. */
export const DIFFERENCES: readonly { readonly where: RegExp; readonly why: string }[] = [
  {
    where: /: metadata: \{"x":"y"\}: 400 \/ 422/,
    why: 'Of a missing name and an unknown field, the name is reported first.',
  },
  {
    where: /^VirtualMachine: spec\.template.*: 201 \/ 422/,
    why: 'KubeVirt’s webhook writes the domain that is missing.',
  },
  { where: /^VpcEgressGateway: spec\.replicas: -1/, why: 'The range of a scale is not checked.' },
  { where: /^Pod: spec\.restartPolicy: ""/, why: 'An empty text is not taken for an absent one.' },
  { where: /^Pod: spec\.securityContext\./, why: 'Security contexts of pods are not checked beyond their form.' },
  { where: /^Pod: spec\.containers\.0\.resources\./, why: 'Quantities of resources are not compared.' },
  { where: /^Pod: spec\.volumes\.0\.emptyDir\.sizeLimit: -1/, why: 'Nor are those of volumes.' },
  { where: /: null: (201|422) \/ 400/, why: 'A null in a list is refused, not read as an empty item.' },
  { where: /^Secret: data\.userdata: \[\]/, why: 'Bytes are taken as base64 only, not as a list of numbers.' },
];

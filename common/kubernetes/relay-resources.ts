/** Requests and limits of a relay. A namespace with a quota of limits takes no pod without them. */
export const RELAY_RESOURCES = {
  requests: { cpu: '20m', memory: '64Mi' },
  limits: { cpu: '1', memory: '256Mi' },
} as const;

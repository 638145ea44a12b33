/**
 * With these `fetch` sends a stream piece by piece. Without them it keeps a copy of all that it has sent, for a redirect or
 * a challenge to send again (Fetch standard, HTTP-network-or-cache fetch): memory would grow to the size of the body.
 */
export const STREAMED = { duplex: 'half', redirect: 'error', window: null } as const;

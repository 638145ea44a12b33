import { z } from 'zod';

/** `DIR/connection.json` of a farm on one machine: how to reach it and which processes it is made of. */
export const connectionSchema = z.object({
  url: z.string(),
  token: z.string(),
  kubeconfig: z.string(),
  redisUrl: z.string(),
  /** Process ids by role: `up` itself, each service that it started by its folder's name, and the workers by phase. */
  pids: z.record(z.string(), z.array(z.int())),
});

export type Connection = z.infer<typeof connectionSchema>;

/** `$XDG_STATE_HOME/slipway/current.json`: the farm that the CLI uses by default. */
export const pointerSchema = z.object({ dataDir: z.string(), pid: z.int() });

export type Pointer = z.infer<typeof pointerSchema>;

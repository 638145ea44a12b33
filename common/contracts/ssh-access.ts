import { z } from 'zod';

/** How a person logs in to a machine on which a step waits for them. */
export const sshAccessSchema = z.object({
  buildId: z.string(),
  vm: z.string(),
  /** The layer build that the VM belongs to. */
  layerBuild: z.string(),
  username: z.string(),
  /**
   * The private key of this build, in OpenSSH's format; no image lets it in. Null: the machine was made for the key of a
   * Secret, which stays there.
   */
  privateKey: z.string().nullable(),
});

export type SshAccess = z.infer<typeof sshAccessSchema>;

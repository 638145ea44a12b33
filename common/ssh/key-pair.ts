import ssh2 from 'ssh2';

/** An SSH key pair in OpenSSH's formats. The private half is a secret. */
export interface SshKeyPair {
  readonly privateKey: string;
  /** One line of `authorized_keys`. */
  readonly publicKey: string;
}

/** A new Ed25519 pair. `comment` ends its public half. */
export function generateKeyPair(comment: string): SshKeyPair {
  for (;;) {
    const pair = ssh2.utils.generateKeyPairSync('ed25519', { comment });
    // ssh2 drops the zero bytes that a public key begins with, so one pair in 256 is broken; it skips such a key at login.
    if (ssh2.utils.parseKey(pair.private) instanceof Error) continue;
    return { privateKey: pair.private, publicKey: pair.public.trim() };
  }
}

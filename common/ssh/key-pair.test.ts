import ssh2 from 'ssh2';
import { expect, test } from 'vitest';
import { generateKeyPair } from './key-pair.ts';

test('every key pair can be read and signs for its public half', () => {
  const message = Buffer.from('a message');
  // Of so many pairs of ssh2 itself, all are sound once in 2,500 runs.
  for (let made = 0; made < 2_000; made += 1) {
    const pair = generateKeyPair('a comment');
    const [secret, open] = [ssh2.utils.parseKey(pair.privateKey), ssh2.utils.parseKey(pair.publicKey)];
    if (secret instanceof Error || open instanceof Error) throw new Error(`Unreadable: ${pair.publicKey}`);
    expect(open.verify(message, secret.sign(message))).toBe(true);
    expect(pair.publicKey).toMatch(/^ssh-ed25519 \S{68} a comment$/);
  }
});

import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { FarmError, wrapError } from '../errors/farm-error.ts';

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const LEAST_KEY_BYTES = 32;

/** Operations with the farm key: sealing secrets that are stored in Redis, and hiding them in layer keys. */
export interface FarmKey {
  /** AES-256-GCM; base64 of nonce, tag and cipher text. */
  seal(secret: string): string;
  /** @throws InvalidConfig when it was sealed under another key. */
  open(sealed: string): string;
  /** HMAC-SHA-256 in hexadecimal: the same secret always gives the same value, and the secret cannot be derived from it. */
  fingerprint(secret: string | Buffer): string;
}

/** Derives the two working keys from the farm's key, which may have any length. */
export function createFarmKey(secret: string | Uint8Array): FarmKey {
  const derive = (purpose: string) => Buffer.from(hkdfSync('sha256', secret, 'slipway', purpose, 32));
  const sealing = derive('seal');
  const printing = derive('fingerprint');
  return {
    seal: (text) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', sealing, nonce);
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64');
    },
    open: (sealed) => {
      const bytes = Buffer.from(sealed, 'base64');
      const decipher = createDecipheriv('aes-256-gcm', sealing, bytes.subarray(0, NONCE_BYTES));
      try {
        decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
        return Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]).toString();
      } catch (cause) {
        const solve = 'Set `farm.keyFile` to the key that was used before, or set the secrets again.';
        const message = 'A stored secret cannot be opened: it was sealed under another farm key.';
        throw new FarmError('InvalidConfig', message, { cause, details: { solve } });
      }
    },
    fingerprint: (secret) => createHmac('sha256', printing).update(secret).digest('hex'),
  };
}

/** The farm's key from the key file of the configuration. @throws as `readFarmKey` */
export function loadFarmKey(file: string | undefined): FarmKey {
  return createFarmKey(readFarmKey(file));
}

/** Input of `createFarmKey`. @throws InvalidConfig when there is no key file, or it is too short. */
export function readFarmKey(file: string | undefined): Buffer {
  const details = { solve: `Write at least ${LEAST_KEY_BYTES} random bytes: \`openssl rand -hex 32\`.` };
  if (file === undefined) {
    throw new FarmError('InvalidConfig', 'The option farm.keyFile is not set: it names the file of the farm key.', {
      details,
    });
  }
  let secret: Buffer;
  try {
    secret = readFileSync(file);
  } catch (error) {
    throw wrapError(error, 'Reading the farm key', 'InvalidConfig');
  }
  if (secret.length >= LEAST_KEY_BYTES) return secret;
  const message = `The farm key in ${file} has ${secret.length} bytes, and at least ${LEAST_KEY_BYTES} are needed.`;
  throw new FarmError('InvalidConfig', message, { details });
}

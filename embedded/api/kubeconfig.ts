import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ApiCredentials } from './credentials.ts';
import { writeAtomically } from './write-atomically.ts';

/** The kubeconfig of a data directory. */
export function kubeconfigPath(dataDir: string): string {
  return join(dataDir, 'kubeconfig');
}

/** Writes the kubeconfig (mode 0600, as a whole or not at all) and returns its path. */
export async function writeKubeconfig(dataDir: string, url: string, credentials: ApiCredentials): Promise<string> {
  const name = 'slipway-embedded';
  const path = kubeconfigPath(dataDir);
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name,
        cluster: {
          server: url,
          'certificate-authority-data': Buffer.from(credentials.authority).toString('base64'),
        },
      },
    ],
    users: [{ name, user: { token: credentials.token } }],
    contexts: [{ name, context: { cluster: name, user: name, namespace: 'default' } }],
    'current-context': name,
  };
  await writeAtomically(path, stringify(config));
  return path;
}

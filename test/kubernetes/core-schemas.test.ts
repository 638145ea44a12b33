import { afterAll, expect, test } from 'vitest';
import { packagePath } from '../../common/config/package-root.ts';
import { ClusterClient } from '../harness/cluster-client.ts';
import { foreignKubeconfig } from '../harness/foreign-cluster.ts';
import { readCoreSchemas } from './core-schemas.ts';

const client = new ClusterClient(foreignKubeconfig ?? '');
afterAll(() => client.close());

/** After an update of the server: `npm run test:kubernetes -- -u` writes the new ones. */
test('the embedded cluster reads kinds of the core by the schemas that this server publishes', async () => {
  const schemas = `${JSON.stringify(await readCoreSchemas(client))}\n`;
  await expect(schemas).toMatchFileSnapshot(packagePath('embedded', 'api', 'core-schemas.json'));
});

import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { shortHash } from '../host/layout.ts';
import { interfacesOf, ip, removeInterfaces, runSteps } from './ip-command.ts';
import { ensureNamespace, removeNamespace } from './namespaces.ts';

test('removes the interfaces behind one that goes away by itself', async () => {
  const namespace = `remove${shortHash(randomUUID(), 8)}`;
  onTestFinished(() => removeNamespace(namespace));
  await ensureNamespace(namespace, { isRouter: false });
  const made = ['pair0', 'other0'].map((name) => ip(namespace, `link add ${name} type veth peer name ${name}p`));
  await runSteps(made);
  // The end of a pair goes with the other one.
  await removeInterfaces(namespace, ['pair0', 'pair0p', 'other0']);
  expect((await interfacesOf(namespace)).map(({ ifname }) => ifname)).toEqual(['lo']);
});

import { expect, test } from 'vitest';
import { buildRef, compiledModule } from '../../test/harness/module-factory.ts';
import { expandGraph } from '../graph/expand.ts';
import { EMPTY_CATALOG, offlineFacts } from '../graph/facts.ts';
import { compileSubmission } from './compile-submission.ts';

test('modules that lead to longer work go first, by how long they lasted before', () => {
  const modules = [
    compiledModule({ name: 'short', vms: [{ name: 'vm' }] }),
    compiledModule({ name: 'long', vms: [{ name: 'other' }] }),
    compiledModule({ name: 'child', vms: [{ name: 'vm', source: buildRef('short', 'vm') }] }),
  ];
  const fingerprint = (secret: string) => secret;
  const graph = expandGraph({ modules, facts: offlineFacts(modules), catalog: EMPTY_CATALOG, fingerprint });
  const priorities = (machineSeconds: ReadonlyMap<string, number>) => {
    const submitted = compileSubmission({
      ...{ graph, networks: {}, secrets: {}, machineSeconds, seal: fingerprint },
      clusterOf: new Map(modules.map(({ name }) => [name, 'lab'])),
      namespaceOf: () => 'slipway',
      blobsUrlOf: () => null,
      newId: () => 'id',
    });
    return Object.fromEntries(
      submitted.flatMap((module) => (module.action === 'reuse' ? [] : [[module.name, module.priority]])),
    );
  };
  // An import is taken to last 30 s, machines 270 s while nothing is known of them.
  expect(priorities(new Map())).toEqual({ short: 600, child: 300, long: 300 });
  expect(
    priorities(
      new Map([
        ['long', 1_000.5],
        ['short', 10],
      ]),
    ),
  ).toEqual({ short: 340, child: 300, long: 1_030.5 });
});

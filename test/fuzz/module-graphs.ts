import fc from 'fast-check';

/** Modules that are right one by one, and may be wrong together: chains, diamonds, cycles, clashing addresses, disks that shrink. */
export function moduleGraphs(): fc.Arbitrary<string> {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const vmName = fc.constantFrom('v', 'w');
  const lan = fc
    .constantFrom('10.0.0.0/24', '10.0.0.0/29', '10.0.0.0/16', 'fd00::/64')
    .map((cidr) => ({ name: 'lan', cidr }));
  const wire = { name: 'wire', vpc: 'p', cidr: '10.1.0.0/24', unmanaged: true };
  const internet = fc.constantFrom(true, false, 'build');
  const network = fc.record({ lan, internet }).map((chosen) => {
    return { vpcs: [{ name: 'p', internet: chosen.internet }], subnets: [chosen.lan, wire] };
  });
  const nic = fc.record(
    {
      name: fc.constantFrom('n', 'o', 'p'),
      subnet: fc.constantFrom('lan', 'lan', 'wire'),
      ip: fc.constantFrom('10.0.0.2', '10.0.0.3', '10.0.0.5'),
      mac: fc.constantFrom('02:00:00:00:00:01', '02:00:00:00:00:02'),
      slot: fc.constantFrom(2, 5),
    },
    { requiredKeys: ['name', 'subnet'] },
  );
  const source = fc.oneof(
    fc.constant({ blank: true }),
    fc.constant({ url: 'http://e/a.qcow2' }),
    fc.record({ name, vmName, version: fc.constant(1) }, { requiredKeys: ['name'] }).map((buildRef) => ({ buildRef })),
  );
  const disk = fc.record({ name: fc.constantFrom('disk0', 'data'), size: fc.constantFrom('1Gi', '10Gi', '64Ti') });
  const named = { selector: (one: { name: string }) => one.name };
  const vm = fc.record(
    {
      name: vmName,
      source,
      resources: fc.record(
        { cpu: fc.constantFrom(1, 9, 65), memory: fc.constantFrom('1Gi', '65Gi') },
        { requiredKeys: [] },
      ),
      disks: fc.uniqueArray(disk, { maxLength: 2, ...named }),
      nics: fc.uniqueArray(nic, { maxLength: 2, ...named }),
      efiFirmware: fc.constantFrom({}, { tpm: true }),
    },
    { requiredKeys: ['name', 'source'] },
  );
  const vms = fc.uniqueArray(vm, { minLength: 1, maxLength: 2, ...named });
  const module = fc.record({ name, vms, network });
  return fc
    .uniqueArray(module, { minLength: 1, maxLength: 5, ...named })
    .map((all) => all.map((one) => JSON.stringify(one)).join('\n---\n'));
}

import { FarmError } from '../../common/errors/farm-error.ts';
import type { Ipv4Network } from '../../common/text/ipv4.ts';
import { listAt } from '../api/json-lists.ts';
import { fieldAt, type KubeObject, type ObjectKey } from '../api/objects.ts';
import { capacityOf, firstAddress, networkOfCidrBlock } from '../network/addresses.ts';
import { ensureBridge, removeBridge } from '../network/bridges.ts';
import { type DhcpOptions, DhcpServer } from '../network/dhcp.ts';
import { ensureNamespace, vpcNamespace } from '../network/namespaces.ts';
import type { ControllerContext } from './context.ts';
import { parseDhcpOptions } from './dhcp-options.ts';

/** The VPC of subnets that name none. */
export const DEFAULT_VPC = 'ovn-cluster';

/** A KubeOVN Subnet as the host sees it. */
export interface SubnetSettings {
  readonly name: string;
  readonly vpc: string;
  /** Network namespace of the VPC. */
  readonly namespace: string;
  readonly cidr: Ipv4Network;
  readonly gateway: string;
  readonly excluded: readonly string[];
  readonly provider: string;
  readonly mtu: number | undefined;
}

/** The networks of the cluster, and their DHCP servers. */
export class Networks {
  readonly #context: ControllerContext;
  readonly #servers = new Map<string, DhcpServer>();
  /** Subnets whose bridge is there, or being made, by name: with the options it has. */
  readonly #bridges = new Map<string, { readonly options: string; readonly made: Promise<void> }>();

  constructor(context: ControllerContext) {
    this.#context = context;
  }

  /** Reads a Subnet with KubeOVN's defaults. */
  plan(subnet: KubeObject): SubnetSettings {
    const spec = subnet.spec ?? {};
    const cidr = networkOfCidrBlock(String(spec['cidrBlock'] ?? ''));
    const gateway = typeof spec['gateway'] === 'string' && spec['gateway'] ? spec['gateway'] : firstAddress(cidr);
    const vpc = typeof spec['vpc'] === 'string' && spec['vpc'] ? spec['vpc'] : DEFAULT_VPC;
    return {
      name: subnet.metadata.name,
      vpc,
      namespace: vpcNamespace(this.#context.layout, vpc),
      cidr,
      gateway: gateway.split(',')[0] ?? gateway,
      excluded: [...new Set([...listAt(spec, 'excludeIps').map(String), gateway.split(',')[0] ?? gateway])],
      provider: typeof spec['provider'] === 'string' && spec['provider'] ? spec['provider'] : 'ovn',
      mtu: typeof spec['mtu'] === 'number' && spec['mtu'] > 0 ? spec['mtu'] : undefined,
    };
  }

  /** DHCP options of a subnet for every card (KubeOVN's `dhcpV4Options`, with its defaults). */
  dhcpOptions(subnet: KubeObject): DhcpOptions {
    const { cidr, gateway, mtu } = this.plan(subnet);
    const options = parseDhcpOptions(String(subnet.spec?.['dhcpV4Options'] ?? ''));
    return {
      cidr,
      router: options.router ?? gateway,
      nameServers: options.nameServers,
      leaseSeconds: options.leaseSeconds ?? 3600,
      ...(mtu === undefined ? {} : { mtu }),
    };
  }

  /** The DHCP server of a subnet, not yet running when new. */
  dhcpServer({ name, namespace }: SubnetSettings): DhcpServer {
    const { layout, confiner, clock } = this.#context;
    const known = this.#servers.get(name);
    if (known) return known;
    const server = new DhcpServer({ layout, confiner, namespace, subnet: name, clock });
    this.#servers.set(name, server);
    return server;
  }

  /** Makes the bridge of a subnet and the namespace around it, unless this process knows that they are there. */
  async ensureBridge({ name, namespace, gateway, cidr, mtu }: SubnetSettings): Promise<void> {
    const bridge = {
      namespace,
      subnet: name,
      address: `${gateway}/${cidr.prefix}`,
      ...(mtu === undefined ? {} : { mtu }),
    };
    const options = JSON.stringify(bridge);
    const known = this.#bridges.get(name);
    if (known?.options === options) return await known.made;
    const made = ensureNamespace(namespace, { isRouter: true }).then(() => ensureBridge(bridge));
    const entry = { options, made };
    this.#bridges.set(name, entry);
    try {
      await made;
    } catch (error) {
      if (this.#bridges.get(name) === entry) this.#bridges.delete(name);
      throw error;
    }
  }

  /** Takes away what a subnet that goes has on the host. */
  async remove(plan: SubnetSettings): Promise<void> {
    await this.dhcpServer(plan).remove();
    this.#servers.delete(plan.name);
    this.#bridges.delete(plan.name);
    await removeBridge(plan.namespace, plan.name);
  }

  /**
   * The subnet that a card is in: the one that the `logical_switch` annotation names, else the one whose provider is
   * that of the NetworkAttachmentDefinition.
   * @throws FarmError `NotFound` naming the missing object
   */
  subnetOf(attachment: ObjectKey, logicalSwitch: string | undefined): { plan: SubnetSettings; subnet: KubeObject } {
    const { store } = this.#context;
    const definition = store.get('NetworkAttachmentDefinition', attachment);
    const label = `${attachment.namespace}/${attachment.name}`;
    if (!definition) throw new FarmError('NotFound', `The NetworkAttachmentDefinition "${label}" does not exist`);
    const provider = providerOf(definition);
    const subnet = store
      .list('Subnet')
      .find(({ metadata, spec }) =>
        logicalSwitch === undefined ? spec?.['provider'] === provider : metadata.name === logicalSwitch,
      );
    if (!subnet) {
      throw new FarmError('NotFound', `No Subnet ${logicalSwitch ? `"${logicalSwitch}"` : `of "${provider}"`} exists`);
    }
    return { plan: this.plan(subnet), subnet };
  }

  /** The IP objects of a subnet. */
  addressesIn(subnet: string): KubeObject[] {
    return this.#context.store.list('IP').filter(({ spec }) => spec?.['subnet'] === subnet);
  }

  /** How many addresses a subnet has left and has given away. */
  counts(plan: SubnetSettings): { readonly available: number; readonly using: number } {
    const using = this.addressesIn(plan.name).length;
    return { available: Math.max(0, capacityOf(plan.cidr, plan.excluded) - using), using };
  }
}

/** The provider that a definition's configuration names. */
function providerOf(definition: KubeObject): string {
  const { name, namespace } = definition.metadata;
  try {
    const provider = fieldAt(JSON.parse(String(definition.spec?.['config'] ?? '{}')), 'provider');
    if (typeof provider === 'string') return provider;
  } catch (cause) {
    const message = `The configuration of NetworkAttachmentDefinition "${namespace}/${name}" is not JSON`;
    throw new FarmError('InvalidRequest', message, { cause });
  }
  return `${name}.${namespace}.ovn`;
}

import type { Laboratory } from './laboratory.ts';
import { networkObjects } from './manifests.ts';

/** A network of its own with addresses, by the name of its VPC. */
export async function createNetwork(laboratory: Laboratory, name: string, cidr: string): Promise<void> {
  const { vpc, attachment, subnet } = networkObjects(name, cidr);
  await laboratory.create('Vpc', vpc);
  await laboratory.create('NetworkAttachmentDefinition', attachment);
  await laboratory.create('Subnet', subnet);
}

/** The network `lan`, and the Secret `seed` that lets this key log in to the machines. */
export async function createLan(laboratory: Laboratory, cidr: string, publicKey: string): Promise<void> {
  await createNetwork(laboratory, 'lan', cidr);
  const userdata = `#cloud-config\nssh_authorized_keys:\n  - ${publicKey}\n`;
  await laboratory.create('Secret', { metadata: { name: 'seed' }, stringData: { userdata } });
}

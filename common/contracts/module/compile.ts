import { compileNic, compileResources, compileVm, defaultNicModel } from './compile-vm.ts';
import type { BuildOverrides, CompiledModule, CompiledVm, Nic, SecretUse, UnsupportedField } from './compiled.ts';
import type { ModuleFile } from './contents.ts';
import { AUTOMATIC_NETWORK, DEFAULTS } from './defaults.ts';
import { fileNameOf, type LocalFinder } from './local-content.ts';
import type { ModuleNetwork } from './module-network.ts';
import type { Places, Position } from './position.ts';
import type { ModuleBody, NicBody } from './schema.ts';

/** Context of a module besides its body. */
export interface ModuleIdentity {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly origin: Position;
  readonly places: Places;
  readonly secrets: readonly SecretUse[];
  readonly notYetSupported: readonly UnsupportedField[];
}

export interface CompileOptions {
  /** Whether the document is a manifest of RudderVirt. */
  readonly isManifest: boolean;
  /** Local files beside the file of the document. */
  readonly local: LocalFinder;
}

/** Makes the compiled module of a body without errors: fills in every default of the model. */
export function compileModule(
  body: ModuleBody,
  identity: ModuleIdentity,
  { isManifest, local }: CompileOptions,
): CompiledModule {
  const network = compileNetwork(body);
  const vms = body.vms.map((vm) => compileVm(vm, { automaticSubnet: automaticSubnet(network), isManifest, local }));
  return {
    ...identity,
    vms,
    files: (body.files ?? []).map((file) => compileFile(file, local)),
    httpDirectory: (body.httpDirectory?.files ?? []).map((file) => file.name),
    httpFolder: body.httpDirectory?.path === undefined ? null : local.folder(body.httpDirectory.path),
    network,
    buildOverrides: compileOverrides(body, { vms: new Map(vms.map((vm) => [vm.name, vm])), isManifest }),
    timeoutMs: body.timeout ?? DEFAULTS.timeoutMs,
    retries: body.retries ?? DEFAULTS.retries,
    isoCacheTtlMs: body.isoCacheTTL ?? DEFAULTS.isoCacheTtlMs,
    maxAgeMs: body.maxAge ?? null,
    ...(body.placement?.clusterLabels ? { clusterLabels: body.placement.clusterLabels } : {}),
    namespace: body.namespace ?? null,
    namespacePrefix: body.namespacePrefix ?? DEFAULTS.namespacePrefix,
  };
}

function compileFile(file: NonNullable<ModuleBody['files']>[number], local: LocalFinder): ModuleFile {
  const { name = fileNameOf(file.path ?? '') } = file;
  if (file.path !== undefined) return { name, kind: 'local', content: local.content(file.path) };
  return file.url === undefined
    ? { name, kind: 'inline', content: file.inline ?? '' }
    : { name, kind: 'url', ...file.url, checksum: file.checksum ?? null };
}

/** The declared network, completed by the automatic VPC and subnet where something needs them. */
function compileNetwork(body: ModuleBody): ModuleNetwork {
  const declaredVpcs = body.network?.vpcs ?? [];
  const declaredSubnets = body.network?.subnets ?? [];
  const subnets = (declaredSubnets.length > 0 ? declaredSubnets : [AUTOMATIC_NETWORK]).map((subnet) => ({
    name: subnet.name,
    vpc: ('vpc' in subnet ? subnet.vpc : undefined) ?? AUTOMATIC_NETWORK.name,
    cidr: subnet.cidr,
    dhcp: ('dhcp' in subnet ? subnet.dhcp : undefined) ?? true,
    dns: splitServers('dns' in subnet ? subnet.dns : undefined),
    unmanaged: ('unmanaged' in subnet ? subnet.unmanaged : undefined) ?? false,
  }));
  const vpcs = declaredVpcs.map((vpc) => ({ name: vpc.name, internet: vpc.internet ?? 'never' }) as const);
  const automatic = AUTOMATIC_NETWORK.name;
  const automaticVpc = { name: automatic, internet: 'always', automatic: true } as const;
  const isAutomaticUsed =
    subnets.some((subnet) => subnet.vpc === automatic) && vpcs.every((vpc) => vpc.name !== automatic);
  return { vpcs: isAutomaticUsed ? [...vpcs, automaticVpc] : vpcs, subnets };
}

function splitServers(dns: string | undefined): string[] {
  return (dns ?? '')
    .split(',')
    .map((server) => server.trim())
    .filter((server) => server !== '');
}

/** Where a VM without network cards is attached: the first subnet that hands out addresses. */
function automaticSubnet(network: ModuleNetwork): string {
  const subnet = network.subnets.find((candidate) => candidate.dhcp && !candidate.unmanaged) ?? network.subnets[0];
  return subnet?.name ?? AUTOMATIC_NETWORK.name;
}

function compileOverrides(
  body: ModuleBody,
  { vms: base, isManifest }: { vms: ReadonlyMap<string, CompiledVm>; isManifest: boolean },
): BuildOverrides {
  const overrides = body.buildOverrides;
  return {
    vpcs: (overrides?.vpcs ?? []).map(({ name, internet }) => ({ name, internet })),
    subnets: (overrides?.subnets ?? []).map(({ name, unmanaged }) => ({ name, unmanaged })),
    vms: (overrides?.vms ?? []).map(({ name, resources, nics }) => ({
      name,
      resources: resources ? compileResources(resources, base.get(name)?.resources) : null,
      nics: nics && nics.length > 0 ? nics.map((nic) => overrideNic(nic, base.get(name), isManifest)) : null,
    })),
  };
}

/** A card that keeps its name keeps its hardware, so that the guest finds the same card after the build. */
function overrideNic(nic: NicBody, base: CompiledVm | undefined, isManifest: boolean): Nic {
  const same = base?.nics.find((candidate) => candidate.name === nic.name);
  const compiled = compileNic(nic, base ? defaultNicModel(base.source, isManifest) : null);
  return same ? { ...compiled, mac: same.mac, model: same.model, slot: same.slot } : compiled;
}

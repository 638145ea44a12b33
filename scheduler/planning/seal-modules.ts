import type { CompiledModule } from '../../common/contracts/module/compiled.ts';
import type { Location } from '../../common/contracts/module/location.ts';

/** A module with each of the secrets that are in it changed: sealed before it is stored, opened to be planned again. */
export function changeSecrets(module: CompiledModule, change: (secret: string) => string): CompiledModule {
  const changed = <T extends Location>(location: T): T => {
    const { credentials } = location;
    if (!credentials) return location;
    return { ...location, credentials: { ...credentials, password: change(credentials.password) } };
  };
  const vms = module.vms.map((vm) => {
    const { communicator, source, isos } = vm;
    const { sshPassword } = communicator;
    return {
      ...vm,
      communicator: sshPassword === null ? communicator : { ...communicator, sshPassword: change(sshPassword) },
      source: source.kind === 'url' ? changed(source) : source,
      isos: isos.map(changed),
    };
  });
  const files = module.files.map((file) => (file.kind === 'url' ? changed(file) : file));
  return { ...module, vms, files };
}

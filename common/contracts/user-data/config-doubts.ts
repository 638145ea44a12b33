import type { Cursor } from '../module/cursor.ts';
import { quoted } from '../module/parsed.ts';
import { didYouMean } from '../module/suggest.ts';
import type { Path } from '../module/yaml-nodes.ts';

/** The part of the module that a configuration must fit. */
export interface ConfigContext {
  readonly sshUsername: string;
  readonly hasSteps: boolean;
}

/** Something that cloud-init reads without complaint and does not do as written; `path` leads to its key. */
export interface Doubt {
  readonly path: Path;
  readonly message: string;
}

/**
 * Problems in a `#cloud-config` that cloud-init would ignore or misread. Source: the modules of cloud-init 24 and 25
 * (`cloudinit/config/cc_*.py`), and its schema for the names of keys.
 */
export function* configDoubts(config: Cursor, context: ConfigContext): Generator<Doubt> {
  yield* keyDoubts(config);
  for (const key of ['runcmd', 'bootcmd']) yield* commandDoubts(config.at(key));
  yield* fileDoubts(config);
  yield* listDoubts(config);
  yield* passwordDoubts(config);
  yield* accessDoubts(config, context);
}

const KEYS = [
  ...['ansible', 'apk_repos', 'apt', 'apt_pipelining', 'apt_reboot_if_required', 'apt_update', 'apt_upgrade'],
  ...['authkey_hash', 'autoinstall', 'bootcmd', 'byobu_by_default', 'ca-certs', 'ca_certs', 'chef', 'chpasswd'],
  ...['cloud_config_modules', 'cloud_final_modules', 'cloud_init_modules', 'create_hostname_file', 'datasource'],
  ...['datasource_list', 'device_aliases', 'disable_ec2_metadata', 'disable_root', 'disable_root_opts', 'disk_setup'],
  ...['drivers', 'fan', 'final_message', 'fqdn', 'fs_setup', 'groups', 'growpart', 'grub-dpkg', 'grub_dpkg'],
  ...['hostname', 'keyboard', 'landscape', 'launch-index', 'locale', 'locale_configfile', 'lxd', 'manage_etc_hosts'],
  ...['manage_resolv_conf', 'mcollective', 'merge_how', 'merge_type', 'migrate', 'mount_default_fields', 'mounts'],
  ...['no_ssh_fingerprints', 'ntp', 'output', 'package_reboot_if_required', 'package_update', 'package_upgrade'],
  ...['packages', 'password', 'phone_home', 'power_state', 'prefer_fqdn_over_hostname', 'preserve_hostname', 'puppet'],
  ...['random_seed', 'reporting', 'resize_rootfs', 'resolv_conf', 'rh_subscription', 'rpi', 'rsyslog', 'runcmd'],
  ...['salt_minion', 'snap', 'spacewalk', 'ssh', 'ssh_authorized_keys', 'ssh_deletekeys', 'ssh_genkeytypes'],
  ...['ssh_fp_console_blacklist', 'ssh_import_id', 'ssh_key_console_blacklist', 'ssh_keys', 'ssh_publish_hostkeys'],
  ...['ssh_pwauth', 'ssh_quiet_keygen', 'swap', 'system_info', 'timezone', 'ubuntu_advantage', 'ubuntu_pro', 'updates'],
  ...['user', 'users', 'vendor_data', 'version', 'wireguard', 'write_files', 'yum_repo_dir', 'yum_repos', 'zypper'],
];

/** Unknown keys have no effect; only those that resemble a known one are reported. */
function* keyDoubts(config: Cursor): Generator<Doubt> {
  for (const key of config.keys) {
    if (key === 'network') {
      const message = 'network: cloud-init takes no network configuration from user data: write it under networkData';
      yield { path: [key], message };
    }
    // Keys with such names contain values repeated elsewhere, and short ones resemble many keys.
    const isKnown = KEYS.includes(key) || key === 'network' || /^(x-|[._])|^.{0,3}$/.test(key);
    const hint = isKnown ? '' : didYouMean(key, KEYS);
    if (hint.includes('did you mean')) {
      yield { path: [key], message: `cloud-init ignores the key ${quoted(key)}${hint}` };
    }
  }
}

/** `runcmd` and `bootcmd` are lists of lines and of argument lists; anything else ends the whole of them. */
function* commandDoubts(commands: Cursor): Generator<Doubt> {
  if (!commands.isPresent) return;
  const [name] = commands.path;
  if (!Array.isArray(commands.value)) {
    yield { path: commands.path, message: `${name}: cloud-init ignores it, because it must be a list` };
    return;
  }
  for (const { path, value } of commands.list()) {
    if (typeof value === 'string' || Array.isArray(value) || value === null) continue;
    const reason = typeof value === 'object' ? 'its ": " makes a map of it' : 'it is not text';
    yield {
      path,
      message: `${name}: cloud-init runs none of these commands, because one is not a command: ${reason}: put it in quotes`,
    };
  }
}

const ENCODINGS = ['gz', 'gzip', 'gz+base64', 'gzip+base64', 'gz+b64', 'gzip+b64', 'b64', 'base64', 'text/plain'];

function* fileDoubts(config: Cursor): Generator<Doubt> {
  const files = config.at('write_files');
  if (files.isPresent && !Array.isArray(files.value)) {
    yield { path: files.path, message: 'write_files: cloud-init ignores it, because it must be a list' };
  }
  const accounts = new Set(config.list('users').map((user) => user.at('name').text));
  for (const file of files.list()) {
    if (file.at('path').text === null) {
      yield { path: file.path, message: 'write_files: cloud-init ignores a file without a path' };
    }
    const { text: encoding, path } = file.at('encoding');
    if (encoding !== null && !ENCODINGS.includes(encoding.toLowerCase())) {
      const message = `write_files: ${quoted(encoding)} is not an encoding, so the file gets the text as it is${didYouMean(encoding, ENCODINGS)}`;
      yield { path, message };
    }
    const permissions = file.at('permissions');
    const mode = modeDoubt(permissions.value);
    if (mode !== null) yield { path: permissions.path, message: `write_files: ${mode}` };
    const [account = ''] = (file.at('owner').text ?? '').split(':');
    if (accounts.has(account) && account !== 'root' && file.at('defer').value !== true) {
      const message = `write_files: files are written before the account "${account}" is made: write defer: true`;
      yield { path: file.at('owner').path, message };
    }
  }
}

/** Why a file gets other permissions than those that are there; null if it does not. */
function modeDoubt(permissions: unknown): string | null {
  if (typeof permissions === 'string' && !/^(0o?)?[0-7]+$/.test(permissions)) {
    return `${quoted(permissions)} is not an octal number, so the file gets mode 644`;
  }
  // How a number was written is not known; one without a leading zero shows in mode bits that files seldom have.
  const isLikelyDecimal = typeof permissions === 'number' && /^[0-7]{3}$/.test(`${permissions}`) && permissions > 0o777;
  return isLikelyDecimal
    ? `${permissions} without a leading zero is mode ${permissions.toString(8)}: put it in quotes`
    : null;
}

function* listDoubts(config: Cursor): Generator<Doubt> {
  const keys = [
    config.at('ssh_authorized_keys'),
    ...config.list('users').map((user) => user.at('ssh_authorized_keys')),
  ];
  const [own] = keys;
  if (own?.isPresent && !Array.isArray(own.value)) {
    yield { path: own.path, message: 'ssh_authorized_keys: cloud-init ignores it, because it must be a list' };
  }
  for (const key of keys.flatMap((list) => list.list())) {
    if (key.text === null || /\b(ssh|ecdsa|sk)-[\w@.-]+ +\S{16}|\ufdd0/.test(key.text)) continue;
    yield { path: key.path, message: 'ssh_authorized_keys: this is not a public key, so it admits no login' };
  }
  for (const mount of config.list('mounts')) {
    if (Array.isArray(mount.value)) continue;
    yield { path: mount.path, message: 'mounts: cloud-init ignores it, because each mount must be a list of fields' };
  }
}

/** `passwd` and `hashed_passwd` go to the shadow file as they are. */
function* passwordDoubts(config: Cursor): Generator<Doubt> {
  for (const user of config.list('users')) {
    for (const key of ['passwd', 'hashed_passwd']) {
      const { text, path } = user.at(key);
      if (text === null || text === '' || /^[$*!_]|\ufdd0/.test(text) || /^[./0-9A-Za-z]{13}$/.test(text)) continue;
      yield {
        path,
        message: `users: ${key} must be a hash, and this is not one: use plain_text_passwd for a password in clear text`,
      };
    }
  }
}

/** Keys that block logins of the farm, or all logins. */
function* accessDoubts(config: Cursor, { sshUsername, hasSteps }: ConfigContext): Generator<Doubt> {
  if (config.at('disable_root').value === true && sshUsername === 'root') {
    const message = 'disable_root: the keys of this user data give no root login in the image; while it is built the';
    yield { path: ['disable_root'], message: `${message} farm still does, as sshUsername asks` };
  }
  const mode = config.at('power_state', 'mode');
  if (mode.isPresent && mode.value !== false && hasSteps) {
    const message = `power_state: cloud-init ends with ${quoted(mode.value)} while the farm runs the steps: use a step of type`;
    yield { path: ['power_state'], message: `${message} reboot, or leave shutting down to the farm` };
  }
  const expiring = expiringPassword(config, sshUsername);
  if (expiring !== null) {
    const message = `chpasswd: the password of ${expiring} expires at once, and then logins by key are refused too: write`;
    yield { path: config.at('chpasswd').isPresent ? ['chpasswd'] : ['password'], message: `${message} expire: false` };
  }
}

/** Whose password cloud-init sets and lets expire, if that may be the account that the farm uses. */
function expiringPassword(config: Cursor, sshUsername: string): string | null {
  const chpasswd = config.at('chpasswd');
  if (chpasswd.at('expire').value === false) return null;
  const { value } = chpasswd.at('list');
  const lines = Array.isArray(value) ? value : String(value ?? '').split('\n');
  const isListed = lines.some((line) => String(line).trim().startsWith(`${sshUsername}:`));
  if (isListed || chpasswd.named('users', sshUsername)) return `"${sshUsername}"`;
  // It goes to the first of the users, or to the account that the distribution brings.
  const isOfDefault = config.at('password').isPresent && lines.join('').trim() === '' && sshUsername !== 'root';
  return isOfDefault ? 'the default user' : null;
}

#!/usr/bin/env bash
# Sets this checkout up: system packages, node_modules, dist. Run by `npm test` and `npm run demo`; does only what is
# missing, and prints nothing when nothing is missing. Debian 12 or newer; elsewhere it names what to install.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
search_path=$PATH:/usr/sbin:/sbin

say() { printf 'setup: %s\n' "$*" >&2; }

# "package command" or "package /file": the package is missing when that is.
needed=(
  'redis-server redis-server'
  'qemu-system-x86 qemu-system-x86_64'
  'qemu-utils qemu-img'
  'bubblewrap bwrap'
  'ovmf /usr/share/OVMF'
  'swtpm swtpm'
  'dnsmasq-base dnsmasq'
  'iproute2 ip'
  'nftables nft'
  'xorriso xorriso'
  'openssl openssl'
  'openssh-client ssh-keygen'
  # the tests of the web console look at it with this browser
  'chromium-headless-shell chromium-headless-shell'
  # with these test/guest/build.sh makes the guests
  'fakeroot fakeroot'
  'cpio cpio'
  'e2fsprogs mke2fs'
  'dosfstools mkfs.vfat'
  'mtools mcopy'
  'fdisk sfdisk'
  'kmod depmod'
  'xz-utils xz'
  'zstd zstd'
  'mmdebstrap mmdebstrap'
  # login shells, and a way to hand files over, of guests; an interpreter
  'zsh zsh'
  'fish fish'
  'tcsh tcsh'
  'acl setfacl'
  'python3 python3'
  # images are pushed to a real registry
  'docker-registry docker-registry'
  # another package or a download may already bring kubectl
  'kubernetes-client kubectl'
)

check_node() {
  local version
  if ! version=$(node --version 2> /dev/null) || ! command -v npm > /dev/null; then
    say 'Node.js with npm is missing. Install Node.js 20.19 or newer: https://nodejs.org/en/download'
    exit 1
  fi
  local major minor
  IFS=. read -r major minor _ <<< "${version#v}"
  if ((major < 20 || (major == 20 && minor < 19))); then
    say "Node.js $version is too old. Install 20.19 or newer: https://nodejs.org/en/download"
    exit 1
  fi
}

missing_packages() {
  local entry package provides
  for entry in "${needed[@]}"; do
    read -r package provides <<< "$entry"
    [ -e "$provides" ] || PATH=$search_path command -v "$provides" > /dev/null || echo "$package"
  done
}

# As root, through sudo where needed.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# While packages are installed none of their services may start; a policy that was there before comes back.
install_packages() {
  local policy=/usr/sbin/policy-rc.d saved
  saved=$policy.before-slipway
  [ ! -e "$policy" ] || as_root mv "$policy" "$saved"
  # shellcheck disable=SC2064 # these very paths
  trap "as_root rm -f '$policy'; [ ! -e '$saved' ] || as_root mv '$saved' '$policy'" EXIT
  printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" > /dev/null
  as_root chmod 755 "$policy"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >&2
  as_root rm -f "$policy"
  [ ! -e "$saved" ] || as_root mv "$saved" "$policy"
  trap - EXIT
}

ensure_packages() {
  local missing=()
  mapfile -t missing < <(missing_packages)
  if ! command -v apt-get > /dev/null; then
    [ ${#missing[@]} = 0 ] || {
      say "This system has no apt. Install what these Debian packages hold: ${missing[*]}"
      exit 1
    }
    return 0
  fi
  # The guests are made from packages that apt knows, so its lists are needed even when nothing is to be installed.
  local has_lists=1
  compgen -G '/var/lib/apt/lists/*_Packages*' > /dev/null || has_lists=0
  [ ${#missing[@]} = 0 ] && [ $has_lists = 1 ] && return 0
  if [ "$(id -u)" != 0 ] && ! command -v sudo > /dev/null; then
    say 'System packages are missing, and there is neither root nor sudo. Have an administrator run:'
    say "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    exit 1
  fi
  as_root apt-get update -qq >&2
  [ ${#missing[@]} = 0 ] && return 0
  say "installing ${missing[*]}"
  install_packages "${missing[@]}"
}

# The first time this compiles too (package.json: prepare); npx runs prepare again when it links this checkout.
ensure_node_modules() {
  local installed=node_modules/.package-lock.json
  [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ] || return 0
  say 'installing node modules'
  npm ci --no-audit --no-fund --no-progress --loglevel=error >&2
  touch "$installed"
}

ensure_build() {
  local sources=() folder
  for folder in common scheduler workers embedded cli dashboards test; do [ ! -d "$folder" ] || sources+=("$folder"); done
  if [ -e dist/.built ] && [ -z "$(find "${sources[@]}" package.json tsconfig.json rolldown.config.ts -type f -newer dist/.built \
    ! -name '*.test.ts' ! -path 'test/guest/*' -print -quit)" ]; then return 0; fi
  local started
  started=$(mktemp)
  npm run --silent build >&2
  # The state that was compiled is that of the start: a file saved meanwhile is compiled next time.
  touch -r "$started" dist/.built
  rm -f "$started"
}

check_node
ensure_packages
ensure_node_modules
ensure_build

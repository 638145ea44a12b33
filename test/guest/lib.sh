# shellcheck shell=bash
# What every script of the guest build uses; sourced.

say() { printf '[guest %3ds] %s\n' "$SECONDS" "$*" >&2; }

fail() {
  printf 'guest: %s\n' "$*" >&2
  exit 1
}

# Names all missing commands at once.
require_commands() {
  local command missing=()
  for command in "$@"; do command -v "$command" > /dev/null || missing+=("$command"); done
  [ ${#missing[@]} = 0 ] || fail "Missing: ${missing[*]}. Run deploy/setup.sh, which installs what the guests are built with."
}

# Prints `'uri' file size hash` for each package: the exact versions that apt would fetch now. Libraries renamed by
# Debian's 64-bit time transition (libfoo1 -> libfoo1t64) are found under either name, and linux-image-* stands for
# the kernel package it depends on.
package_uris() {
  local known names=() name
  known=$(apt-cache pkgnames lib)
  for name in "$@"; do
    if [[ $name == lib* && $'\n'$known$'\n' == *$'\n'${name}t64$'\n'* ]]; then name=${name}t64; fi
    [[ $name != linux-image-* ]] || name=$(apt-cache depends "$name" | awk '/Depends: linux-image-/ { print $2; exit }')
    names+=("$name")
  done
  apt-get -qq download --print-uris "${names[@]}" ||
    fail 'apt does not know the packages of the guest. Run "apt-get update" (the build needs Debian and its main archive).'
}

# Fetches packages (those lines on stdin) into a directory that later builds use again, and prints the files' paths.
fetch_packages() {
  local store=$1 uri file size sum
  mkdir -p "$store"
  while read -r uri file size sum; do
    if ! echo "${sum#*:}  $store/$file" | sha256sum --status --check 2> /dev/null; then
      download "${uri//\'/}" "$store/$file" "$sum" ||
        fail "Could not fetch $file ($size bytes). Run \"apt-get update\" and try again."
    fi
    echo "$store/$file"
  done
}

# One download with apt's own transport, proxy settings and hash check; has its name only when whole.
download() {
  local part=$2.part-$$
  /usr/lib/apt/apt-helper -qq -o APT::Sandbox::User= download-file "$1" "$part" "$3" >&2 && mv "$part" "$2"
}

# Unpacks a .deb into a tree whose /bin, /sbin and /lib are links into /usr, whatever the package believes. More
# arguments restrict it to matching members.
unpack_package() {
  local file=$1 tree=$2
  shift 2
  dpkg-deb --fsys-tarfile "$file" | tar -x -C "$tree" --keep-directory-symlink --no-same-owner --wildcards "$@"
}

make_merged_usr() {
  local tree=$1 part
  mkdir -p "$tree"/usr/{bin,sbin,lib,lib64}
  for part in bin sbin lib lib64; do ln -s "usr/$part" "$tree/$part"; done
}

# Runs a command that gives files to root; who is not root only pretends, which takes long for many files.
owning_as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else fakeroot -- "$@"; fi
}

# Writes a GPT disk from a FAT boot partition and an ext4 root, startable by BIOS (the boot record finds the active FAT)
# and by UEFI (the same FAT is the EFI system partition).
assemble_disk() {
  local disk=$1 boot=$2 root=$3 boot_record=$4 boot_mib root_mib
  boot_mib=$(($(stat -c %s "$boot") >> 20))
  root_mib=$(($(stat -c %s "$root") >> 20))
  rm -f "$disk"
  truncate -s $((boot_mib + root_mib + 2))M "$disk"
  sfdisk -q "$disk" << TABLE
label: gpt
start=2048, size=${boot_mib}MiB, type=uefi, name=boot, attrs=LegacyBIOSBootable
size=${root_mib}MiB, type=linux, name=root
TABLE
  dd if="$boot" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
  dd if="$root" of="$disk" bs=1M seek=$((1 + boot_mib)) conv=notrunc,sparse status=none
  dd if="$boot_record" of="$disk" bs=440 count=1 conv=notrunc status=none
}

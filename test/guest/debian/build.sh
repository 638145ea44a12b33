#!/usr/bin/env bash
# build.sh WORK STORE: builds the Debian guest, with systemd, cloud-init and sudo, in the empty directory WORK; leaves
# WORK/out/debian.qcow2. As root, or as a user who may make user namespaces.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$1
store=$2
. "$here/../lib.sh"
. "$here/packages.sh"
require_commands mmdebstrap fakeroot mke2fs mkfs.vfat mcopy sfdisk qemu-img

boot_mib=96
root_mib=1500
arguments='root=LABEL=debian-root ro console=tty0 console=ttyS0,115200 quiet mitigations=off nokaslr tsc=reliable audit=0 apparmor=0 random.trust_cpu=on'

# shellcheck disable=SC2016 # mmdebstrap sets $1
make_tree() {
  local include
  include=$(IFS=, && echo "${debian_packages[*]}")
  mmdebstrap --variant=minbase --include="$include" \
    --essential-hook="copy-in $here/overlay/etc $here/overlay/usr /" \
    --customize-hook="upload $here/customize.sh /tmp/customize.sh" \
    --customize-hook='chroot "$1" sh /tmp/customize.sh' \
    --customize-hook='rm "$1/tmp/customize.sh"' \
    --customize-hook="mkdir -p $work/boot" \
    --customize-hook="download /vmlinuz $work/boot/vmlinuz" \
    --customize-hook="download /initrd.img $work/boot/initrd" \
    --format=tar "$debian_suite" "$work/root.tar" >&2
}

make_boot_partition() {
  local file
  mkdir -p "$work/packages" "$work/boot"/{EFI/BOOT,loader/entries}
  make_merged_usr "$work/packages"
  package_uris "${debian_boot_packages[@]}" | fetch_packages "$store" | while read -r file; do
    unpack_package "$file" "$work/packages" './usr/*'
  done
  cp "$work/packages/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$work/boot/EFI/BOOT/BOOTX64.EFI"
  printf 'DEFAULT debian\nLABEL debian\n  KERNEL /vmlinuz\n  INITRD /initrd\n  APPEND %s\n' "$arguments" > "$work/boot/syslinux.cfg"
  printf 'timeout 0\ndefault debian.conf\n' > "$work/boot/loader/loader.conf"
  printf 'title Debian\nlinux /vmlinuz\ninitrd /initrd\noptions %s\n' "$arguments" > "$work/boot/loader/entries/debian.conf"
  truncate -s ${boot_mib}M "$work/boot.fat"
  mkfs.vfat -F 16 -n DEBBOOT "$work/boot.fat" > /dev/null
  MTOOLS_SKIP_CHECK=1 mcopy -s -i "$work/boot.fat" "$work"/boot/* ::
  PATH=$work/packages/usr/bin:$PATH syslinux --install "$work/boot.fat"
}

make_root_partition() {
  truncate -s ${root_mib}M "$work/root.ext4"
  mkdir "$work/root"
  # shellcheck disable=SC2016 # expanded by the inner shell
  owning_as_root sh -c 'tar -C "$1" -xf "$2" && mke2fs -q -t ext4 -L debian-root -m 1 -E lazy_itable_init=1 -d "$1" "$3"' - \
    "$work/root" "$work/root.tar" "$work/root.ext4"
  rm -r "$work/root" "$work/root.tar"
}

say "Debian $debian_suite"
make_tree
say 'disk image'
make_boot_partition
make_root_partition
assemble_disk "$work/disk.raw" "$work/boot.fat" "$work/root.ext4" "$work/packages/usr/lib/SYSLINUX/gptmbr.bin"
qemu-img convert -O qcow2 "$work/disk.raw" "$work/out/debian.qcow2"

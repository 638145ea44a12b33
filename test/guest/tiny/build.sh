#!/usr/bin/env bash
# build.sh WORK STORE: builds the tiny guest in the empty directory WORK; fetched packages are kept in STORE. Leaves
# WORK/out/cloud.qcow2, WORK/out/signed.qcow2 and WORK/out/installer.iso.
# shellcheck source-path=SCRIPTDIR disable=SC2034 # the sourced files share the variables set here
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$1
store=$2
out=$work/out
packages=$work/packages # everything the packages hold
root=$work/root         # the guest's root directory
. "$here/../lib.sh"
. "$here/packages.sh"

require_commands apt-get dpkg-deb fakeroot cpio mke2fs mkfs.vfat mcopy sfdisk qemu-img xorriso depmod xz

# Without mouse, watchdogs, audit and address randomisation the kernel starts faster under emulation; the clock needs no calibration.
kernel_arguments='quiet mitigations=off nokaslr no_timer_check tsc=reliable nowatchdog audit=0 apparmor=0 random.trust_cpu=on 8250.nr_uarts=1 panic=10'

. "$here/root.sh"
. "$here/disk.sh"
. "$here/installer.sh"

say 'fetching packages'
mkdir -p "$packages"
make_merged_usr "$packages"
package_uris "${tiny_packages[@]}" | fetch_packages "$store" > "$work/files"
say 'unpacking packages'
while read -r file; do
  case ${file##*/} in
    linux-image-*)
      unpack_package "$file" "$packages" --exclude '*/sound/*' --exclude '*/drivers/gpu/*' --exclude '*/drivers/media/*' \
        --exclude '*/net/wireless/*' './boot/vmlinuz-*' './lib/modules/*'
      ;;
    *) unpack_package "$file" "$packages" --exclude './usr/share/doc/*' --exclude './usr/share/man/*' './*' ;;
  esac
done < "$work/files"
kernel=$(basename "$packages"/usr/lib/modules/*)

depmod -b "$packages" "$kernel"
say "root directory, kernel $kernel"
make_root
make_initramfs "$here/initramfs-init" "$work/initramfs.gz" "${storage_modules[@]}"
say 'cloud images'
make_cloud_image
make_signed_image
say 'installer'
make_installer

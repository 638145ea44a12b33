# shellcheck shell=bash disable=SC2154 # build.sh sets the shared variables
# The cloud image; sourced by build.sh. The installer writes the same two file systems.

boot_mib=24
root_mib=120

make_boot_files() {
  mkdir -p "$work/boot"/{EFI/BOOT,loader/entries}
  cp "$packages/boot/vmlinuz-$kernel" "$work/boot/vmlinuz"
  cp "$work/initramfs.gz" "$work/boot/initramfs"
  cp "$packages/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$work/boot/EFI/BOOT/BOOTX64.EFI"
  local arguments="root=LABEL=tiny-root console=tty0 console=ttyS0,115200 $kernel_arguments"
  cat > "$work/boot/syslinux.cfg" << END
DEFAULT tiny
PROMPT 0
TIMEOUT 0
LABEL tiny
  KERNEL /vmlinuz
  INITRD /initramfs
  APPEND $arguments
END
  printf 'timeout 0\ndefault tiny.conf\n' > "$work/boot/loader/loader.conf"
  printf 'title tiny\nlinux /vmlinuz\ninitrd /initramfs\noptions %s\n' "$arguments" > "$work/boot/loader/entries/tiny.conf"
}

# 4 KiB blocks and few inodes: growing to a large disk writes little. The reserve of group
# descriptors is for 64 GiB: a larger one asks more of the journal than so small a one can hold.
make_file_systems() {
  truncate -s ${boot_mib}M "$work/boot.fat"
  mkfs.vfat -F 16 -n TINYBOOT "$work/boot.fat" > /dev/null
  MTOOLS_SKIP_CHECK=1 mcopy -s -i "$work/boot.fat" "$work"/boot/* ::
  PATH=$packages/usr/bin:$PATH syslinux --install "$work/boot.fat"
  truncate -s ${root_mib}M "$work/root.ext4"
  # shellcheck disable=SC2016 # expanded by the inner shell
  fakeroot -- sh -c 'chown -R 0:0 "$1" && mke2fs -q -t ext4 -b 4096 -i 32768 -L tiny-root -m 1 -E lazy_itable_init=1,resize=16777216 -d "$1" "$2"' - \
    "$root" "$work/root.ext4"
}

make_cloud_image() {
  make_boot_files
  make_file_systems
  assemble_disk "$work/disk.raw" "$work/boot.fat" "$work/root.ext4" "$packages/usr/lib/SYSLINUX/gptmbr.bin"
  mkdir -p "$out"
  qemu-img convert -O qcow2 "$work/disk.raw" "$out/cloud.qcow2"
}

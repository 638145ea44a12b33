# shellcheck shell=bash disable=SC2154 # build.sh sets the shared variables
# The cloud images; sourced by build.sh. The installer writes the same two file systems as the first one.

boot_mib=54
root_mib=120

kernel_line="root=LABEL=tiny-root console=tty0 console=ttyS0,115200 $kernel_arguments"

make_boot_files() {
  mkdir -p "$work/boot"/{EFI/BOOT,loader/entries}
  cp "$packages/boot/vmlinuz-$kernel" "$work/boot/vmlinuz"
  "$here/../../../node_modules/.bin/tsx" "$here/unpack-kernel.ts" "$work/boot/vmlinuz" "$work/boot/kernel"
  cp "$work/initramfs.gz" "$work/boot/initramfs"
  cp "$packages/usr/lib/systemd/boot/efi/systemd-bootx64.efi" "$work/boot/EFI/BOOT/BOOTX64.EFI"
  cat > "$work/boot/syslinux.cfg" << END
DEFAULT tiny
PROMPT 0
TIMEOUT 0
LABEL tiny
  KERNEL /kernel
  INITRD /initramfs
  APPEND $kernel_line
END
  printf 'timeout 0\ndefault tiny.conf\n' > "$work/boot/loader/loader.conf"
  printf 'title tiny\nlinux /vmlinuz\ninitrd /initramfs\noptions %s\n' "$kernel_line" > "$work/boot/loader/entries/tiny.conf"
}

# What Secure Boot lets start: the firmware checks the shim, which checks GRUB, which lets the shim check the kernel.
# Debian's signed GRUB reads its configuration in /EFI/debian.
make_signed_boot_files() {
  mkdir -p "$work/signed/EFI"/{BOOT,debian}
  cp "$work/boot/vmlinuz" "$work/boot/initramfs" "$work/signed/"
  cp "$packages/usr/lib/shim/shimx64.efi.signed" "$work/signed/EFI/BOOT/BOOTX64.EFI"
  cp "$packages/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$work/signed/EFI/BOOT/grubx64.efi"
  printf 'linux /vmlinuz %s\ninitrd /initramfs\nboot\n' "$kernel_line" > "$work/signed/EFI/debian/grub.cfg"
}

# make_boot_volume FILES IMAGE: the FAT with these files.
make_boot_volume() {
  truncate -s ${boot_mib}M "$2"
  mkfs.vfat -F 16 -n TINYBOOT "$2" > /dev/null
  MTOOLS_SKIP_CHECK=1 mcopy -s -i "$2" "$1"/* ::
}

# 4 KiB blocks and few inodes: growing to a large disk writes little. The reserve of group
# descriptors is for 64 GiB: a larger one asks more of the journal than so small a one can hold.
make_file_systems() {
  make_boot_volume "$work/boot" "$work/boot.fat"
  PATH=$packages/usr/bin:$PATH syslinux --install "$work/boot.fat"
  truncate -s ${root_mib}M "$work/root.ext4"
  # shellcheck disable=SC2016 # expanded by the inner shell
  owning_as_root sh -c 'chown -R 0:0 "$1" && mke2fs -q -t ext4 -b 4096 -i 32768 -L tiny-root -m 1 -E lazy_itable_init=1,resize=16777216 -d "$1" "$2"' - \
    "$root" "$work/root.ext4"
}

make_cloud_image() {
  make_boot_files
  make_file_systems
  assemble_disk "$work/disk.raw" "$work/boot.fat" "$work/root.ext4" "$packages/usr/lib/SYSLINUX/gptmbr.bin"
  mkdir -p "$out"
  qemu-img convert -O qcow2 "$work/disk.raw" "$out/cloud.qcow2"
}

# The same system behind the signed chain; by UEFI only.
make_signed_image() {
  make_signed_boot_files
  make_boot_volume "$work/signed" "$work/signed.fat"
  assemble_disk "$work/signed.raw" "$work/signed.fat" "$work/root.ext4" "$packages/usr/lib/SYSLINUX/gptmbr.bin"
  qemu-img convert -O qcow2 "$work/signed.raw" "$out/signed.qcow2"
}

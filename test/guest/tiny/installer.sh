# shellcheck shell=bash disable=SC2154 # build.sh sets the shared variables
# The installer ISO; sourced by build.sh. BIOS: isolinux's "boot:" prompt. UEFI: a GRUB that reads a line at the same
# prompt. Both wait without end. The payload travels in the initramfs, so no CD drive has to be found by the installer.

make_installer() {
  local iso=$work/iso arguments="console=ttyS0,115200 console=tty0 $kernel_arguments"
  mkdir -p "$iso"/{isolinux,boot/grub} "$work/payload/payload"
  cp "$work/boot/vmlinuz" "$work/boot/kernel" "$iso/"
  gzip -9n < "$work/disk.raw" > "$work/payload/payload/disk.gz"
  make_initramfs "$here/installer-init" "$work/installer.gz" "${storage_modules[@]}" "${other_modules[@]}"
  # Two archives in a row are one initramfs; the second is left uncompressed because its content is compressed already.
  # The first is padded to 4 bytes, as the kernel expects.
  truncate -s %4 "$work/installer.gz"
  { cat "$work/installer.gz" && pack_initramfs "$work/payload"; } > "$iso/initramfs"

  cp "$packages/usr/lib/ISOLINUX/isolinux.bin" "$packages/usr/lib/syslinux/modules/bios/ldlinux.c32" "$iso/isolinux/"
  printf '\nTiny installer. Type: install answers=http://HOST:PORT/PATH\n\n' > "$iso/isolinux/boot.msg"
  cat > "$iso/isolinux/isolinux.cfg" << END
SERIAL 0 115200
DISPLAY boot.msg
PROMPT 1
TIMEOUT 0
DEFAULT install
LABEL install
  KERNEL /kernel
  INITRD /initramfs
  APPEND $arguments
END
  cat > "$iso/boot/grub/grub.cfg" << END
echo "Tiny installer. Type: install answers=http://HOST:PORT/PATH"
echo -n "boot: "
read line
linux /vmlinuz $arguments \$line
initrd /initramfs
boot
END
  make_grub "$iso/efi.img"
  xorriso -as mkisofs -quiet -V TINY_INSTALLER -J -r -o "$out/installer.iso" \
    -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot -boot-load-size 4 -boot-info-table \
    -eltorito-alt-boot -e efi.img -no-emul-boot "$iso"
}

# A FAT image with one GRUB, which finds the ISO by a file on it.
make_grub() {
  # shellcheck disable=SC2016 # GRUB's variables
  printf 'search --no-floppy --set=root --file /initramfs\nset prefix=($root)/boot/grub\nconfigfile $prefix/grub.cfg\n' > "$work/grub-start.cfg"
  LD_LIBRARY_PATH=$packages/usr/lib/x86_64-linux-gnu "$packages/usr/bin/grub-mkimage" -O x86_64-efi \
    -d "$packages/usr/lib/grub/x86_64-efi" -o "$work/grub.efi" -p /boot/grub -c "$work/grub-start.cfg" \
    fat iso9660 part_gpt part_msdos search search_fs_file configfile normal read echo linux boot test all_video efi_gop
  truncate -s 2880K "$1"
  mkfs.vfat -n TINYEFI "$1" > /dev/null
  mmd -i "$1" ::EFI ::EFI/BOOT
  mcopy -i "$1" "$work/grub.efi" ::EFI/BOOT/BOOTX64.EFI
}

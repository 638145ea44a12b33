# shellcheck shell=bash disable=SC2154 # build.sh sets the shared variables
# The guest's root directory and the initramfs; sourced by build.sh.

storage_modules=(virtio_pci virtio_blk virtio_scsi ahci ata_piix sd_mod sr_mod ext4 crc32c_generic crc32c-intel)
other_modules=(
  virtio_net e1000 e1000e 8139cp
  isofs vfat nls_cp437 nls_ascii nls_iso8859-1
  button evdev virtio-rng virtio_console virtio_balloon qemu_fw_cfg
  efivarfs tpm_tis xhci_pci usb_storage
)

# Copies modules and what they need into a tree, and indexes them there.
copy_modules() {
  local tree=$1 module file
  shift
  mkdir -p "$tree/lib/modules/$kernel"
  cp "$packages/usr/lib/modules/$kernel"/modules.{order,builtin,builtin.modinfo} "$tree/lib/modules/$kernel/"
  for module in "$@"; do
    modprobe --show-depends --ignore-install -d "$packages" -S "$kernel" "$module"
  done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
    install -D -m 644 "$file" "$tree/lib/modules/$kernel/${file##*/}"
  done
  depmod -b "$tree" "$kernel"
}

# Copies a program of the packages, under the same path, with the libraries it is linked with.
copy_program() {
  local program=$1 loader library
  loader=$packages/usr/lib64/ld-linux-x86-64.so.2
  install -D -m 755 "$packages/$program" "$root/$program"
  "$loader" --inhibit-cache --library-path "$packages/usr/lib/x86_64-linux-gnu" --list "$packages/$program" > "$work/libraries" ||
    fail "$program: $(grep 'not found' "$work/libraries")"
  ! grep 'not found' "$work/libraries" >&2 || fail "$program lacks a library; complete tiny/packages.sh."
  awk '$3 ~ "^/" { print $3 }' "$work/libraries" | while read -r library; do
    [ -e "$root/usr/lib/x86_64-linux-gnu/${library##*/}" ] ||
      install -D -m 755 "$(readlink -f "$library")" "$root/usr/lib/x86_64-linux-gnu/${library##*/}"
  done
}

make_root() {
  local path
  mkdir -p "$root"/{dev,proc,sys,run,tmp,root,home,mnt,boot,etc,usr/sbin,var/{log,tmp,lib}}
  make_merged_usr "$root"
  chmod 1777 "$root/tmp" "$root/var/tmp"
  chmod 700 "$root/root"
  install -m 755 "$packages/usr/bin/busybox" "$root/usr/bin/busybox"
  "$root/usr/bin/busybox" --list-full | grep -v -e busybox -e linuxrc | while read -r path; do
    ln -sf /usr/bin/busybox "$root/usr/${path#usr/}"
  done
  install -D -m 755 "$(readlink -f "$packages/usr/lib64/ld-linux-x86-64.so.2")" "$root/usr/lib64/ld-linux-x86-64.so.2"
  rm "$root"/usr/sbin/{mke2fs,reboot,poweroff,halt}
  for path in usr/bin/bash usr/sbin/sshd usr/bin/ssh-keygen usr/bin/scp \
    usr/sbin/mke2fs usr/sbin/e2fsck usr/sbin/resize2fs usr/sbin/sfdisk usr/bin/resizepart usr/bin/mountpoint; do
    rm -f "$root/$path"
    copy_program "$path"
  done
  # From version 9.8 on, sshd consists of several programs.
  for path in "$packages"/usr/lib/openssh/sshd-*; do
    [ ! -e "$path" ] || copy_program "${path#"$packages/"}"
  done
  cp -L "$packages"/usr/lib/x86_64-linux-gnu/libnss_{files,dns}.so.2 "$root/usr/lib/x86_64-linux-gnu/"
  ln -s mke2fs "$root/usr/sbin/mkfs.ext4"
  cp -r "$here/overlay/." "$root/"
  for path in reboot poweroff halt; do ln -s end-of-run "$root/usr/sbin/$path"; done
  copy_modules "$root" "${storage_modules[@]}" "${other_modules[@]}"
  chmod 600 "$root/etc/shadow"
}

# make_initramfs INIT FILE MODULE...: BusyBox, the modules, and INIT as /init.
make_initramfs() {
  local init=$1 file=$2 tree
  shift 2
  tree=$(mktemp -d "$work/initramfs-XXXX")
  mkdir -p "$tree"/{bin,dev,proc,sys,run,new,tmp,etc}
  ln -s bin "$tree/sbin" # the kernel itself calls /sbin/modprobe
  cp "$root/usr/bin/busybox" "$tree/bin/"
  "$tree/bin/busybox" --list | grep -v -x busybox | while read -r applet; do ln -s busybox "$tree/bin/$applet"; done
  copy_modules "$tree" "$@"
  install -m 755 "$root"/usr/lib/tiny/{coldplug,lease} "$tree/bin/"
  install -m 755 "$init" "$tree/init"
  pack_initramfs "$tree" | gzip -9n > "$file"
}

pack_initramfs() { (cd "$1" && find . | sort | cpio -o -H newc -R 0:0 --quiet); }

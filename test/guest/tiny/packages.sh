# shellcheck shell=bash disable=SC2034
# The Debian packages that the tiny guest is put together from; sourced. None of them is installed on the host.

tiny_packages=(
  # the generic kernel, not the cloud one: only it drives e1000 NICs and AHCI disks
  linux-image-amd64
  busybox-static bash openssh-server openssh-client
  e2fsprogs fdisk util-linux
  # what those are linked with
  libc6 libcrypt1 libwrap0 libaudit1 libpam0g libsystemd0 libselinux1 libgssapi-krb5-2 libkrb5-3 libcom-err2 libssl3
  zlib1g libnsl2 libcap-ng0 libcap2 libgcrypt20 liblzma5 libzstd1 liblz4-1 libpcre2-8-0 libk5crypto3 libkrb5support0
  libkeyutils1 libtirpc3 libgpg-error0 libtinfo6 libreadline8 libext2fs2 libblkid1 libuuid1 libss2 libfdisk1
  libsmartcols1 libmount1
  # boot loaders
  extlinux syslinux syslinux-common isolinux systemd-boot-efi grub-common grub-efi-amd64-bin libdevmapper1.02.1 libudev1
  # a chain that Secure Boot lets start: Microsoft signs the shim, Debian signs GRUB and the kernel
  shim-signed grub-efi-amd64-signed
)

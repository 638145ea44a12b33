# shellcheck shell=bash disable=SC2034
# What the Debian guest is made of beyond the minimal system; sourced.

debian_suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")

debian_packages=(
  linux-image-cloud-amd64 initramfs-tools zstd systemd-sysv systemd-resolved udev dbus
  openssh-server sudo cloud-init cloud-guest-utils fdisk e2fsprogs
  iproute2 iputils-ping netbase
)

# Boot loaders: taken apart on the host, not installed in the guest.
debian_boot_packages=(syslinux syslinux-common systemd-boot-efi)

#!/bin/sh
# Runs inside the new system, at the end of its installation.
set -eu
echo debian > /etc/hostname
echo 'LABEL=debian-root / ext4 defaults 0 1' > /etc/fstab
systemctl enable systemd-networkd serial-getty@ttyS0.service ssh.service
systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer fstrim.timer \
  systemd-networkd-wait-online.service e2scrub_reap.service
# Each instance makes its own.
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
rm -rf /var/lib/apt/lists/* /var/cache/apt/*

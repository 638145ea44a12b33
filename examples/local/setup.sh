#!/bin/sh
# Serves the folder that /etc/site.conf names from the next boot on.
set -eu
. /etc/site.conf
cat >/etc/systemd/system/site.service <<UNIT
[Unit]
Description=The pages of $root

[Service]
ExecStart=/usr/bin/python3 -m http.server --directory $root $port
DynamicUser=yes

[Install]
WantedBy=multi-user.target
UNIT
systemctl enable site.service

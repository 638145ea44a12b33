#!/bin/bash
# Runs the embedded cluster in a container, and hands its kubeconfig to the farm's processes in other containers:
# /run/slipway/kubeconfig appears when the cluster is ready, and group 65532 may read it. Arguments go to the cluster.
set -euo pipefail
# Docker mounts /proc/sys read-only; the routers of module networks switch forwarding on in namespaces of their own.
mount -o remount,bind,rw /proc/sys
rm -f /run/slipway/kubeconfig

publish_when_ready() {
  local line
  while IFS= read -r line; do
    printf '%s\n' "$line"
    [[ $line == '{"event":"ready"'* ]] || continue
    install -m 0440 -g 65532 /var/lib/slipway/kubeconfig /run/slipway/.kubeconfig
    mv /run/slipway/.kubeconfig /run/slipway/kubeconfig
  done
}

# The cluster keeps this process id, so that it gets the signals. Its name is the one that others reach it by.
exec node --min-semi-space-size=16 /app/dist/embedded/main.js --data-dir /var/lib/slipway --config /etc/slipway/cluster.json \
  --host "$(hostname)" --port 6443 "$@" > >(publish_when_ready)

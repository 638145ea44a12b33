#!/bin/sh
# Makes the secrets that docker-compose.yml mounts; those that are there are kept. Usage: make-secrets.sh [FOLDER]
# The folder lets only its owner in. The files can be read by everybody, because containers read them as other users.
set -eu
folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
chmod 700 "$folder"
for name in farm-key token metrics-token redis-password grafana-password; do
  [ ! -e "$folder/$name" ] || continue
  head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n' > "$folder/.$name"
  chmod 444 "$folder/.$name"
  mv "$folder/.$name" "$folder/$name"
done

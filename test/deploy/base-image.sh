#!/usr/bin/env bash
# Makes the base image of the farm's images without a registry: Debian bookworm from its packages, Node.js from this
# machine. Usage: base-image.sh TAG. Needs root, mmdebstrap and a Docker engine (DOCKER_HOST).
set -euo pipefail
tag=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

node_prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
npm_folder=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")

# The machine's certificate authorities come along: behind a proxy that ends TLS, npm needs them.
mmdebstrap --quiet --variant=apt --include=ca-certificates,libstdc++6,tini \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --customize-hook="install -D -m755 '$node_prefix/bin/node' \"\$1/usr/local/bin/node\"" \
  --customize-hook="mkdir -p \"\$1/usr/local/lib/node_modules\" && cp -a '$npm_folder' \"\$1/usr/local/lib/node_modules/npm\"" \
  --customize-hook='ln -s ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/local/bin/npm"' \
  --customize-hook='ln -s ../lib/node_modules/npm/bin/npx-cli.js "$1/usr/local/bin/npx"' \
  --customize-hook='cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"' \
  bookworm "$work/base.tar" 'deb http://deb.debian.org/debian bookworm main'

docker import --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' "$work/base.tar" "$tag"

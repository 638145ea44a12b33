#!/usr/bin/env bash
# Prints the folder of `prometheus` and `promtool`. Where they are not installed, Debian's package is unpacked into the
# user's cache: installing it would start a daemon.
set -euo pipefail

if command -v prometheus >/dev/null && command -v promtool >/dev/null; then
  dirname "$(command -v prometheus)"
  exit
fi

cache="${XDG_CACHE_HOME:-$HOME/.cache}/slipway"
target="$cache/prometheus"
if [ ! -x "$target/usr/bin/promtool" ]; then
  mkdir -p "$cache"
  work=$(mktemp -d "$cache/prometheus.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  (
    cd "$work"
    if ! apt-get download prometheus >&2; then
      apt-get update -q >&2
      apt-get download prometheus >&2
    fi
    dpkg -x prometheus_*.deb root
  )
  rm -rf "$target"
  mv -T "$work/root" "$target"
fi
echo "$target/usr/bin"

#!/usr/bin/env bash
# Runs the quick suites and the demo on other versions of Node.js, each from the npm package `node`.
# usage: test/node-versions.sh [VERSION...]; without any, the floor and every newer line of long support. "newest" is the
# last of these.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
versions=(20.19.0 22 24 26)
[ $# -gt 0 ] || set -- "${versions[@]}"
# No machine is booted by these.
suites=(common scheduler cli test/api)

for version; do
  [ "$version" != newest ] || version=${versions[-1]}
  # shellcheck disable=SC2016 # $0 and $@ are those of the inner shell
  npx --yes --package "node@$version" -- bash -c '
    set -euo pipefail
    echo "==> Node.js $(node --version)"
    node node_modules/vitest/vitest.mjs run "$@"
    node dist/test/demo/main.js' "node-$version" "${suites[@]}"
done

#!/bin/sh
# Starts a process of the farm. The configuration takes Redis' password as part of its URL; here it may stay a file:
# SLIPWAY_REDIS_PASSWORD_FILE is put into SLIPWAY_REDIS_URL, escaped as URLs need it.
set -eu
if [ -n "${SLIPWAY_REDIS_PASSWORD_FILE:-}" ]; then
  SLIPWAY_REDIS_URL=$(node -e '
    const url = new URL(process.env.SLIPWAY_REDIS_URL ?? "redis://127.0.0.1:6379");
    const password = require("node:fs").readFileSync(process.env.SLIPWAY_REDIS_PASSWORD_FILE, "utf8").trim();
    url.password = encodeURIComponent(password);
    process.stdout.write(url.href);
  ')
  export SLIPWAY_REDIS_URL
  unset SLIPWAY_REDIS_PASSWORD_FILE
fi
exec "$@"

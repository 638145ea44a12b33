# One image for every process of the farm: scheduler, workers, relay and command line. Targets:
#   farm      (the default) Node.js and the compiled farm; any user, read-only root, no build tools
#   embedded  adds QEMU and what else the embedded cluster runs; needs root and rights that docker-compose.yml explains
# BASE is any Debian with Node.js 20.19 or newer and npm.
ARG BASE=node:22-bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
# Scripts of packages are not needed: what they would compile is optional.
RUN npm ci --ignore-scripts --no-progress --loglevel=error
COPY tsconfig.json rolldown.config.ts ./
COPY cli cli
COPY common common
COPY dashboards/console dashboards/console
COPY embedded embedded
COPY scheduler scheduler
COPY workers workers
RUN npm run build && npm prune --omit=dev --ignore-scripts --loglevel=error
# The compiler stays as an optional peer of a library; it, types and source maps are for those who develop.
RUN rm -rf node_modules/typescript node_modules/@typescript node_modules/.bin \
    && find dist node_modules \( -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.map' \) -delete

FROM ${BASE} AS farm
# tini is process 1: it passes signals on and collects the ended grandchildren that the embedded cluster leaves.
# qemu-img writes the formats of exports.
RUN if ! command -v tini > /dev/null || ! command -v qemu-img > /dev/null; then \
      apt-get update -qq && apt-get install -qq -y --no-install-recommends tini qemu-utils && rm -rf /var/lib/apt/lists/*; \
    fi \
    && rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
      /opt/yarn* /usr/local/bin/yarn /usr/local/bin/yarnpkg
WORKDIR /app
ENV NODE_ENV=production
COPY --from=build /src/node_modules node_modules
COPY LICENSE LICENSE
COPY package.json package.json
# Data that programs read beside their code (`packagePath`).
COPY common/redis/scripts common/redis/scripts
COPY cli/templates cli/templates
COPY docs/module.schema.json docs/module.schema.json
COPY embedded/api/crds embedded/api/crds
COPY embedded/api/core-schemas.json embedded/api/core-schemas.json
COPY workers/guest/supervisor.sh workers/guest/supervisor.sh
COPY workers/guest/clean-up.sh workers/guest/clean-up.sh
COPY workers/guest/key-files.sh workers/guest/key-files.sh
COPY workers/phases/import/login-hook.sh workers/phases/import/login-hook.sh
COPY --from=build /src/dist dist
COPY deploy/image/entrypoint.sh /usr/local/bin/slipway-entrypoint
COPY deploy/image/health.sh /usr/local/bin/slipway-health
RUN chmod 755 /usr/local/bin/slipway-* dist/cli/main.js && ln -s /app/dist/cli/main.js /usr/local/bin/slipway
# Inside a container only the image chooses the port; 0.0.0.0 is what publishing it needs.
ENV SLIPWAY_HTTP_HOST=0.0.0.0 SLIPWAY_HTTP_PLAINTEXT=anywhere SLIPWAY_HTTP_PORT=8080 SLIPWAY_METRICS_PORT=8080
EXPOSE 8080
# A volume that is mounted here begins with this owner.
RUN mkdir -p /var/lib/slipway-blobs && chown 65532:65532 /var/lib/slipway-blobs
USER 65532:65532
# Every long-running process answers here: the scheduler's API, and the metrics server of a worker.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["slipway-health"]
ENTRYPOINT ["tini", "--", "slipway-entrypoint"]
CMD ["slipway", "--help"]

FROM farm AS embedded
USER 0:0
RUN apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
      bubblewrap dnsmasq-base iproute2 mount nftables openssl ovmf qemu-system-x86 qemu-utils swtpm xorriso xz-utils \
      zstd \
    && rm -rf /var/lib/apt/lists/*
COPY deploy/image/embedded.sh /usr/local/bin/slipway-embedded
RUN chmod 755 /usr/local/bin/slipway-embedded
VOLUME /var/lib/slipway
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["test", "-e", "/run/slipway/kubeconfig"]
CMD ["slipway-embedded"]

# What a build without `--target` gives.
FROM farm

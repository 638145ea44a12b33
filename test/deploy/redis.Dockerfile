# Redis as the official image has it (user 999, data in /data), from Debian's package.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/* \
    && usermod -u 999 redis && groupmod -g 999 redis && install -d -o 999 -g 999 /data
VOLUME /data
WORKDIR /data
USER redis

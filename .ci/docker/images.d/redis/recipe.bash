# The stand-in for redis: Debian's redis-server and redis-cli.
# shellcheck shell=bash
# shellcheck disable=SC2154 # here and work are the caller's

version() { package_version redis-server; }

fill() {
  rootfs "$1" redis-server
  user "$1" redis 999 /data
  entry "$here/images.d/redis/entrypoint" "$1" /usr/local/bin/docker-entrypoint.sh
}

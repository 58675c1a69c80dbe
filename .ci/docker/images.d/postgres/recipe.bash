# The stand-in for postgres: Debian's server and psql, without the compiler of expressions.
# shellcheck shell=bash
# shellcheck disable=SC2154 # here and work are the caller's

version() { package_version postgresql-15; }

fill() {
  rootfs "$1" postgresql-15
  rm -rf "$1"/usr/lib/postgresql/15/lib/{llvmjit*,bitcode}
  user "$1" postgres 999 /var/lib/postgresql
  install -d -o 999 -g 999 -m 1777 "$1/var/lib/postgresql/data"
  install -d -o 999 -g 999 -m 3777 "$1/run/postgresql"
  sed -i "s/^#\?listen_addresses = .*/listen_addresses = '*'/" \
    "$1/usr/share/postgresql/15/postgresql.conf.sample"
  entry "$here/images.d/postgres/entrypoint" "$1" /usr/local/bin/docker-entrypoint.sh
}

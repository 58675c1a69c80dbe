# The stand-in for nats: the server of this repository's own go.mod, built from its module.
# shellcheck shell=bash
# shellcheck disable=SC2154 # here and work are the caller's

module=github.com/nats-io/nats-server/v2

version() { in_repository go list -m -f '{{.Version}}' "$module" | sed 's/^v//'; }

in_repository() { (cd "$here/../.." && "$@"); }

fill() {
  local root=$1
  rootfs "$root" ca-certificates
  in_repository quietly env CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' \
    -o "$root/usr/local/bin/nats-server" "$module"
  install -d "$root/etc/nats" "$root/data"
  printf 'port: 4222\nhttp: 8222\n' >"$root/etc/nats/nats-server.conf"
  entry "$here/images.d/nats/entrypoint" "$root" /usr/local/bin/docker-entrypoint.sh
}

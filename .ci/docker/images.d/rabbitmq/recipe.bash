# The stand-in for rabbitmq: Debian's rabbitmq-server with its command line tools.
# shellcheck shell=bash
# shellcheck disable=SC2154 # here and work are the caller's

version() { package_version rabbitmq-server; }

fill() {
  local root=$1 lib=usr/lib/rabbitmq
  rootfs "$root" rabbitmq-server
  # Scripts that become the user rabbitmq before they run the real ones, and plugins' sources.
  rm -f "$root"/usr/sbin/rabbitmq*
  rm -rf "$root"/usr/{share/rabbitmq,lib/ocf,lib/python3*,include} "$root/$lib"/lib/*/LICENSE*
  user "$root" rabbitmq 999 /var/lib/rabbitmq
  install -d -o 999 -g 999 "$root"/etc/rabbitmq{,/conf.d} "$root"/var/log/rabbitmq
  printf 'loopback_users.guest = false\nlog.console = true\n' \
    >"$root/etc/rabbitmq/conf.d/10-defaults.conf"
  printf '[].\n' >"$root/etc/rabbitmq/enabled_plugins"
  ln -s /var/lib/rabbitmq/.erlang.cookie "$root/root/.erlang.cookie" # so root may use the tools
  entry "$here/images.d/rabbitmq/entrypoint" "$root" /usr/local/bin/docker-entrypoint.sh
}

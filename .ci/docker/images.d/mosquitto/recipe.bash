# The stand-in for eclipse-mosquitto: Debian's mosquitto with its clients.
# shellcheck shell=bash
# shellcheck disable=SC2154 # here and work are the caller's

version() { package_version mosquitto; }

fill() {
  rootfs "$1" mosquitto mosquitto-clients
  user "$1" mosquitto 1883 /mosquitto
  install -d -o 1883 -g 1883 "$1"/mosquitto/{config,data,log}
  printf 'listener 1883\nallow_anonymous true\n' >"$1/mosquitto/config/mosquitto.conf"
  entry "$here/images.d/mosquitto/entrypoint" "$1" /docker-entrypoint.sh
}

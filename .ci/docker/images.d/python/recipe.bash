# The stand-in for python: Debian's interpreter and pip, free to install where it likes.
# shellcheck shell=bash

version() { package_version python3.11; }

fill() {
  rootfs "$1" python3 python3-pip ca-certificates tzdata
  rm -f "$1/usr/lib/python3.11/EXTERNALLY-MANAGED"
  install -d "$1/usr/local/bin"
  ln -sf /usr/bin/python3 "$1/usr/local/bin/python"
  ln -sf /usr/bin/python3 "$1/usr/local/bin/python3"
  trust "$1"
}

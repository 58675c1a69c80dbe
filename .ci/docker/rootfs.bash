# rootfs.bash makes small root file systems out of Debian packages; the recipes use it.
#
# Packages are resolved as if nothing were installed, downloaded with the machine's own sources
# and unpacked: this machine's own packages stay as they are, and no maintainer script runs.
# shellcheck shell=bash

# What only maintainer scripts, terminals and manuals need, and what no recipe wants.
unwanted='^(adduser|debconf|dpkg|init-system-helpers|lsb-base|passwd|perl.*|libperl.*|lib.*-perl
|sensible-utils|sysvinit-utils|ucf|usrmerge|gcc-12-base|libpam-modules.*|libsemanage.*|libsepol.*
|libaudit-common|libc-l10n|locales|tar|readline-common|ssl-cert|libllvm.*|libz3-.*
|postgresql-common|postgresql-client-common|netbase|mawk)$'
unwanted=${unwanted//$'\n'/}

open_work() {
  if [[ $EUID != 0 ]] || ! command -v apt-get >/dev/null; then
    echo "images: stand-ins are built from Debian packages, by root: pull the images instead" >&2
    exit 1
  fi
  work=$(mktemp -d "${TMPDIR:-/tmp}/faultline-images.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  mkdir "$work/debs"
  : >"$work/status"
  quietly apt-get update
}

# quietly COMMAND...: its output is shown only when it fails.
quietly() {
  local log=$work/command.log
  if "$@" >"$log" 2>&1; then return 0; fi
  tail -n 20 "$log" >&2
  return 1
}

# apt_alone COMMAND...: apt-get that knows of no installed package and keeps no cache of that.
apt_alone() {
  apt-get -o "Dir::State::status=$work/status" -o Dir::Cache::pkgcache= \
    -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root "$@"
}

# unpack ROOT PACKAGE...: the packages and what they need, unpacked into ROOT.
unpack() {
  local root=$1 names
  shift
  names=$(apt_alone --simulate --no-install-recommends install "$@" |
    awk '$1 == "Inst" {print $2}' | grep -vE "$unwanted")
  merge_usr "$root"
  # shellcheck disable=SC2086 # names is a list
  (cd "$work/debs" && quietly apt_alone download $names)
  local name deb
  for name in $names; do
    for deb in "$work/debs/${name}_"*.deb; do
      dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink \
        --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' \
        --exclude='./usr/share/locale/*' --exclude='./usr/share/info/*' \
        --exclude='./usr/share/lintian/*' --exclude='./usr/share/bash-completion/*'
    done
  done
}

# merge_usr ROOT: the links that Debian's packages expect before they are unpacked.
merge_usr() {
  local name
  for name in bin sbin lib lib64; do
    mkdir -p "$1/usr/$name"
    [[ -L $1/$name ]] || ln -s "usr/$name" "$1/$name"
  done
  mkdir -p "$1/run" "$1/var"
  [[ -L $1/var/run ]] || ln -s ../run "$1/var/run"
}

# rootfs ROOT PACKAGE...: a system with a shell, users root and nobody, and the packages.
rootfs() {
  local root=$1
  shift
  unpack "$root" base-files bash dash coreutils util-linux libc-bin sed grep findutils "$@"
  ln -sf dash "$root/usr/bin/sh"
  mkdir -p "$root"/{dev,etc,proc,root,sys,tmp,var/tmp}
  chmod 1777 "$root/tmp" "$root/var/tmp"
  printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534::/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\ntty:x:5:\n' >"$root/etc/group"
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
  ldconfig -r "$root"
}

# user ROOT NAME ID HOME: a user and a group of that name and number.
user() {
  printf '%s:x:%d:%d::%s:/bin/bash\n' "$2" "$3" "$3" "$4" >>"$1/etc/passwd"
  printf '%s:x:%d:\n' "$2" "$3" >>"$1/etc/group"
  install -d -o "$3" -g "$3" "$1$4"
}

# entry FILE ROOT PATH: the recipe's own script, executable inside.
entry() { install -D -m 755 "$1" "$2$3"; }

# package_version NAME: what apt would install, without epoch and Debian's own revision.
package_version() {
  apt-cache policy "$1" | awk '$1 == "Candidate:" {print $2}' | sed 's/^[0-9]*://; s/[-~+].*//'
}

# trust ROOT: this machine's certificates and its settings for pip, so that pip works inside too.
trust() {
  local file
  for file in /etc/ssl/certs/ca-certificates.crt /etc/pip.conf; do
    if [[ -f $file ]]; then install -D -m 644 "$file" "$1$file"; fi
  done
}

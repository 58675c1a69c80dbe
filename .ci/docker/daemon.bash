# daemon.bash finds, installs, starts and stops the Docker daemon; up and down source it.
#
# A daemon that answers is used as it is. One that lives but does not answer yet is waited for: a
# second beside it could take its bridge down. Only where there is none is Docker installed from
# the distribution and started, in a session of its own, with pid and log in $state.
# shellcheck shell=bash

state=${FAULTLINE_DOCKER_STATE:-${TMPDIR:-/tmp}/faultline-docker}
patience_s=60

say() { printf 'docker: %s\n' "$*" >&2; }

# no_daemon REASON... ends the caller with 2: no daemon can be had on this machine.
no_daemon() {
  say "no daemon: $*"
  exit 2
}

limited=(env) # a laptop may have no timeout, and a socket that nobody serves any more can hang
if command -v timeout >/dev/null; then limited=(timeout 10); fi

daemon_answers() { "${limited[@]}" docker version --format '{{.Server.Version}}' &>/dev/null; }

# living_daemon prints the process id of a dockerd that runs here, else it is false.
living_daemon() {
  local comm name
  for comm in /proc/[0-9]*/comm; do
    name=
    { read -r name <"$comm"; } 2>/dev/null || true
    [[ $name == dockerd ]] || continue
    comm=${comm%/comm}
    printf '%s\n' "${comm#/proc/}"
    return 0
  done
  return 1
}

open_state() {
  mkdir -p "$state" && chmod 700 "$state"
  [[ -O $state ]] || no_daemon "$state belongs to somebody else: set FAULTLINE_DOCKER_STATE"
}

ensure_daemon() {
  if daemon_answers; then return; fi
  [[ -z ${DOCKER_HOST:-} ]] || no_daemon "DOCKER_HOST=$DOCKER_HOST does not answer"
  if [[ $EUID != 0 ]]; then
    no_daemon "none answers user $(id -un), and only root can start one:" \
      "start Docker, or join the group docker"
  fi
  local pid
  if pid=$(living_daemon); then
    say "waiting for the daemon that lives, process $pid"
    await_daemon "$pid" /dev/null
    return
  fi
  install_docker
  adopt_or_start
}

install_docker() {
  if command -v dockerd >/dev/null && command -v docker >/dev/null; then return; fi
  command -v apt-get >/dev/null || no_daemon "there is no dockerd and no apt-get: install Docker"
  say "installing Docker from the distribution; its log is $state/install.log"
  local log=$state/install.log
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
    --no-install-recommends docker.io iptables; } >"$log" 2>&1 9>&-; then
    tail -n 5 "$log" >&2
    no_daemon "apt-get cannot install docker.io and iptables"
  fi
}

# adopt_or_start takes over the daemon that installing the package started, or starts one.
adopt_or_start() {
  local pid log=$state/dockerd.log
  if pid=$(living_daemon); then
    await_daemon "$pid" /dev/null
    if [[ -d /run/systemd/system ]]; then return; fi # systemd owns it
    printf '%s\n' "$pid" >"$state/pid"
    return
  fi
  setsid dockerd >"$log" 2>&1 </dev/null 9>&- &
  pid=$!
  printf '%s\n' "$pid" >"$state/pid"
  await_daemon "$pid" "$log"
  say "started dockerd, process $pid; its log is $log"
}

# await_daemon PID LOG returns once the daemon answers, and gives up when it dies first.
await_daemon() {
  local pid=$1 log=$2 until_s=$((SECONDS + patience_s))
  until daemon_answers; do
    if ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$log" >&2
      no_daemon "dockerd ended as it started: $(tail -n 1 "$log")"
    fi
    if ((SECONDS >= until_s)); then
      tail -n 20 "$log" >&2
      no_daemon "dockerd, process $pid, does not answer within ${patience_s} s"
    fi
    sleep 0.2
  done
}

# started_here is true when the daemon that runs is one that up started.
started_here() { [[ -f $state/pid && $(living_daemon) == "$(<"$state/pid")" ]]; }

# stop_daemon ends the daemon that up started; it leaves every other alone.
stop_daemon() {
  started_here || return 0
  local pid until_s=$((SECONDS + patience_s))
  pid=$(<"$state/pid")
  say "stopping dockerd, process $pid"
  kill -TERM "$pid"
  while kill -0 "$pid" 2>/dev/null; do
    if ((SECONDS >= until_s)); then
      say "dockerd, process $pid, does not end within ${patience_s} s"
      return 1
    fi
    sleep 0.2
  done
  rm -rf "$state"
}

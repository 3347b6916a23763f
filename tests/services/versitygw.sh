#!/usr/bin/env bash
# One real S3 service with Object Lock (versitygw) on 127.0.0.1: no Docker, no root. `versitygw.sh help` prints the verbs.
# It is built once by the Go module proxy (go.sh) and kept in the cache directory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=github.com/versity/versitygw/cmd/versitygw@v1.8.0
start_seconds=${VERSITYGW_START_SECONDS:-30}
port_tries=5

usage() {
  cat <<USAGE
usage: versitygw.sh VERB …
  install            build $program once
  start DIR [PORT]   start the service of DIR; prints S3_ENDPOINT=http://127.0.0.1:P PID=n
  stop DIR           TERM, then KILL
  kill DIR           SIGKILL; \`start DIR\` brings it back with its data and port
Its keys are the lines of DIR/credentials. exit codes: 0 done, 1 failed, 2 usage, 3 not available (no Go, no Python)
USAGE
}

say() { printf 'versitygw.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
misuse() { say "$*"; usage >&2; exit 2; }

install() {
  local status=0
  bin=$("$here/go.sh" build "$program") || status=$?
  if [ "$status" != 0 ]; then
    say "not available: $program cannot be built here"
    exit "$([ "$status" = 3 ] && echo 3 || echo 1)"
  fi
}

enter_dir() {
  dir=$1
  [ -d "$dir" ] || [ "${2-}" != existing ] || fail "no such directory: $dir"
  # Three directories, none of which is a prefix of another: versitygw asks for that.
  mkdir -p "$dir/objects" "$dir/versions" "$dir/metadata"
  dir=$(cd "$dir" && pwd -P)
}

# The live service of $dir, or nothing. The command line is compared, because a pid is used again.
service_pid() {
  local pid
  pid=$(cat "$dir/service.pid" 2>/dev/null) || return 0
  if { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF "$dir/objects"; then echo "$pid"; fi
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below Linux's ephemeral range: no outgoing connection takes the port of a service that is down for a moment.
free_port() {
  local port
  while :; do
    port=$((12000 + RANDOM % 18000))
    if ! taken "$port"; then echo "$port"; return; fi
  done
}

# Any answer in HTTP comes from a service that serves.
answers() {
  # shellcheck disable=SC2016 # $0 is the inner shell's
  timeout 2 bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$0"
    printf "GET / HTTP/1.0\r\n\r\n" >&3
    [ "$(head -c 5 <&3)" = HTTP/ ]' "$1" 2>/dev/null
}

credentials() {
  [ -e "$dir/credentials" ] && return
  (
    umask 077
    printf 'aws_access_key_id = test%s\naws_secret_access_key = %s\n' "$(head -c 6 /dev/urandom | od -An -tx1 | tr -d ' \n')" \
      "$(head -c 20 /dev/urandom | od -An -tx1 | tr -d ' \n')" >"$dir/credentials"
  )
}

value() { sed -n "s/^$1 = //p" "$dir/credentials"; }

# Launches and waits until it answers. 0: up; 1: failed.
launch() {
  local port=$1 pid deadline
  # Its own session and no descriptor of ours but the log: the service outlives this script and its caller's pipes.
  ROOT_ACCESS_KEY=$(value aws_access_key_id) ROOT_SECRET_KEY=$(value aws_secret_access_key) \
    setsid "$bin/versitygw" --port "127.0.0.1:$port" posix --versioning-dir "$dir/versions" --sidecar "$dir/metadata" \
    "$dir/objects" </dev/null >>"$dir/service.log" 2>&1 9>&- &
  pid=$!
  disown "$pid"
  echo "$pid" >"$dir/service.pid"
  deadline=$((SECONDS + start_seconds))
  while [ "$SECONDS" -lt "$deadline" ]; do
    if ! kill -0 "$pid" 2>/dev/null; then break; fi
    if answers "$port"; then return 0; fi
    sleep 0.1
  done
  tail -n 20 "$dir/service.log" >&2
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$dir/service.pid"
  return 1
}

start_locked() {
  local port=$1 pid tries
  pid=$(service_pid)
  if [ -z "$pid" ]; then
    credentials
    for ((tries = 1; ; tries++)); do
      [ -e "$dir/port" ] || echo "${port:-$(free_port)}" >"$dir/port"
      if launch "$(cat "$dir/port")"; then break; fi
      # A port that was given, or that clients know already, is kept.
      if [ -n "$port" ] || [ -e "$dir/started" ] || [ "$tries" = "$port_tries" ]; then
        fail "the service did not start; its log: $dir/service.log"
      fi
      rm -f "$dir/port"
    done
    touch "$dir/started"
    pid=$(service_pid)
  fi
  echo "S3_ENDPOINT=http://127.0.0.1:$(cat "$dir/port") PID=$pid"
}

start() {
  case $# in 1 | 2) ;; *) misuse "start takes DIR and maybe PORT" ;; esac
  case ${2-} in *[!0-9]*) misuse "PORT is not a number: $2" ;; esac
  install
  enter_dir "$1"
  { flock 9; start_locked "${2-}"; } 9>"$dir/start.lock"
}

end() {
  local pid deadline
  enter_dir "$2" existing
  pid=$(service_pid)
  if [ -z "$pid" ]; then rm -f "$dir/service.pid"; return; fi
  kill "-$1" "$pid" 2>/dev/null || true
  deadline=$((SECONDS + 10))
  while [ -n "$(service_pid)" ]; do
    if [ "$SECONDS" -ge "$deadline" ]; then kill -KILL "$pid" 2>/dev/null || true; break; fi
    sleep 0.1
  done
  rm -f "$dir/service.pid"
}

verb=${1-help}
[ $# = 0 ] || shift
case $verb in
  install) install ;;
  start) start "$@" ;;
  stop) [ $# = 1 ] || misuse "stop takes DIR"; end TERM "$1" ;;
  kill) [ $# = 1 ] || misuse "kill takes DIR"; end KILL "$1" ;;
  help | -h | --help) usage ;;
  *) misuse "unknown verb: $verb" ;;
esac

#!/usr/bin/env bash
# One real S3 service with Object Lock (versitygw) on 127.0.0.1: no Docker, no root. `versitygw.sh help` prints the verbs.
# It is built once by the Go module proxy (go.sh) and kept in the cache directory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/services/process.sh
. "$here/process.sh"
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

# The live service of $dir, or nothing.
service_pid() { alive "$dir/service.pid" "$dir/objects"; }

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
  local port=$1 deadline
  ROOT_ACCESS_KEY=$(value aws_access_key_id) ROOT_SECRET_KEY=$(value aws_secret_access_key) \
    launch_process "$dir/service.pid" "$dir/service.log" "$bin/versitygw" --port "127.0.0.1:$port" posix \
    --versioning-dir "$dir/versions" --sidecar "$dir/metadata" "$dir/objects"
  deadline=$((SECONDS + start_seconds))
  while [ "$SECONDS" -lt "$deadline" ]; do
    if ! launched "$dir/service.pid"; then break; fi
    if answers "$port"; then return 0; fi
    sleep 0.1
  done
  tail -n 20 "$dir/service.log" >&2
  end_process "$dir/service.pid" "$dir/objects" KILL 0
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
  enter_dir "$2" existing
  end_process "$dir/service.pid" "$dir/objects" "$1" 10
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

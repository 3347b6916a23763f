#!/usr/bin/env bash
# A real MLflow server on 127.0.0.1, from PyPI, with a registry in SQLite.
# usage: mlflow.sh install            fetches the packages once
#        mlflow.sh start DIR [ROOT]   prints URL=http://127.0.0.1:P; ROOT: where clients put artefacts themselves, s3://…
#        mlflow.sh stop DIR
# exit codes: 0 done, 1 failed, 2 usage, 3 not available (no Python)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
package=mlflow==3.17.2
start_seconds=${MLFLOW_START_SECONDS:-120}

fail() { printf 'mlflow.sh: %s\n' "$*" >&2; exit 1; }
install() { "$here/venv.sh" mlflow "$package"; }

# The live server of $dir, or nothing. The command line is compared, because a pid is used again.
alive() {
  local pid
  pid=$(cat "$dir/mlflow.pid" 2>/dev/null) || return 0
  if { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF "$dir"; then echo "$pid"; fi
}

# Below Linux's ephemeral range: no outgoing connection takes the port.
free_port() {
  local port
  while :; do
    port=$((12000 + RANDOM % 18000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then echo "$port"; return; fi
  done
}

start() {
  local bin port deadline store
  bin=$(install)
  mkdir -p "$1"
  dir=$(cd "$1" && pwd -P)
  port=$(free_port)
  store=(--artifacts-destination "$dir/artifacts")
  [ -z "${2-}" ] || store=(--default-artifact-root "$2" --no-serve-artifacts)
  # Its own session and process group, so that its workers end with it.
  # Webhooks to a test's own plain address on this machine, known at once.
  MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_') \
    MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true MLFLOW_WEBHOOK_CACHE_TTL=1 \
    MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true setsid "$bin/python" "$bin/mlflow" server --host 127.0.0.1 --port "$port" \
    --workers 1 --backend-store-uri "sqlite:///$dir/mlflow.db" "${store[@]}" \
    </dev/null >>"$dir/mlflow.log" 2>&1 &
  echo $! >"$dir/mlflow.pid"
  disown
  deadline=$((SECONDS + start_seconds))
  # By pid alone: for a moment after the fork its command line is still this script's.
  while [ "$SECONDS" -lt "$deadline" ] && kill -0 "$(cat "$dir/mlflow.pid")" 2>/dev/null; do
    if [ "$(curl -s -m 2 "http://127.0.0.1:$port/health")" = OK ]; then
      echo "URL=http://127.0.0.1:$port"
      return
    fi
    sleep 0.5
  done
  tail -n 15 "$dir/mlflow.log" >&2
  stop "$dir"
  fail "the server did not answer within $start_seconds s"
}

stop() {
  dir=$(cd "$1" 2>/dev/null && pwd -P) || return 0
  local pid
  pid=$(alive)
  [ -n "$pid" ] || return 0
  kill -TERM -- "-$pid" 2>/dev/null || true
  local deadline=$((SECONDS + 10))
  while [ -n "$(alive)" ] && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
  kill -KILL -- "-$pid" 2>/dev/null || true
}

case ${1-}:$# in
  install:1) install >/dev/null ;;
  start:2 | start:3) start "$2" "${3-}" ;;
  stop:2) stop "$2" ;;
  *) sed -n '3,5s/^# //p' "$0" >&2; exit 2 ;;
esac

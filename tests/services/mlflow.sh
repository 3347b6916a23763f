#!/usr/bin/env bash
# A real MLflow server on 127.0.0.1, from PyPI, with a registry in SQLite.
# usage: mlflow.sh install            fetches the packages once
#        mlflow.sh start DIR [ROOT]   prints URL=http://127.0.0.1:P; ROOT: where clients put artefacts themselves, s3://…
#        mlflow.sh stop DIR
# exit codes: 0 done, 1 failed, 2 usage, 3 not available (no Python)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/services/process.sh
. "$here/process.sh"
package=mlflow==3.17.2
start_seconds=${MLFLOW_START_SECONDS:-120}

fail() { printf 'mlflow.sh: %s\n' "$*" >&2; exit 1; }
install() { "$here/venv.sh" mlflow "$package"; }

start() {
  local bin port deadline store
  bin=$(install)
  mkdir -p "$1"
  dir=$(cd "$1" && pwd -P)
  port=$(free_port)
  store=(--artifacts-destination "$dir/artifacts")
  [ -z "${2-}" ] || store=(--default-artifact-root "$2" --no-serve-artifacts)
  # Webhooks to a test's own plain address on this machine, known at once. No jobs: eight more processes, which judge
  # answers of language models and take as much processor time as everything else that a server does for a test.
  MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=$(head -c 32 /dev/urandom | base64 | tr '+/' '-_') \
    MLFLOW_WEBHOOK_ALLOWED_SCHEMES=http MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS=true MLFLOW_WEBHOOK_CACHE_TTL=1 \
    MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false launch_process "$dir/mlflow.pid" "$dir/mlflow.log" \
    "$bin/python" "$bin/mlflow" server --host 127.0.0.1 --port "$port" \
    --workers 1 --backend-store-uri "sqlite:///$dir/mlflow.db" "${store[@]}"
  deadline=$((SECONDS + start_seconds))
  while [ "$SECONDS" -lt "$deadline" ] && launched "$dir/mlflow.pid"; do
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
  end_process "$dir/mlflow.pid" "$dir" TERM 10
}

case ${1-}:$# in
  install:1) install >/dev/null ;;
  start:2 | start:3) start "$2" "${3-}" ;;
  stop:2) stop "$2" ;;
  *) sed -n '3,5s/^# //p' "$0" >&2; exit 2 ;;
esac

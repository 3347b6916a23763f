#!/usr/bin/env bash
# All tests, on a real Kafka too. Every part runs; the exit code is 1 if any failed. Arguments go to `cargo test`.
#   KAFKA_BOOTSTRAP=HOST:PORT  use this broker, and start none
#   S3_ENDPOINT=URL, S3_CREDENTIALS=FILE  use this S3 service, and start none
#   REQUIRE_SERVICES=1         what would be skipped fails
# For the tests: KAFKA_BOOTSTRAP, and KAFKA_CONTROL (kafka.sh), by which they start, stop and kill brokers of their own.
set -euo pipefail

services=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$services/../.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/promotion-ledger/target}
# Most tests wait for a disk, a broker or a clock: with three for each core the cores are nearly always busy.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((3 * $(nproc)))}
# Brokers that live for seconds: the second compiler takes as much processor time as all that they do (4.2 s to be up, without it 2.5).
export KAFKA_JVM_PERFORMANCE_OPTS=${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1}
# Pinned: what the second computation of the test vectors imports.
vector_packages=(blake3==1.0.11 cryptography==50.0.2)
check=tests/vectors/check.py
# Pinned: the second verifier of bundles, and the field's own tools that read an attestation.
auditor_packages=(blake3==1.0.11 cryptography==50.0.2 in-toto==3.1.0 securesystemslib==1.6.0 in-toto-attestation==0.9.3 protobuf==7.36.2)
# Pinned: the plain consumer of python/read_topic.py.
consumer_packages=(confluent-kafka==2.16.1)
# Pinned: building, typing and testing the Python client, and the sources that its helpers freeze.
client_packages=(build==1.6.1 setuptools==84.2.1 wheel==0.48.0 grpcio==1.85.3 grpcio-tools==1.85.1 protobuf==7.36.2 mypy==2.4.1 pytest==9.2.0
  cryptography==50.0.2 mlflow==3.17.2 shap==0.51.0 matplotlib==3.11.2 plotly==5.24.1 kaleido==0.2.1 deltalake==1.6.6
  pyiceberg==0.12.0 sqlalchemy==2.1.9 ocsf-json-schema==1.2.0 jsonschema==4.26.0)

work=$(mktemp -d "${TMPDIR:-/tmp}/promotion-ledger-tests.XXXXXX")
failed=0
summary=()

# shellcheck disable=SC2317 # called by the trap
finish() {
  local status=$?
  local name
  for name in kafka mlflow kubernetes keycloak versitygw; do
    if [ -d "$work/$name" ]; then "$services/$name.sh" stop "$work/$name" || true; fi
  done
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

part() {
  summary+=("$(printf '  %-12s %s' "$1" "$2")")
  case $2 in FAILED*) failed=1 ;; esac
}

# A part that can't run here: said loudly, and a failure where everything must run.
skip() {
  local name=$1 what=$2 reason=$3 verdict=SKIPPED
  if [ "${REQUIRE_SERVICES-}" = 1 ]; then verdict=FAILED; fi
  {
    printf '\n%s\n' '********************************************************************************'
    printf '**  %s: %s\n' "$verdict" "$what"
    printf '**  Reason: %s\n' "$reason"
    if [ "$verdict" = FAILED ]; then printf '**  REQUIRE_SERVICES=1 turns this skip into a failure.\n'; fi
    printf '%s\n\n' '********************************************************************************'
  } >&2
  part "$name" "$verdict ($reason)"
}

# The reason that a script of ours gave, without its own name.
reason_in() { tail -n 1 "$1" | sed 's/^[a-z]*\.sh: //; s/^not available: //'; }

# Starts a service in its own directory of $work; the line that its script prints is in `line`. 1: said why there is none.
service() {
  local name=$1 what=$2
  if ! "$services/$name.sh" install 2>&1 | tee "$work/install.log" >&2; then
    skip "$name" "$what" "$(reason_in "$work/install.log")"
    return 1
  fi
  if ! line=$("$services/$name.sh" start "$work/$name"); then
    part "$name" "FAILED (it did not start)"
    return 1
  fi
  part "$name" "started: $(said "${3-URL}")"
}

# A value of `line`.
said() { tr ' ' '\n' <<<"$line" | sed -n "s/^$1=//p"; }

# A Python environment of a name with packages; its directory is in `bin`. 1: said why there is none.
environment() {
  local name=$1 what=$2 status=0
  bin=$("$services/venv.sh" "$name" "${@:3}" 2>"$work/venv.log") || status=$?
  [ "$status" != 0 ] || return 0
  cat "$work/venv.log" >&2
  skip "$name" "$what" "$(reason_in "$work/venv.log")"
  return 1
}

kafka() {
  if [ -n "${KAFKA_BOOTSTRAP-}" ]; then
    part kafka "given: $KAFKA_BOOTSTRAP"
    return
  fi
  # Nobody kills this one; where everything is busy it may stand still for seconds, and all tests with it.
  KAFKA_SESSION_MS=9000 service kafka "every test on a real Kafka" BOOTSTRAP || return 0
  KAFKA_BOOTSTRAP=$(said BOOTSTRAP)
  export KAFKA_BOOTSTRAP KAFKA_CONTROL=$services/kafka.sh
}

# A kube-apiserver with etcd, as KUBERNETES_URL, KUBERNETES_TOKEN and KUBERNETES_CRD.
kubernetes() {
  service kubernetes "every test on a real Kubernetes API" || return 0
  KUBERNETES_URL=$(said URL) KUBERNETES_TOKEN=$(said TOKEN) KUBERNETES_CRD=$(said CRD)
  export KUBERNETES_URL KUBERNETES_TOKEN KUBERNETES_CRD
}

# An MLflow server, as MLFLOW_URL.
mlflow() {
  service mlflow "every test on a real MLflow" || return 0
  MLFLOW_URL=$(said URL)
  export MLFLOW_URL
}

# A Keycloak with a realm of people, as KEYCLOAK_URL; its tests drive a Chromium.
keycloak() {
  local what="every test with people at a real Keycloak in a real browser"
  if ! command -v chromedriver >/dev/null || ! command -v chromium >/dev/null; then
    skip keycloak "$what" "no chromium or chromedriver; tests/services/deps.sh browser installs them"
    return
  fi
  service keycloak "$what" || return 0
  KEYCLOAK_URL=$(said URL)
  export KEYCLOAK_URL
}

# An S3 service with Object Lock.
s3() {
  if [ -n "${S3_ENDPOINT-}" ]; then
    part versitygw "given: $S3_ENDPOINT"
    return
  fi
  service versitygw "every test on a real S3 service" S3_ENDPOINT || return 0
  S3_ENDPOINT=$(said S3_ENDPOINT)
  export S3_ENDPOINT S3_CREDENTIALS=$work/versitygw/credentials
}

# A Python that can run python/read_topic.py, as KAFKA_PYTHON.
consumer() {
  [ -n "${KAFKA_BOOTSTRAP-}" ] || return 0
  environment consumer "the plain Python consumer of the topic" "${consumer_packages[@]}" || return 0
  export KAFKA_PYTHON=$bin/python
  part consumer "$("$KAFKA_PYTHON" --version)"
}

# Transparency-log programs of others, as TLOG_CLIENTS.
clients() {
  local status=0
  TLOG_CLIENTS=$("$services/go.sh" clients 2>"$work/go.log") || status=$?
  if [ "$status" != 0 ]; then
    cat "$work/go.log" >&2
    skip clients "the unmodified transparency-log clients" "$(reason_in "$work/go.log")"
    unset TLOG_CLIENTS
    return
  fi
  export TLOG_CLIENTS
  part clients "fsck, omniwitness, tlog-client in $TLOG_CLIENTS"
}

# A Python that can run python/verify_bundle.py and tests/clients/python, as AUDITOR_PYTHON.
auditor() {
  environment auditor "the second verifier of bundles" "${auditor_packages[@]}" || return 0
  export AUDITOR_PYTHON=$bin/python
  part auditor "$("$AUDITOR_PYTHON" --version)"
}

# Compiles while the services start: the build without a node, of which a copy is kept, since the node's own takes its
# place, and then all tests. What does not compile says so again where it counts.
compile() {
  cargo build --locked --no-default-features && cp "$CARGO_TARGET_DIR/debug/promotion-ledger" "$work/verify-only"
  cargo test --locked --no-run "$@"
}

# The build without a node, as VERIFY_ONLY.
verify_only() {
  if [ -x "$work/verify-only" ]; then
    export VERIFY_ONLY=$work/verify-only
    part verify-only ok
  else
    cat "$work/compile.log" >&2
    part verify-only "FAILED (it does not build)"
  fi
}

rust() {
  if cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$work/cargo-test.log"; then
    part "cargo test" ok
  else
    part "cargo test" FAILED
    if [ -s "$work/kafka/broker.log" ]; then
      echo "--- the broker's last lines" >&2
      tail -n 20 "$work/kafka/broker.log" >&2
    fi
  fi
}

vectors() {
  local what="the second computation of the test vectors"
  if [ ! -e "$check" ]; then
    skip vectors "$what" "$check does not exist"
    return
  fi
  environment vectors "$what" "${vector_packages[@]}" || return 0
  if "$bin/python" "$check"; then
    part vectors ok
  else
    part vectors FAILED
  fi
}

# The Python client: its wheel, its types, and its tests on a real node and a real MLflow. It runs beside the Rust tests.
python_client() {
  environment client "the Python client" "${client_packages[@]}" || return 0
  mkdir "$work/client"
  cp -r python proto "$work/client/"
  (
    set -e
    root=$PWD
    cd "$work/client/python"
    "$bin/python" -m build --wheel --no-isolation --outdir "$work/wheel" . >"$work/wheel.log" 2>&1 || { cat "$work/wheel.log"; exit 1; }
    "$bin/python" -m pip install --quiet --no-deps --target "$work/site" "$work"/wheel/*.whl
    # What it knows of other packages' types: nearly all that it reads.
    "$bin/python" -m mypy --cache-dir "${XDG_CACHE_HOME:-$HOME/.cache}/promotion-ledger/mypy"
    # Away from the sources: `python -m` looks into the directory that it is started in first, and what is tested is the wheel.
    cd "$work/wheel"
    LEDGER_UNDER_TEST=$CARGO_TARGET_DIR/debug/promotion-ledger CREDIT_EXAMPLE=$root/examples/credit PYTHONPATH=$work/site \
      "$bin/python" -m pytest -q -p no:cacheprovider "$work/client/python/tests"
  ) >"$work/client.log" 2>&1 &
  client=$!
}

python_client_said() {
  [ -n "${client-}" ] || return 0
  if wait "$client"; then
    part client ok
  else
    part client FAILED
  fi
  cat "$work/client.log" >&2
}

compile "$@" >"$work/compile.log" 2>&1 &
compiling=$!
kafka
s3
consumer
clients
auditor
kubernetes
mlflow
keycloak
echo "compiling the tests" >&2
wait "$compiling" || true
verify_only
python_client
rust "$@"
vectors
python_client_said

echo
echo "run-tests.sh:"
printf '%s\n' "${summary[@]}"
awk '/^test result:/ { n++; passed += $4; failed += $6; ignored += $8 }
  END { if (n) printf "total: %d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$work/cargo-test.log"
exit "$failed"

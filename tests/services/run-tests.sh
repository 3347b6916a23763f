#!/usr/bin/env bash
# All tests, on a real Kafka too. Every part runs; the exit code is 1 if any failed. Arguments go to `cargo test`.
#   KAFKA_BOOTSTRAP=HOST:PORT  use this broker, and start none
#   REQUIRE_SERVICES=1         what would be skipped fails
# For the tests: KAFKA_BOOTSTRAP; and for a broker of our own KAFKA_DIR and KAFKA_CONTROL (kafka.sh), so that a
# test can run `$KAFKA_CONTROL kill "$KAFKA_DIR"` and `$KAFKA_CONTROL start "$KAFKA_DIR"`.
set -euo pipefail

services=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$services/../.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/promotion-ledger/target}
# Pinned: what the second computation of the test vectors imports.
vector_packages=(blake3==1.0.11 cryptography==50.0.2)
check=tests/vectors/check.py
# Pinned: the plain consumer of python/read_topic.py.
consumer_packages=(confluent-kafka==2.16.1)

work=$(mktemp -d "${TMPDIR:-/tmp}/promotion-ledger-tests.XXXXXX")
failed=0
summary=()

# shellcheck disable=SC2317 # called by the trap
finish() {
  local status=$?
  if [ -e "$work/kafka/server.properties" ]; then "$services/kafka.sh" stop "$work/kafka" || true; fi
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

kafka() {
  if [ -n "${KAFKA_BOOTSTRAP-}" ]; then
    part kafka "given: $KAFKA_BOOTSTRAP"
    return
  fi
  local line
  if ! "$services/kafka.sh" install 2>&1 | tee "$work/install.log" >&2; then
    skip kafka "every test on a real Kafka" "$(reason_in "$work/install.log")"
    return
  fi
  if ! line=$("$services/kafka.sh" start "$work/kafka"); then
    part kafka "FAILED (the broker did not start)"
    return
  fi
  KAFKA_BOOTSTRAP=${line#BOOTSTRAP=}
  KAFKA_BOOTSTRAP=${KAFKA_BOOTSTRAP%% *}
  export KAFKA_BOOTSTRAP KAFKA_DIR=$work/kafka KAFKA_CONTROL=$services/kafka.sh
  part kafka "started: $KAFKA_BOOTSTRAP"
}

# A Python that can run python/read_topic.py, as KAFKA_PYTHON.
consumer() {
  local bin status=0
  [ -n "${KAFKA_BOOTSTRAP-}" ] || return 0
  bin=$("$services/venv.sh" consumer "${consumer_packages[@]}" 2>"$work/venv.log") || status=$?
  if [ "$status" != 0 ]; then
    cat "$work/venv.log" >&2
    skip consumer "the plain Python consumer of the topic" "$(reason_in "$work/venv.log")"
    return
  fi
  export KAFKA_PYTHON=$bin/python
  part consumer "$("$KAFKA_PYTHON" --version)"
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
  local what="the second computation of the test vectors" bin status=0
  if [ ! -e "$check" ]; then
    skip vectors "$what" "$check does not exist"
    return
  fi
  bin=$("$services/venv.sh" vectors "${vector_packages[@]}" 2>"$work/venv.log") || status=$?
  if [ "$status" != 0 ]; then
    cat "$work/venv.log" >&2
    skip vectors "$what" "$(reason_in "$work/venv.log")"
  elif "$bin/python" "$check"; then
    part vectors ok
  else
    part vectors FAILED
  fi
}

kafka
consumer
rust "$@"
vectors

echo
echo "run-tests.sh:"
printf '%s\n' "${summary[@]}"
awk '/^test result:/ { n++; passed += $4; failed += $6; ignored += $8 }
  END { if (n) printf "total: %d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$work/cargo-test.log"
exit "$failed"

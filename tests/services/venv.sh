#!/usr/bin/env bash
# A Python environment with pinned packages in the cache directory, made once; prints its bin directory.
# usage: venv.sh NAME PACKAGE==VERSION…       exit codes: 0 there, 1 failed, 2 usage, 3 not available (no Python)
set -euo pipefail

[ $# -ge 2 ] || { echo "usage: venv.sh NAME PACKAGE==VERSION…" >&2; exit 2; }
name=$1
shift
cache=${XDG_CACHE_HOME:-$HOME/.cache}/promotion-ledger
venv=$cache/venv-$name

command -v python3 >/dev/null || { echo "venv.sh: not available: no python3 (Debian: python3)" >&2; exit 3; }
python3 -c 'import ensurepip, venv' 2>/dev/null ||
  { echo "venv.sh: not available: python3 can't make environments (Debian: python3-venv)" >&2; exit 3; }

# Complete only for these packages under this Python.
content=$(printf '%s\n' "$(python3 --version)" "$@")
complete() { [ "$(cat "$venv/.complete" 2>/dev/null)" = "$content" ] && "$venv/bin/python" -c '' 2>/dev/null; }

mkdir -p "$cache"
exec 9>"$cache/venv-$name.lock"
flock 9
if ! complete; then
  {
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$@"
  } >&2 9>&-
  printf '%s\n' "$content" >"$venv/.complete"
fi
echo "$venv/bin"

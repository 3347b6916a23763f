#!/usr/bin/env bash
# A real Keycloak on 127.0.0.1, from Maven Central, with the realm of keycloak/realm.json: no Docker.
# usage: keycloak.sh install          fetches the distribution once
#        keycloak.sh start DIR        prints URL=http://127.0.0.1:P (the realm is at URL/realms/bank)
#        keycloak.sh stop DIR
# exit codes: 0 done, 1 failed, 2 usage, 3 not available (no Java, no Maven)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/services/process.sh
. "$here/process.sh"
version=26.4.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/promotion-ledger
home=$cache/keycloak-$version
start_seconds=${KEYCLOAK_START_SECONDS:-180}

fail() { printf 'keycloak.sh: %s\n' "$*" >&2; exit 1; }
unavailable() { printf 'keycloak.sh: not available: %s\n' "$*" >&2; exit 3; }

# Under a lock, and complete or absent, because of the rename. What the first start of a distribution makes of its settings
# (Quarkus' augmentation, half of what a start takes) is made here once, and copied.
install() {
  command -v "${JAVA_HOME:+$JAVA_HOME/bin/}java" >/dev/null || unavailable "no java; Keycloak needs Java 17 or later"
  if [ -e "$home/.started" ]; then return; fi
  command -v mvn >/dev/null || unavailable "no mvn; Keycloak is fetched with Maven (Debian: maven)"
  mkdir -p "$cache"
  (
    flock 9
    if [ -e "$home/.started" ]; then exit 0; fi
    printf 'keycloak.sh: fetching Keycloak %s with Maven, once\n' "$version" >&2
    work=$(mktemp -d "$cache/keycloak.XXXXXX")
    trap 'stop "$work"; rm -rf "$work"' EXIT
    if ! mvn -q -B -Dstyle.color=never org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy \
      -Dartifact="org.keycloak:keycloak-quarkus-dist:$version:zip" -DoutputDirectory="$work" >"$work/mvn.log" 2>&1; then
      tail -n 20 "$work/mvn.log" >&2
      fail "Maven could not fetch Keycloak"
    fi
    python3 -m zipfile -e "$work/keycloak-quarkus-dist-$version.zip" "$work"
    mv "$work/keycloak-$version" "$work/server"
    launch "$work" >/dev/null
    stop "$work"
    rm -rf "$work/server/data"
    touch "$work/server/.started"
    rm -rf "$home"
    mv "$work/server" "$home"
  ) 9>"$cache/keycloak.lock"
}

start() {
  install
  mkdir -p "$1"
  dir=$(cd "$1" && pwd -P)
  [ -d "$dir/server" ] || cp -a "$home" "$dir/server"
  launch "$dir"
}

# Starts the server of a directory and waits until it answers.
launch() {
  local dir=$1 port deadline
  mkdir -p "$dir/server/data/import"
  cp "$here/keycloak/realm.json" "$dir/server/data/import/"
  port=$(free_port)
  # Administrator of a server of a minute, on loopback.
  KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD=admin JAVA_OPTS_APPEND="-Xmx512m -XX:TieredStopAtLevel=1" \
    launch_process "$dir/keycloak.pid" "$dir/keycloak.log" \
    bash "$dir/server/bin/kc.sh" start-dev --db dev-mem --http-host 127.0.0.1 --http-port "$port" --import-realm
  deadline=$((SECONDS + start_seconds))
  while [ "$SECONDS" -lt "$deadline" ] && launched "$dir/keycloak.pid"; do
    if curl -sf -m 5 "http://127.0.0.1:$port/realms/bank/.well-known/openid-configuration" >/dev/null; then
      echo "URL=http://127.0.0.1:$port"
      return
    fi
    sleep 0.5
  done
  tail -n 25 "$dir/keycloak.log" >&2
  stop "$dir"
  fail "the server did not answer within $start_seconds s"
}

stop() {
  dir=$(cd "$1" 2>/dev/null && pwd -P) || return 0
  end_process "$dir/keycloak.pid" "$dir" TERM 10
}

case ${1-}:$# in
  install:1) install ;;
  start:2) start "$2" ;;
  stop:2) stop "$2" ;;
  *) sed -n '3,5s/^# //p' "$0" >&2; exit 2 ;;
esac

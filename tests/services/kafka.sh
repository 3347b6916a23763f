#!/usr/bin/env bash
# Real Apache Kafka brokers (KRaft) on 127.0.0.1, from Maven packages: no Docker, no root, no download page.
# `kafka.sh help` prints the verbs. Needs Java 17 or later, and Maven once for `install`.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/services/process.sh
. "$here/process.sh"
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/kafka/pom.xml")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/promotion-ledger
libs=$cache/kafka-$version
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
start_seconds=${KAFKA_START_SECONDS:-90}
stop_seconds=${KAFKA_STOP_SECONDS:-30}
session_ms=${KAFKA_SESSION_MS:-3000}
port_tries=5
# How Java finds the archive of classes, once `install` has.
sharing=()

usage() {
  cat <<EOF
usage: kafka.sh VERB …
  install                                   copy Kafka $version's jars to $libs, and make an archive of its classes there
  start DIR [PORT]                          start the broker of DIR; prints BOOTSTRAP=127.0.0.1:P PID=n
  cluster DIR                               three brokers, in DIR/1 to DIR/3: start, stop and kill take each of them;
                                            prints BOOTSTRAP=127.0.0.1:P,127.0.0.1:P,127.0.0.1:P
  secure DIR                                as start, with a listener for TLS and SASL (SCRAM-SHA-512) beside the other;
                                            prints SECURE=127.0.0.1:P too; DIR/ca.pem, DIR/user and DIR/password open it
  stop DIR                                  TERM, then KILL after $stop_seconds s
  kill DIR                                  SIGKILL; \`start DIR\` brings it back with its data and ports
  topic BOOTSTRAP NAME [config=value…]      create a topic with one partition
  truncate BOOTSTRAP TOPIC OFFSET           delete the records before OFFSET
  delete-topic BOOTSTRAP NAME
  tool CLASS ARGS…                          any Kafka tool, for example org.apache.kafka.tools.ConsumerGroupCommand
exit codes: 0 done, 1 failed, 2 usage, 3 not available (Java or Maven is missing)
EOF
}

say() { printf 'kafka.sh: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
misuse() { say "$*"; usage >&2; exit 2; }
unavailable() { say "not available: $*"; exit 3; }

need_java() {
  command -v "$java" >/dev/null || unavailable "no java; Kafka needs Java 17 or later (Debian: openjdk-17-jre-headless)"
  local major
  java_version=$("$java" -version 2>&1)
  major=$(sed -n 's/.*version "\([0-9]*\).*/\1/p' <<<"$java_version" | head -n 1)
  [ "${major:-0}" -ge 17 ] || unavailable "java is version ${major:-unknown}; Kafka needs Java 17 or later"
}

# --- install ---------------------------------------------------------------------------------------------------

pom_sum() { cksum <"$here/kafka/pom.xml"; }

installed() { [ "$(cat "$libs/.complete" 2>/dev/null)" = "$(pom_sum)" ]; }

# The classes that a broker loads, as this Java lays them out in memory (class data sharing, JEP 350): half the processor time of
# a start. Java passes over an archive that it can't use.
install() {
  need_java
  archive=$libs/classes-$(cksum <<<"$java_version" | cut -d' ' -f1).jsa
  install_jars
  [ -e "$archive" ] || make_archive
  # Nothing is said of an archive that does not fit: a tool's output is read by others.
  if [ -e "$archive" ]; then sharing=("-XX:SharedArchiveFile=$archive" -Xlog:cds=off -Xlog:cds+dynamic=off); fi
}

# What a broker has loaded when it ends. Without an archive everything is only slower.
make_archive() {
  (
    flock 9
    if [ -e "$archive" ]; then exit 0; fi
    say "making an archive of the broker's classes, once"
    dir=$(mktemp -d "$cache/broker.XXXXXX")
    trap 'end_broker KILL 10; rm -rf "$dir"' EXIT
    made=$dir/classes.jsa
    # shellcheck disable=SC2030 # of this broker alone
    KAFKA_JVM_PERFORMANCE_OPTS="-XX:ArchiveClassesAtExit=$made"
    start_locked "" >/dev/null
    end_broker TERM "$stop_seconds"
    [ -e "$made" ] || { tail -n 20 "$dir/broker.log" >&2; fail "Java made no archive"; }
    mv "$made" "$archive"
  ) 9>"$cache/kafka.lock" || say "going on without an archive of the broker's classes"
}

# Under a lock, because Maven's local repository does not bear two writers; complete or absent, because of the rename.
install_jars() {
  if installed; then return; fi
  command -v mvn >/dev/null || unavailable "no mvn; Kafka's jars are fetched with Maven (Debian: maven)"
  mkdir -p "$cache"
  (
    flock 9
    if installed; then exit 0; fi
    say "fetching Kafka $version with Maven, once"
    work=$(mktemp -d "$cache/kafka.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    if ! mvn -q -B -Dstyle.color=never -f "$here/kafka/pom.xml" dependency:copy-dependencies \
      -DoutputDirectory="$work/libs" >"$work/mvn.log" 2>&1; then
      tail -n 20 "$work/mvn.log" >&2
      fail "Maven could not fetch Kafka's jars"
    fi
    [ -e "$work/libs/kafka_2.13-$version.jar" ] || fail "Maven ended well, but kafka_2.13-$version.jar is missing"
    pom_sum >"$work/libs/.complete"
    rm -rf "$libs"
    mv "$work/libs" "$libs"
  ) 9>"$cache/kafka.lock"
}

# --- one broker --------------------------------------------------------------------------------------------------

enter_dir() {
  dir=$1
  case $dir in *[,\\]*) misuse "a comma or a backslash in DIR would be read as a list or an escape: $dir" ;; esac
  [ -d "$dir" ] || [ "${2-}" != existing ] || fail "no such directory: $dir"
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd -P)
}

# The live broker of $dir, or nothing.
broker_pid() { alive "$dir/broker.pid" "$dir/server.properties"; }

property() { sed -n "s/^$1=//p" "$dir/server.properties"; }

broker_port() { property advertised.listeners | sed 's/.*://'; } # the last one is the plain one

# ApiVersions v0 over a bare socket, correlation id 1: an answer with that id comes from a broker that serves.
answers() {
  # shellcheck disable=SC2016 # $0 is the inner shell's
  timeout 2 bash -c '
    exec 3<>"/dev/tcp/127.0.0.1/$0"
    printf "\0\0\0\12\0\22\0\0\0\0\0\1\377\377" >&3
    [ "$(head -c 8 <&3 | tail -c 4 | od -An -tx1 | tr -d " \n")" = 00000001 ]' "$1" 2>/dev/null
}

# Broker $3 of a cluster whose controllers are $4, with $5 replicas of the internal topics.
write_properties() {
  local client=$1 controller=$2 id=${3:-1} voters=${4:-1@127.0.0.1:$2} replicas=${5:-1}
  cat >"$dir/server.properties" <<EOF
# Written by kafka.sh. For tests and development; topic settings are left to the topics.
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$client,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$client
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs=$dir/data
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
auto.create.topics.enable=false
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=$replicas
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A killed broker may register again only when its old session has ended: 9 s by default. One that stands still for longer is
# fenced, and its partitions are nowhere for some seconds.
broker.session.timeout.ms=$session_ms
broker.heartbeat.interval.ms=500
# A replica that hangs leaves the ones that must have each record after this time: 30 s by default.
replica.lag.time.max.ms=5000
EOF
}

# A second listener, for clients that show a password over TLS. The JDK's keytool makes the certificate; the user is
# made by `format`, in the cluster's own metadata.
write_secure_properties() {
  local secure=$1 store=$dir/keystore.p12 keytool=${JAVA_HOME:+$JAVA_HOME/bin/}keytool
  (
    umask 077
    cluster_id >"$dir/password"
    cluster_id >"$dir/keystore.password"
  )
  echo ledger >"$dir/user"
  rm -f "$store"
  "$keytool" -genkeypair -alias broker -keyalg EC -groupname secp256r1 -validity 365 -dname CN=127.0.0.1 \
    -ext san=ip:127.0.0.1 -keystore "$store" -storetype PKCS12 -storepass:file "$dir/keystore.password" 2>/dev/null ||
    fail "keytool made no certificate"
  "$keytool" -exportcert -rfc -alias broker -keystore "$store" -storepass:file "$dir/keystore.password" \
    >"$dir/ca.pem" 2>/dev/null || fail "keytool exported no certificate"
  sed -i "s,^listeners=,&SASL_SSL://127.0.0.1:$secure\,,; s,^advertised.listeners=,&SASL_SSL://127.0.0.1:$secure\,," \
    "$dir/server.properties"
  cat >>"$dir/server.properties" <<EOF
ssl.keystore.type=PKCS12
ssl.keystore.location=$store
ssl.keystore.password=$(cat "$dir/keystore.password")
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
EOF
}

secure_port() { property advertised.listeners | sed -n 's/^SASL_SSL:[^,]*:\([0-9]*\),.*/\1/p'; }

# 16 random bytes in URL-safe base64; a leading "-" would be read as an option.
cluster_id() {
  local id
  while :; do
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    case $id in -*) ;; *) echo "$id"; return ;; esac
  done
}

kafka_java() {
  "$java" ${sharing[@]+"${sharing[@]}"} -cp "$libs/*" -Dlog4j2.configurationFile="$here/kafka/log4j2.xml" "$@"
}

# A tool is a short-lived JVM: the simple collector and compiler start it faster.
kafka_tool() { kafka_java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "$@"; }

format() {
  local out scram=()
  if [ -e "$dir/user" ]; then
    scram=(--add-scram "SCRAM-SHA-512=[name=$(cat "$dir/user"),password=$(cat "$dir/password")]")
  fi
  out=$(kafka_tool kafka.tools.StorageTool format --ignore-formatted -t "${1:-$(cluster_id)}" \
    -c "$dir/server.properties" ${scram[@]+"${scram[@]}"} 2>&1) ||
    fail "formatting $dir failed: $out"
}

# Launches the JVM and waits until it answers. 0: up; 1: failed; 4: a port was taken.
launch() {
  local port log_from deadline
  port=$(broker_port)
  touch "$dir/broker.log"
  log_from=$(($(wc -c <"$dir/broker.log") + 1))
  # shellcheck disable=SC2086 # lists of options, by the names that Kafka's own scripts give them
  launch_process "$dir/broker.pid" "$dir/broker.log" "$java" ${KAFKA_HEAP_OPTS:--Xmx512m} \
    ${KAFKA_JVM_PERFORMANCE_OPTS-} ${sharing[@]+"${sharing[@]}"} -XX:+ExitOnOutOfMemoryError \
    -cp "$libs/*" -Dlog4j2.configurationFile="$here/kafka/log4j2.xml" kafka.Kafka "$dir/server.properties"
  deadline=$((SECONDS + start_seconds))
  while [ "$SECONDS" -lt "$deadline" ]; do
    if ! launched "$dir/broker.pid"; then
      rm -f "$dir/broker.pid"
      if tail -c "+$log_from" "$dir/broker.log" | grep -q 'Address already in use'; then return 4; fi
      tail -c "+$log_from" "$dir/broker.log" | tail -n 20 >&2
      say "the broker ended while starting; its log: $dir/broker.log"
      return 1
    fi
    if tail -c "+$log_from" "$dir/broker.log" | grep -q 'Kafka Server started' && answers "$port"; then return 0; fi
    sleep 0.2
  done
  tail -c "+$log_from" "$dir/broker.log" | tail -n 20 >&2
  say "the broker did not answer on 127.0.0.1:$port within $start_seconds s; its log: $dir/broker.log"
  end_broker KILL 0
  return 1
}

start_locked() {
  local port=$1 secure=${2-} pid status tries fresh=false
  pid=$(broker_pid)
  if [ ! -e "$dir/formatted" ]; then fresh=true; fi
  if ! $fresh && [ -n "$port" ] && [ "$port" != "$(broker_port)" ]; then
    fail "$dir belongs to port $(broker_port), and advertises it; it can't be started on $port"
  fi
  if [ -z "$pid" ]; then
    if [ -n "$port" ] && taken "$port"; then fail "port $port is taken"; fi
    if $fresh; then
      write_properties "${port:-$(free_port)}" "$(free_port)"
      if [ -n "$secure" ]; then write_secure_properties "$(free_port)"; fi
      format
      touch "$dir/formatted"
    fi
    for ((tries = 1; ; tries++)); do
      status=0
      launch || status=$?
      if [ "$status" = 0 ]; then break; fi
      if [ "$status" != 4 ]; then exit 1; fi
      if ! $fresh || [ "$tries" = "$port_tries" ]; then fail "a port of $dir is taken: $(property listeners)"; fi
      if [ -n "$secure" ]; then fail "a port of $dir is taken; start another directory"; fi
      write_properties "${port:-$(free_port)}" "$(free_port)"
    done
    pid=$(broker_pid)
  fi
  echo "BOOTSTRAP=127.0.0.1:$(broker_port) PID=$pid${secure:+ SECURE=127.0.0.1:$(secure_port)}"
}

start() {
  case $# in 1 | 2) ;; *) misuse "start takes DIR and maybe PORT" ;; esac
  case ${2-} in *[!0-9]*) misuse "PORT is not a number: $2" ;; esac
  install
  enter_dir "$1"
  { flock 9; start_locked "${2-}"; } 9>"$dir/start.lock"
}

secure() {
  [ $# = 1 ] || misuse "secure takes DIR"
  install
  enter_dir "$1"
  { flock 9; start_locked "" secure; } 9>"$dir/start.lock"
}

# Three brokers that are controllers too: any two of them go on without the third.
cluster() {
  [ $# = 1 ] || misuse "cluster takes DIR"
  install
  enter_dir "$1"
  local all=$dir id i voters="" controllers=() jobs=() bootstrap="" failed=false
  if [ ! -e "$all/formatted" ]; then
    id=$(cluster_id)
    for i in 1 2 3; do
      controllers[i]=$(free_port)
      voters=$voters${voters:+,}$i@127.0.0.1:${controllers[i]}
    done
    for i in 1 2 3; do
      dir=$all/$i
      mkdir -p "$dir"
      write_properties "$(free_port)" "${controllers[i]}" "$i" "$voters" 3
      format "$id"
      touch "$dir/formatted"
    done
    touch "$all/formatted"
  fi
  # Together: one alone has no majority, and does not answer.
  for i in 1 2 3; do
    "$here/kafka.sh" start "$all/$i" >"$all/$i/started" &
    jobs+=("$!")
  done
  for i in "${jobs[@]}"; do wait "$i" || failed=true; done
  if $failed; then
    for i in 1 2 3; do "$here/kafka.sh" stop "$all/$i" || true; done
    fail "the cluster of $all did not start"
  fi
  for i in 1 2 3; do
    dir=$all/$i
    bootstrap=$bootstrap${bootstrap:+,}127.0.0.1:$(broker_port)
  done
  echo "BOOTSTRAP=$bootstrap"
}

# Ends the broker of $dir by a signal, and by KILL after so many seconds.
end_broker() {
  end_process "$dir/broker.pid" "$dir/server.properties" "$1" "$2" || fail "the broker of $dir survived SIGKILL for 10 s"
}

stop() {
  [ $# = 1 ] || misuse "stop takes DIR"
  enter_dir "$1" existing
  end_broker TERM "$stop_seconds"
}

kill_broker() {
  [ $# = 1 ] || misuse "kill takes DIR"
  enter_dir "$1" existing
  [ -n "$(broker_pid)" ] || fail "no broker of $dir is running"
  end_broker KILL 10
}

# --- topics ------------------------------------------------------------------------------------------------------

topic() {
  [ $# -ge 2 ] || misuse "topic takes BOOTSTRAP, NAME and settings"
  local bootstrap=$1 name=$2 setting settings=()
  shift 2
  for setting in "$@"; do
    case $setting in ?*=?*) settings+=(--config "$setting") ;; *) misuse "not config=value: $setting" ;; esac
  done
  install
  kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$bootstrap" --command-config <(admin_config) \
    --create --topic "$name" --partitions 1 --replication-factor 1 \
    ${settings[@]+"${settings[@]}"}
}

delete_topic() {
  [ $# = 2 ] || misuse "delete-topic takes BOOTSTRAP and NAME"
  install
  kafka_tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$1" --command-config <(admin_config) \
    --delete --topic "$2"
}

truncate() {
  [ $# = 3 ] || misuse "truncate takes BOOTSTRAP, TOPIC and OFFSET"
  case $3 in '' | *[!0-9]*) misuse "OFFSET is not a number: $3" ;; esac
  install
  local json out
  json=$(mktemp)
  # shellcheck disable=SC2064 # the path of now
  trap "rm -f '$json'" EXIT
  printf '{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": %s}]}\n' "$2" "$3" >"$json"
  out=$(kafka_tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$1" --command-config <(admin_config) \
    --offset-json-file "$json" 2>&1) || fail "$out"
  # The tool exits 0 when the broker refused.
  case $out in *low_watermark*) printf '%s\n' "$out" ;; *) fail "not truncated: $out" ;; esac
}

# The defaults let a tool retry for a minute.
admin_config() { printf '%s\n' default.api.timeout.ms=15000 request.timeout.ms=15000; }

verb=${1-help}
[ $# = 0 ] || shift
case $verb in
  install) install ;;
  start) start "$@" ;;
  cluster) cluster "$@" ;;
  secure) secure "$@" ;;
  stop) stop "$@" ;;
  kill) kill_broker "$@" ;;
  topic) topic "$@" ;;
  truncate) truncate "$@" ;;
  delete-topic) delete_topic "$@" ;;
  tool) [ $# -ge 1 ] || misuse "tool takes CLASS"; install; kafka_tool "$@" ;;
  help | -h | --help) usage ;;
  *) misuse "unknown verb: $verb" ;;
esac

# What the scripts of services know of processes and ports: sourced, not run.
# shellcheck shell=bash

# The live process whose pid the file $1 holds, or nothing. Its command line must name $2, because a pid is used again.
alive() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  if { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF -- "$2"; then echo "$pid"; fi
}

# Starts a command and writes its pid into the file $1, its output into the file $2. It has its own session and process
# group, so that its workers end with it, and no descriptor of ours but the log: it outlives the script and its pipes.
launch_process() {
  local pid_file=$1 log=$2
  shift 2
  setsid "$@" </dev/null >>"$log" 2>&1 9>&- &
  echo $! >"$pid_file"
  disown
}

# Whether what launch_process started still runs. By pid alone: for a moment after the fork its command line is still the
# script's.
launched() { kill -0 "$(cat "$1")" 2>/dev/null; }

# Ends what launch_process started: signal $3 to its group, and KILL if it is still there after $4 seconds. 1: it survived.
end_process() {
  local file=$1 name=$2 signal=$3 deadline=$((SECONDS + $4)) pid
  pid=$(alive "$file" "$name")
  if [ -n "$pid" ]; then
    kill "-$signal" -- "-$pid" 2>/dev/null || true
    # A stopped (SIGSTOP) process acts on TERM only after CONT.
    kill -CONT -- "-$pid" 2>/dev/null || true
    while [ -n "$(alive "$file" "$name")" ] && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.1; done
    # Workers that outlived their leader too.
    kill -KILL -- "-$pid" 2>/dev/null || true
    deadline=$((SECONDS + 10))
    while [ -n "$(alive "$file" "$name")" ]; do
      [ "$SECONDS" -lt "$deadline" ] || return 1
      sleep 0.1
    done
  fi
  rm -f "$file"
}

taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below Linux's ephemeral range: no outgoing connection takes the port of a service that is down for a moment.
free_port() {
  local port
  while :; do
    port=$((12000 + RANDOM % 18000))
    if ! taken "$port"; then echo "$port"; return; fi
  done
}

# The servers of the demo: each of our programs as a process of this script, ended by its pid.

API=http://127.0.0.1:9090
RECEIVER=http://127.0.0.1:9099
PROCESSOR=http://127.0.0.1:9091
SYSTEM=http://127.0.0.1:9095

# What the receiver wants to be shown, and what it is not content with.
KEY=a-secret-of-the-demo
WRONG_KEY=an-old-secret

# What deliveries are signed with: the receiver takes no others.
SIGNING_SECRET=whsec_$(head -c 32 /dev/urandom | base64)

declare -A PIDS=()
INFRA_STARTED=''

check_ports() {
  local port
  for port in 9090 9091 9095 9099; do
    ! (: >"/dev/tcp/127.0.0.1/$port") 2>/dev/null ||
      fail "port $port is in use, and the demo needs 9090, 9091, 9095 and 9099" \
        "find the program with: ss -ltnp 'sport = :$port'"
  done
}

start_everything() {
  rm -rf "$LOGS"
  mkdir -p "$LOGS"
  if ! scripts/infra status >/dev/null 2>&1; then
    INFRA_STARTED=yes
    scripts/infra start
  fi
  clear_the_stage
  build_programs
  start_receiver
  start api "$API/readyz"
  subscribe
  start processor "$PROCESSOR/readyz" --retry-schedule 1s,2s,3s
}

start_receiver() {
  WEBHOOK_SECRET=$SIGNING_SECRET start webhook "$RECEIVER/livez" --token "$KEY"
}

# A database and a topic that hold what this run makes and nothing else.
clear_the_stage() {
  scripts/infra psql postgres <<<'SET client_min_messages = warning;
    DROP DATABASE IF EXISTS demo WITH (FORCE); CREATE DATABASE demo;'
  if scripts/infra kafka topics --list | grep -qx demo; then
    scripts/infra kafka topics --delete --topic demo
  fi
  # A topic that is being deleted cannot be made for a moment.
  wait_until 20 make_topic || fail "the topic demo cannot be made" "see .infra/dev"
  export DATABASE_URL=postgres://webhooks:webhooks@127.0.0.1:5434/demo
  export KAFKA_BROKERS=127.0.0.1:9094 KAFKA_TOPIC=demo KAFKA_GROUP=demo-$$-$(date +%s)
  export AUTH=off API_LISTEN=127.0.0.1:9090 PROCESSOR_ADMIN_LISTEN=127.0.0.1:9091
  export SYSTEM_ADMIN_LISTEN=127.0.0.1:9095 WEBHOOK_LISTEN=127.0.0.1:9099 LOG_FORMAT=human
}

make_topic() {
  scripts/infra kafka topics --create --topic demo --partitions 12 >/dev/null 2>&1
}

# start NAME URL OPTION...: in the background, and waits until the URL answers well. A session of
# its own keeps Ctrl-C from it: the demo ends its servers in order.
start() {
  local name=$1 url=$2
  shift 2
  setsid "$PROGRAMS/$name" "$@" </dev/null >>"$LOGS/$name.log" 2>&1 &
  PIDS[$name]=$!
  wait_until 30 answers_or_ended "$name" "$url" || fail "$name is not ready after 30 s" "see $LOGS/$name.log"
  runs "$name" || fail "$name ended at its start" "see $LOGS/$name.log" "$(tail -n 3 "$LOGS/$name.log")"
}

answers_or_ended() { curl -sf -m 2 -o /dev/null "$2" || ! runs "$1"; }

runs() { kill -0 "${PIDS[$1]:-0}" 2>/dev/null; }

# stop NAME: and waits for its end.
stop() {
  [ -n "${PIDS[$1]:-}" ] || return 0
  kill -TERM "${PIDS[$1]}" 2>/dev/null || true
  wait "${PIDS[$1]}" 2>/dev/null || true
  unset "PIDS[$1]"
}

stop_everything() {
  local code=$? name
  trap '' INT TERM
  for name in system processor api webhook; do stop "$name"; done
  [ -z "$INFRA_STARTED" ] || scripts/infra stop
  exit "$code"
}

# Whether all that was started still runs; what ended by itself ends the demo.
check_services() {
  local name
  for name in "${!PIDS[@]}"; do
    runs "$name" || fail "$name ended by itself" "see $LOGS/$name.log"
  done
}

# The native way: each command as a person gives it, by the two servers run as processes here.

native_start() {
  native_start_postgres
  native_start_kafka
  say "$INSTANCE: ready, postgres 127.0.0.1:$POSTGRES_PORT, kafka 127.0.0.1:$KAFKA_PORT, logs in $DIR"
}

native_stop() {
  stop_kafka
  stop_postgres
}

native_status() {
  local failed=0
  native_status_of postgres "$POSTGRES_PORT" ask_postgres webhooks || failed=1
  native_status_of kafka "$KAFKA_PORT" port_is_open "$KAFKA_PORT" || failed=1
  return $failed
}

# native_status_of NAME PORT COMMAND...
native_status_of() {
  local name=$1 port=$2 pid
  shift 2
  if ! pid=$(server_pid "$name"); then
    say "$INSTANCE: $name is not running"
    return 1
  elif ! "$@" >/dev/null 2>&1; then
    say "$INSTANCE: $name runs (pid $pid) but does not answer; see $(server_dir "$name")/log"
    return 1
  fi
  say "$INSTANCE: $name runs natively on 127.0.0.1:$port (pid $pid)"
}

native_wipe() {
  native_stop
  say "$INSTANCE: deleting the data"
  wipe_kafka
  wipe_postgres
  forget_certificates
}

native_start_postgres() { start_postgres; }
native_stop_postgres() { stop_postgres; }
native_kill_postgres() { kill_postgres; }
native_start_kafka() { start_kafka; }
native_stop_kafka() { stop_kafka; }
native_kill_kafka() { kill_kafka; }

native_psql() {
  PGPASSWORD=webhooks PGCONNECT_TIMEOUT=3 psql "${PSQL_OPTIONS[@]}" -h 127.0.0.1 -p "$POSTGRES_PORT" \
    -U webhooks -d "${1:-webhooks}"
}

native_kafka() {
  local class
  case ${1-} in
    topics) class=org.apache.kafka.tools.TopicCommand ;;
    groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
    *) refuse "kafka topics, kafka groups or kafka offsets, not 'kafka ${1-}'" ;;
  esac
  kafka_tool "$class" --bootstrap-server "127.0.0.1:$KAFKA_PORT" "${@:2}"
}

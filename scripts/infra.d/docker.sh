# The Docker way: docker-compose.yml, one project an instance.

docker_answers() {
  command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1 &&
    docker compose version >/dev/null 2>&1
}

compose() {
  local project=temperature-webhooks files=(--file "$ROOT/docker-compose.yml")
  [ "$INSTANCE" = dev ] || project=$project-$INSTANCE
  if is_secured; then
    files+=(--file "$ROOT/infra/docker-compose.secured.yml")
    export CERTIFICATES KAFKA_USER KAFKA_PASSWORD
  fi
  docker compose --project-name "$project" "${files[@]}" "$@"
}

docker_up() {
  ! is_secured || need_certificates
  compose up --detach --wait --wait-timeout 180 "$@" ||
    fail "the containers did not become healthy" "see: docker compose logs $*"
}

# The image makes its data by itself, and knows no users then.
docker_kafka_up() {
  docker_up "$@"
  ! is_secured || compose exec -T kafka /opt/kafka/bin/kafka-configs.sh --bootstrap-server localhost:9092 \
    --alter --entity-type users --entity-name "$KAFKA_USER" --add-config \
    "SCRAM-SHA-256=[password=$KAFKA_PASSWORD],SCRAM-SHA-512=[password=$KAFKA_PASSWORD]" >/dev/null ||
    fail "no user of Kafka could be made" "see: docker compose logs kafka"
}

docker_start() {
  docker_kafka_up
  say "$INSTANCE: ready in Docker, postgres 127.0.0.1:$POSTGRES_PORT, kafka 127.0.0.1:$KAFKA_PORT"
}

docker_stop() { compose stop; }

docker_status() {
  compose ps
  [ "$(compose ps --services --status running | grep -cxE 'postgres|kafka')" -eq 2 ]
}

docker_wipe() {
  compose down --volumes
  forget_certificates
}

docker_start_postgres() { docker_up postgres; }
docker_stop_postgres() { compose stop postgres; }
docker_kill_postgres() { compose kill postgres; }
docker_start_kafka() { docker_kafka_up kafka; }
docker_stop_kafka() { compose stop kafka; }
docker_kill_kafka() { compose kill kafka; }

docker_psql() { compose exec -T postgres psql "${PSQL_OPTIONS[@]}" -U webhooks -d "${1:-webhooks}"; }

docker_kafka() {
  local tool
  case ${1-} in
    topics) tool=kafka-topics.sh ;;
    groups) tool=kafka-consumer-groups.sh ;;
    offsets) tool=kafka-get-offsets.sh ;;
    *) refuse "kafka topics, kafka groups or kafka offsets, not 'kafka ${1-}'" ;;
  esac
  compose exec -T kafka "/opt/kafka/bin/$tool" --bootstrap-server localhost:9092 "${@:2}"
}

# Which instance is meant (its ports and its directory), and which way it is run.

# Bare values, and the first error ends it.
PSQL_OPTIONS=(--no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1)

choose_instance() {
  local shift=${TEST_PORT_SHIFT:-0}
  INSTANCE=$1
  case $INSTANCE in
    dev) POSTGRES_PORT=5434 KAFKA_PORT=9094 CONTROLLER_PORT=9093 ;;
    test) POSTGRES_PORT=$((5436 + shift)) KAFKA_PORT=$((9194 + shift)) CONTROLLER_PORT=$((9193 + shift)) ;;
    bench) POSTGRES_PORT=$((5438 + shift)) KAFKA_PORT=$((9198 + shift)) CONTROLLER_PORT=$((9197 + shift)) ;;
    *) refuse "--instance is dev, test or bench, not '$INSTANCE'" ;;
  esac
  TLS_PORT=$((KAFKA_PORT + 1)) SASL_TLS_PORT=$((KAFKA_PORT + 2)) SASL_PORT=$((KAFKA_PORT - 2))
  export POSTGRES_PORT KAFKA_PORT TLS_PORT SASL_TLS_PORT SASL_PORT
  DIR=$ROOT/.infra/$INSTANCE
  CERTIFICATES=$DIR/certificates
  mkdir -p "$DIR"
}

# How programs reach it, as lines for a shell to evaluate.
print_settings() {
  printf 'export DATABASE_URL=postgres://webhooks:webhooks@127.0.0.1:%s/webhooks\n' "$POSTGRES_PORT"
  printf 'export KAFKA_BROKERS=127.0.0.1:%s\n' "$KAFKA_PORT"
  ! is_secured || print_secured
}

choose_way() {
  case ${INFRA:-} in
    docker)
      docker_answers || fail "INFRA=docker, but no Docker engine with 'docker compose' answers" \
        "start Docker, or use INFRA=native"
      WAY=docker ;;
    native) WAY=native ;;
    '') if docker_answers; then WAY=docker; else WAY=native; fi ;;
    *) fail "INFRA is '$INFRA'" "it must be docker or native; leave it out to have the first that is possible" ;;
  esac
}

# Commands that change the instance wait for each other.
hold_instance() {
  exec {LOCK}>"$DIR.lock"
  if ! flock --nonblock "$LOCK"; then
    say "$INSTANCE: waiting for another scripts/infra"
    flock --timeout 180 "$LOCK" || fail "another scripts/infra holds $DIR.lock for over 3 minutes"
  fi
}

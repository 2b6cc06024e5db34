# The native Kafka: one broker in one Java process, from the libraries infra/kafka/pom.xml names.
# They are fetched once by Maven and shared by the instances.

LIBS=$ROOT/.infra/libs

start_kafka() {
  if server_runs kafka; then
    say "$INSTANCE: kafka runs on 127.0.0.1:$KAFKA_PORT"
    return
  fi
  need_packages "java -version" default-jre-headless
  need_java_17
  need_port kafka "$KAFKA_PORT"
  need_port kafka "$CONTROLLER_PORT"
  ! is_secured || need_secured_ports
  fetch_libs
  format_storage
  say "$INSTANCE: starting kafka on 127.0.0.1:$KAFKA_PORT"
  local options
  mapfile -t options < <(java_options)
  spawn_server kafka java "${options[@]}" -cp "$(class_path)" kafka.Kafka "$(server_dir kafka)/server.properties"
  wait_for_answer kafka 60 port_is_open "$KAFKA_PORT"
  wait_for_answer kafka 60 ask_kafka
}

need_java_17() {
  local version
  version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  [ "${version:-0}" -ge 17 ] || fail "Kafka needs Java 17 or later, this is ${version:-unknown}" \
    "install one: sudo apt-get install openjdk-17-jre-headless"
}

# The directory gets its name when it is complete; it is made anew when the pom changed.
fetch_libs() {
  local pom=$ROOT/infra/kafka/pom.xml
  ! cmp -s "$pom" "$LIBS/pom.xml" || return 0
  need_packages "command -v mvn" maven
  say "fetching the Kafka libraries with Maven, once"
  rm -rf "$LIBS.new"
  mvn -q -B -f "$pom" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$LIBS.new" >"$ROOT/.infra/maven.log" 2>&1 ||
    fail "Maven could not fetch the Kafka libraries" "see $ROOT/.infra/maven.log"
  cp "$pom" "$LIBS.new/pom.xml"
  rm -rf "$LIBS"
  mv "$LIBS.new" "$LIBS"
}

# Written out in a fixed order: the class archive fits only the class path it was made with.
class_path() { printf '%s:' "$LIBS"/*.jar; }

# The first run writes an archive of its loaded classes when it ends; later ones start faster.
java_options() {
  local archive=$LIBS/classes-$INSTANCE.jsa
  printf '%s\n' -Xmx512m "-D$(server_marker kafka)" -Dkafka.log="$(server_dir kafka)/broker.log" \
    -Dlog4j2.configurationFile="$ROOT/infra/kafka/log4j2.xml" -Xlog:disable -Xlog:all=error:stderr
  [ "$INSTANCE" != test ] || printf '%s\n' -XX:+UseSerialGC
  if [ -s "$archive" ]; then
    printf '%s\n' -XX:SharedArchiveFile="$archive"
  else
    printf '%s\n' -XX:ArchiveClassesAtExit="$archive"
  fi
}

format_storage() {
  local dir users=()
  dir=$(server_dir kafka)
  mkdir -p "$dir"
  write_properties >"$dir/server.properties"
  if is_secured; then
    need_certificates
    mapfile -t users < <(scram_options)
  fi
  [ ! -e "$dir/data/meta.properties" ] || return 0
  say "$INSTANCE: making a Kafka log directory in $dir/data"
  kafka_tool kafka.tools.StorageTool format --cluster-id="$(random_id)" --ignore-formatted \
    "${users[@]}" --config "$dir/server.properties" >"$dir/format.log" 2>&1 ||
    fail "the Kafka log directory could not be made" "see $dir/format.log"
}

# Of two values for one name Kafka takes the second.
write_properties() {
  local files=("$ROOT/infra/kafka/server.properties")
  ! is_secured || files+=("$ROOT/infra/kafka/secured.properties")
  sed -e "s|@KAFKA_PORT@|$KAFKA_PORT|" -e "s|@CONTROLLER_PORT@|$CONTROLLER_PORT|" \
    -e "s|@TLS_PORT@|$TLS_PORT|" -e "s|@SASL_TLS_PORT@|$SASL_TLS_PORT|" -e "s|@SASL_PORT@|$SASL_PORT|" \
    -e "s|@CERTIFICATES@|$CERTIFICATES|" -e "s|@USER@|$KAFKA_USER|" -e "s|@PASSWORD@|$KAFKA_PASSWORD|" \
    -e "s|@DATA@|$(server_dir kafka)/data|" "${files[@]}"
}

# 16 random bytes as Kafka writes its ids; one in 64 begins with a dash, hence the = above.
random_id() { head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '='; }

# kafka_tool CLASS ARGUMENT...
kafka_tool() { java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$(class_path)" "$@"; }

# An open port is not yet a working broker. Asking for a group makes the broker load what
# coordinates groups; only when that is done does it answer that there is no such group.
ask_kafka() {
  [[ $(kafka_tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --timeout 20000 \
    --bootstrap-server "127.0.0.1:$KAFKA_PORT" --describe --group readiness 2>&1) == *GroupIdNotFoundException* ]]
}

stop_kafka() { stop_server kafka TERM; }

kill_kafka() { kill_server kafka; }

wipe_kafka() { rm -rf "$(server_dir kafka)"; }

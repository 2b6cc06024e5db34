# What the instance `test` has besides, for the tests: Postgres with TLS, and listeners of Kafka with
# TLS, with SASL, and with both. Certificates are made with the data, for this machine alone.

# Who may log in. It guards nothing: the same broker asks nobody on its plain listener.
KAFKA_USER=tester
KAFKA_PASSWORD=Kafka-0nly-the-tests-kn0w

is_secured() { [ "$INSTANCE" = test ]; }

need_secured_ports() {
  need_port kafka "$TLS_PORT"
  need_port kafka "$SASL_TLS_PORT"
  need_port kafka "$SASL_PORT"
}

# An authority, what it vouches for (a server, named localhost and nothing else, and a client), and
# an authority that vouches for nobody.
need_certificates() {
  [ ! -s "$CERTIFICATES/server.pem" ] || return 0
  need_packages "command -v openssl" openssl
  mkdir -p "$CERTIFICATES"
  make_authority ca
  make_authority stranger
  make_certificate server subjectAltName=DNS:localhost
  make_certificate client extendedKeyUsage=clientAuth
  # The user of a container reads them too.
  chmod a+r "$CERTIFICATES"/*
  cat "$CERTIFICATES/server.key" "$CERTIFICATES/server.crt" >"$CERTIFICATES/server.pem"
}

forget_certificates() { rm -rf "$CERTIFICATES"; }

make_authority() {
  run_openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
    -subj "/CN=temperature-webhooks $1" -addext basicConstraints=critical,CA:TRUE \
    -keyout "$CERTIFICATES/$1.key" -out "$CERTIFICATES/$1.crt"
}

# make_certificate NAME EXTENSION
make_certificate() {
  run_openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" \
    -keyout "$CERTIFICATES/$1.key" -out "$CERTIFICATES/$1.csr"
  run_openssl x509 -req -days 30 -in "$CERTIFICATES/$1.csr" -CA "$CERTIFICATES/ca.crt" \
    -CAkey "$CERTIFICATES/ca.key" -CAcreateserial -extfile <(echo "$2") -out "$CERTIFICATES/$1.crt"
}

run_openssl() {
  openssl "$@" 2>"$CERTIFICATES/openssl.log" ||
    fail "openssl $1 failed" "see $CERTIFICATES/openssl.log"
}

scram_options() {
  local mechanism
  for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
    printf '%s\n' --add-scram "$mechanism=[name=$KAFKA_USER,password=$KAFKA_PASSWORD]"
  done
}

# What the tests need to connect to them.
print_secured() {
  printf 'export TEST_CERTIFICATES=%s\n' "$CERTIFICATES"
  printf 'export TEST_KAFKA_TLS_PORT=%s TEST_KAFKA_SASL_TLS_PORT=%s TEST_KAFKA_SASL_PORT=%s\n' \
    "$TLS_PORT" "$SASL_TLS_PORT" "$SASL_PORT"
  printf 'export TEST_KAFKA_USER=%s TEST_KAFKA_PASSWORD=%s\n' "$KAFKA_USER" "$KAFKA_PASSWORD"
}

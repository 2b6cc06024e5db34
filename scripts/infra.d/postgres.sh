# The native Postgres: a cluster of its own from the machine's packages, with password login for
# `webhooks`, who owns the database of that name and may create more (each test makes one).
#
# Postgres refuses root. Root runs it in a user namespace where it is nobody; where the kernel
# refuses that, as the user `postgres`, who must be able to reach the data directory.

start_postgres() {
  if server_runs postgres; then
    say "$INSTANCE: postgres runs on 127.0.0.1:$POSTGRES_PORT"
    return
  fi
  need_packages find_postgres postgresql "command -v psql" postgresql-client
  need_port postgres "$POSTGRES_PORT"
  choose_postgres_user
  make_cluster
  forget_killed_postgres
  give_to_postgres_user install -m 600 "$ROOT/infra/postgres/postgresql.conf" "$PG_DATA/postgresql.conf"
  local tls=()
  ! is_secured || take_certificate
  say "$INSTANCE: starting postgres on 127.0.0.1:$POSTGRES_PORT"
  (cd / && spawn_server postgres "${PG_AS[@]}" "$(find_postgres)/postgres" -D "$PG_DATA" \
    -p "$POSTGRES_PORT" "${tls[@]}" -c "$(server_marker postgres)")
  wait_for_answer postgres 60 ask_postgres postgres
  make_database
}

# Prints where initdb and postgres are: of the version that made the data, else the newest.
find_postgres() {
  local version bin
  version=$(cat "${PG_DATA:-/nowhere}/PG_VERSION" 2>/dev/null || true)
  for bin in "/usr/lib/postgresql/${version:-none}/bin" \
    $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5 -rn) \
    "$(pg_config --bindir 2>/dev/null || true)" "$(dirname "$(command -v initdb || echo /none/initdb)")"; do
    if [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ]; then
      printf '%s' "$bin"
      return
    fi
  done
  return 1
}

# Sets PG_AS (what to put before a command of Postgres), PG_OWNER and PG_DATA.
choose_postgres_user() {
  PG_AS=(env) PG_OWNER=$(id -un) PG_DATA=$(server_dir postgres)/data
  mkdir -p "$(server_dir postgres)"
  [ "$(id -u)" -eq 0 ] || return 0
  if unshare --user --map-user=65534 --map-group=65534 true 2>/dev/null; then
    PG_AS=(unshare --user --map-user=65534 --map-group=65534)
    return
  fi
  id postgres >/dev/null 2>&1 ||
    fail "Postgres refuses to run as root, and neither user namespaces nor a user postgres exist" \
      "run this as another user than root"
  PG_AS=(setpriv --reuid=postgres --regid=postgres --clear-groups) PG_OWNER=postgres
  "${PG_AS[@]}" test -x "$(server_dir postgres)" && return
  PG_DATA=/var/tmp/temperature-webhooks-$(printf '%s' "$ROOT" | cksum | cut -d' ' -f1)/$INSTANCE/data
  mkdir -p "$(dirname "$PG_DATA")"
  say "$INSTANCE: the user postgres cannot enter $ROOT, so its data is in $PG_DATA"
}

# Postgres takes no key that others may read. Sets `tls`.
take_certificate() {
  need_certificates
  give_to_postgres_user install -m 600 "$CERTIFICATES/server.pem" "$PG_DATA/server.pem"
  tls=(-c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.pem)
}

# Runs a command that makes a file (its last argument), which then belongs to the server's user.
give_to_postgres_user() {
  "$@"
  chown "$PG_OWNER" "${*: -1}"
}

# The directory gets its name when it is complete, so that an interrupted attempt is no cluster.
make_cluster() {
  if [ -d "$PG_DATA" ]; then
    chown -R "$PG_OWNER" "$PG_DATA"
    return
  fi
  local fresh=$PG_DATA.new password=$PG_DATA.password
  say "$INSTANCE: making a Postgres cluster in $PG_DATA"
  rm -rf "$fresh"
  give_to_postgres_user mkdir -m 700 "$fresh"
  echo webhooks | give_to_postgres_user tee "$password" >/dev/null
  (cd / && "${PG_AS[@]}" "$(find_postgres)/initdb" -D "$fresh" --username=webhooks \
    --pwfile="$password" --auth=scram-sha-256 --locale=C.UTF-8 --encoding=UTF8) \
    >"$(server_dir postgres)/initdb.log" 2>&1 ||
    fail "initdb failed" "see $(server_dir postgres)/initdb.log"
  rm -f "$password"
  mv "$fresh" "$PG_DATA"
}

# After a SIGKILL the sessions leave on their own, and postmaster.pid stays. Postgres would judge
# by the pid alone, which a zombie, or another program, may have by now.
forget_killed_postgres() {
  wait_until 10 nobody_works_in "$PG_DATA" ||
    fail "processes of a Postgres that is gone still use $PG_DATA" "find them with: lsof -d cwd +D $PG_DATA"
  rm -f "$PG_DATA/postmaster.pid"
}

nobody_works_in() { ! readlink /proc/[0-9]*/cwd 2>/dev/null | grep -qxF -- "$1"; }

make_database() {
  [ "$(ask_postgres postgres "SELECT count(*) FROM pg_database WHERE datname = 'webhooks'")" = 0 ] || return 0
  ask_postgres postgres "CREATE DATABASE webhooks" >/dev/null
}

# ask_postgres DATABASE [STATEMENT]: prints the answer of the server, as the services reach it.
ask_postgres() { native_psql "$1" <<<"${2:-SELECT 1}"; }

# SIGINT: sessions are ended, what is committed stays.
stop_postgres() { stop_server postgres INT; }

kill_postgres() { kill_server postgres; }

wipe_postgres() {
  choose_postgres_user >/dev/null
  rm -rf "$PG_DATA" "$(server_dir postgres)"
  rmdir -p "$(dirname "$PG_DATA")" 2>/dev/null || true
}

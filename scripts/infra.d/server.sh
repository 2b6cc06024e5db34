# A native server as a process: started in the background with its pid on file, known again by
# its command line, ended by its pid. Nothing that was not started here is ever signalled.

# Every server's command line names its directory; a pid whose does not is somebody else's.
server_dir() { printf '%s' "$DIR/$1"; }

# server_pid NAME: prints the pid of the running server, fails where none runs.
server_pid() {
  local pid
  pid=$(cat "$(server_dir "$1")/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  command_line "$pid" | grep -qF -- "$(server_marker "$1")" || return 1
  printf '%s' "$pid"
}

server_runs() { server_pid "$1" >/dev/null; }

server_is_gone() { ! server_runs "$1"; }

server_marker() { printf 'webhooks.server=%s/' "$(server_dir "$1")"; }

command_line() {
  if [ -r "/proc/$1/cmdline" ]; then
    tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null
  else
    ps -ww -o args= -p "$1" 2>/dev/null
  fi
}

# spawn_server NAME COMMAND...: in a session of its own, so that Ctrl-C does not reach it.
spawn_server() {
  local name=$1 dir
  dir=$(server_dir "$1")
  shift
  keep_log_bounded "$dir/log"
  setsid "$@" </dev/null >>"$dir/log" 2>&1 {LOCK}>&- &
  echo $! >"$dir/pid"
}

keep_log_bounded() {
  touch "$1"
  [ "$(wc -c <"$1")" -lt 10000000 ] || mv -f "$1" "$1.1"
}

# stop_server NAME SIGNAL: asks, waits, and only then insists.
stop_server() {
  local name=$1 pid
  if ! pid=$(server_pid "$name"); then
    say "$INSTANCE: $name is not running"
    return
  fi
  say "$INSTANCE: stopping $name"
  kill "-$2" "$pid"
  wait_until 30 server_is_gone "$name" || {
    warn "$name did not end within 30 s and is killed; see $(server_dir "$name")/log"
    kill_server "$name"
  }
  rm -f "$(server_dir "$name")/pid"
}

# kill_server NAME: SIGKILL, no questions.
kill_server() {
  local name=$1 pid
  if ! pid=$(server_pid "$name"); then
    say "$INSTANCE: $name is not running"
    return
  fi
  say "$INSTANCE: killing $name (pid $pid)"
  kill -KILL "$pid"
  wait_until 10 server_is_gone "$name" || fail "$name (pid $pid) does not end"
}

port_is_open() { (: >"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# need_port NAME PORT: refuses to start beside somebody else's server.
need_port() {
  ! port_is_open "$2" || fail "port $2, which $1 needs, is in use by another program" \
    "find it with: ss -ltnp 'sport = :$2'" "end it, or free the port, and try again"
}

# wait_for_answer NAME SECONDS COMMAND...: until the command succeeds; a server that ended, or
# does not answer in time, is an error that shows the end of its log.
wait_for_answer() {
  local name=$1 deadline=$((SECONDS + $2)) log
  log=$(server_dir "$name")/log
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! server_runs "$name"; then
      tail -n 5 "$log" >&2
      fail "$name ended right after its start" "see $log"
    fi
    if [ "$SECONDS" -ge "$deadline" ]; then
      tail -n 5 "$log" >&2
      fail "$name runs but does not answer" "see $log"
    fi
    sleep 0.2
  done
}

# The settings in .env, where there is one.

# What the environment has already wins, as `RETRY_SCHEDULE=1s make run-processor` means it.
read_settings() {
  [ -f "$ROOT/.env" ] || return 0
  local given
  # In this mode as `export NAME=…`, which is not local to this function.
  given=$(set -o posix && export -p)
  set -a
  # shellcheck source=/dev/null
  source "$ROOT/.env" || fail ".env cannot be read" "each line is NAME=value; .env.example shows them all"
  set +a
  eval "$given"
}

# The key under which a development machine's database keeps the secrets of subscriptions.

# What .env or the environment says wins. Else one is made once, and kept beside the data.
need_secrets_key() {
  [ -z "${SECRETS_KEYS:-}" ] || return 0
  local file=$ROOT/.infra/secrets-keys
  if [ ! -s "$file" ]; then
    mkdir -p "$ROOT/.infra"
    (umask 077 && printf 'dev:%s\n' "$(head -c 32 /dev/urandom | base64)" >"$file")
    say "made a key for the secrets of subscriptions: .infra/secrets-keys" >&2
  fi
  SECRETS_KEYS=$(cat "$file")
  export SECRETS_KEYS
}

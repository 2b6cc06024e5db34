# Prometheus' own checks of metrics and rules. Debian packs them with the server, which would start on
# the port of `api`: so the package is unpacked here, and not installed.

# install_promtool: sets PROMTOOL.
install_promtool() {
  PROMTOOL=$ROOT/.infra/tools/promtool
  local found
  if found=$(command -v promtool); then
    PROMTOOL=$found
  elif [ ! -x "$PROMTOOL" ]; then
    fetch_promtool
  fi
}

fetch_promtool() {
  local directory=$ROOT/.infra/tools/promtool.new as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
  command -v apt-get >/dev/null || fail "promtool is missing" "install Prometheus, which brings it"
  say "fetching promtool"
  rm -rf "$directory"
  mkdir -p "$directory"
  apt_get update
  (cd "$directory" && apt-get -qq download prometheus && dpkg-deb -x prometheus_*.deb .) >"$ROOT/.infra/promtool.log" 2>&1 ||
    fail "promtool cannot be fetched" "see $ROOT/.infra/promtool.log"
  mv "$directory/usr/bin/promtool" "$PROMTOOL"
  rm -rf "$directory"
}

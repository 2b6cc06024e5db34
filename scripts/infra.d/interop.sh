# The libraries of others that the tests hold ours against, in the versions that are pinned beside
# them. Installed once, and anew when a pin or a program changes.

# install_interop: leaves what crates/signature/tests/interop.rs needs in $INTEROP.
install_interop() {
  local source=$ROOT/crates/signature/tests/interop sum
  INTEROP=$ROOT/.infra/interop
  need_packages "python3 -m ensurepip --version" python3-venv "command -v node" nodejs \
    "command -v npm" npm
  sum=$(cat "$source"/* | sha256sum)
  [ "$(cat "$INTEROP/installed" 2>/dev/null)" != "$sum" ] || return 0
  say "installing the libraries that signatures are held against"
  rm -rf "$INTEROP"
  mkdir -p "$INTEROP"
  cp "$source"/* "$INTEROP"
  (
    cd "$INTEROP"
    python3 -m venv venv
    venv/bin/pip install --quiet --require-hashes --only-binary :all: --requirement requirements.txt
    npm ci --silent --no-audit --no-fund
  ) >"$ROOT/.infra/interop.log" 2>&1 || fail "they cannot be installed" "see $ROOT/.infra/interop.log"
  printf '%s\n' "$sum" >"$INTEROP/installed"
}

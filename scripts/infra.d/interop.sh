# What others wrote that the tests hold ours against, in the versions that are pinned beside them:
# libraries that verify signatures, and an authorization server. Each is installed once, and anew when
# a pin or a program changes.

# install_interop: leaves what crates/signature/tests/interop.rs needs in $INTEROP, and what
# crates/e2e/tests/oauth2 needs in $OIDC.
install_interop() {
  INTEROP=$ROOT/.infra/interop OIDC=$ROOT/.infra/oidc
  need_packages "python3 -m ensurepip --version" python3-venv "command -v node" nodejs \
    "command -v npm" npm
  install_pinned crates/signature/tests/interop "$INTEROP" libraries
  install_pinned crates/e2e/oidc "$OIDC" "authorization server"
}

# install_pinned SOURCE TARGET WHAT: what the lock files in SOURCE name, and what else is there.
install_pinned() {
  local source=$ROOT/$1 target=$2 log=$2.log sum
  sum=$(cat "$source"/* | sha256sum)
  [ "$(cat "$target/installed" 2>/dev/null)" != "$sum" ] || return 0
  say "installing the $3 that tests hold ours against"
  rm -rf "$target"
  mkdir -p "$target"
  cp "$source"/* "$target"
  (
    cd "$target"
    if [ -e requirements.txt ]; then
      python3 -m venv venv
      venv/bin/pip install --quiet --require-hashes --only-binary :all: --requirement requirements.txt
    fi
    npm ci --silent --no-audit --no-fund
  ) >"$log" 2>&1 || fail "it cannot be installed" "see $log"
  printf '%s\n' "$sum" >"$target/installed"
}

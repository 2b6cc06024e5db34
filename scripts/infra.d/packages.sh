# Which programs a way needs and how they get here: apt where it may be used, else by hand.

# need_packages COMMAND PACKAGE [COMMAND PACKAGE]...: installs the packages whose command fails.
need_packages() {
  local missing=()
  while [ $# -gt 0 ]; do
    $1 >/dev/null 2>&1 || missing+=("$2")
    shift 2
  done
  [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

# What compiling the workspace needs besides Rust.
need_build_packages() {
  command -v cargo >/dev/null || fail "cargo is missing" "install Rust: see https://rustup.rs"
  need_packages "command -v cc" build-essential "command -v pkg-config" pkg-config \
    "pkg-config --exists openssl" libssl-dev "pkg-config --exists zlib" zlib1g-dev
}

install_packages() {
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo -n); fi
  if ! command -v apt-get >/dev/null || ! ${as_root[@]+"${as_root[@]}"} true 2>/dev/null; then
    fail "missing on this machine: $*" "install them first: sudo apt-get install $*" \
      "(other systems: Java 17 or later, Maven, PostgreSQL 15 or later with initdb, curl)"
  fi
  say "installing with apt: $*"
  mkdir -p "$ROOT/.infra"
  case " $* " in *' postgresql '*) keep_default_cluster_away ;; esac
  apt_get update
  apt_get install --yes --no-install-recommends "$@"
}

apt_get() {
  ${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" >"$ROOT/.infra/apt.log" 2>&1 ||
    fail "apt-get $1 failed" "see $ROOT/.infra/apt.log"
}

# The package would start a server of its own on port 5432; nobody asked for that.
keep_default_cluster_away() {
  local file=/etc/postgresql-common/createcluster.conf
  [ ! -e "$file" ] || return 0
  ${as_root[@]+"${as_root[@]}"} mkdir -p "$(dirname "$file")"
  echo 'create_main_cluster = false' | ${as_root[@]+"${as_root[@]}"} tee "$file" >/dev/null
}

# The programs of this repository, built and in $PROGRAMS.

PROGRAMS=${CARGO_TARGET_DIR:-$ROOT/target}/release

# All at once: one at a time, each would compile the libraries anew, with the features that it
# alone asks for. Cargo shows how far it is.
build_programs() {
  need_build_packages
  [ -x "$PROGRAMS/api" ] || say "building, which takes some minutes the first time"
  cargo build --locked --release -p api -p processor -p system -p webhook
}

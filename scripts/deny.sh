#!/usr/bin/env bash
# Licences, bans and sources of all dependencies by cargo-deny; advisories too
# where a copy of the advisory database is on this machine.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tool=target/tools/bin/cargo-deny
if [ "$($tool --version 2>/dev/null)" != "cargo-deny $version" ]; then
  echo "lint: building cargo-deny $version into target/tools (once, about 2 minutes)"
  # Unoptimized: it runs for a second.
  CARGO_PROFILE_DEV_DEBUG=0 cargo install cargo-deny --version "$version" --locked --no-default-features --debug \
    --root target/tools --target-dir target/tools/build --quiet ||
    { echo "lint: cargo-deny could not be built: check that crates.io is reachable" >&2; exit 1; }
  rm -rf target/tools/build
fi
$tool --workspace check licenses bans sources
db=${ADVISORY_DB:-${CARGO_HOME:-$HOME/.cargo}/advisory-db}
if [ -d "$db" ]; then
  $tool --workspace check --disable-fetch advisories
else
  echo "lint: advisories skipped: no advisory database at $db (set ADVISORY_DB)"
fi

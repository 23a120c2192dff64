#!/usr/bin/env bash
# Format, lints, documentation links, dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { echo "lint: $*"; }
step "format"
cargo fmt --all -- --check ||
  { echo "lint: run 'cargo fmt --all' and look at the difference" >&2; exit 1; }
step "clippy"
cargo clippy --workspace --all-targets --quiet -- -D warnings
step "documentation links"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
step "shell scripts"
for f in scripts/*.sh .ci/run; do bash -n "$f"; done
step "fault patches"
for f in e2e/faults/*.patch; do
  git apply --check "$f" ||
    { echo "lint: $f does not apply any more: make it anew" >&2; exit 1; }
done
for f in core/faults/*.patch; do
  git apply --check --unidiff-zero "$f" ||
    { echo "lint: $f does not apply any more: make it anew" >&2; exit 1; }
done
step "dependencies"
scripts/deny.sh
step "clean"

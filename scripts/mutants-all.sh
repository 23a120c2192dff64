#!/usr/bin/env bash
# mutants-all.sh: makes the mutants of core that cargo-mutants lists, and counts those that
# core's tests notice. All of them are built into one program, see mutations/.
# Environment:
#   FILE=agent/      only those of files whose path holds this
#   SAMPLE=150       so many of them, by chance; SEED=1 decides which
#   AGAIN=missed     those that were caught before, by whatever tree, are not run again
#   OPT_LEVEL=0      builds the tests sooner (1 by default), and runs them slower
# At least 95 in 100 must be caught, and each of the others has a line with the reason in
# core/faults/survivors.txt. Results are in target/faults/all: result.jsonl, where a start
# goes on that was interrupted, and missed.txt, what has no reason yet.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$root/target/faults/all
tree=$work/tree
version=27.1.0
tool=${CARGO_MUTANTS:-$root/target/tools/bin/cargo-mutants}
source scripts/patched-tree.sh
if [ "$("$tool" mutants --version 2>/dev/null)" != "cargo-mutants $version" ]; then
  echo "mutants: building cargo-mutants $version into target/tools (once, some minutes)"
  cargo install cargo-mutants --version "$version" --locked --debug \
    --root target/tools --target-dir target/tools/build --quiet ||
    { echo "mutants: cargo-mutants could not be built: check that crates.io is reachable" >&2; exit 1; }
  rm -rf target/tools/build
fi
mkdir -p "$work"
copy_tree "$tree"
"$tool" mutants --list --json -p sluice-core > "$work/list.json"
cargo build --quiet -p sluice-mutations
program=$(echo "${CARGO_TARGET_DIR:-target}"/*/debug/sluice-mutations)
CARGO_TARGET_DIR=$work/build exec "$program" "$work/list.json" "$tree" "$work"

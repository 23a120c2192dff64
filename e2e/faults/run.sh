#!/usr/bin/env bash
# run.sh [NAME...]: shows that the race's scenarios catch what they are for.
#
# For each patch beside this script (or those named): applies it to a copy of
# the tree, builds the copy, runs the race there and expects the checker to
# object with the rule `evidence` or `superseded`. Nothing of a patch is ever
# shipped. Needs what `make test-e2e` needs; the first run builds everything
# once more, into target/faults.
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/patched-tree.sh
root=$PWD
work=$root/target/faults
export CARGO_TARGET_DIR=$work/build
export SLUICE_BIN_DIR=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/debug
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for patch in e2e/faults/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi
caught=0 missed=0
for name in "${names[@]}"; do
  tree=$work/tree
  copy_tree "$tree"
  mkdir -p "$tree/target"
  ln -s "$root/target/lab-bin" "$tree/target/lab-bin"
  patch_tree "$tree" "$root/e2e/faults/$name.patch"
  log=$work/$name.log
  echo "fault $name: build"
  (cd "$tree" && cargo build --quiet --workspace --bins && cargo test --quiet --no-run -p sluice-e2e --test e2e)
  echo "fault $name: run the race"
  status=0
  (cd "$tree" && cargo test --quiet -p sluice-e2e --test e2e -- race_) > "$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ] && grep -Eq '^ +(evidence|superseded) at ' "$log"; then
    caught=$((caught + 1))
    echo "fault $name: caught"
    grep -E '^ +(evidence|superseded) at ' "$log" | head -n 3
  else
    missed=$((missed + 1))
    echo "fault $name: NOT caught (exit $status), see $log" >&2
  fi
done
echo "$caught faults caught, $missed missed"
[ "$missed" -eq 0 ]

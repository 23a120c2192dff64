#!/usr/bin/env bash
# mutants.sh [NAME...]: shows which tests of core catch which mistake.
#
# Each patch in core/faults/ makes one mistake of the protocol; its head names the
# invariant and the mistake. In a patch the mistake stands behind
# `crate::fault::is("name")`, so that all patches are applied to one copy of the tree,
# which is built once, and the environment says which mistake is made. Layers:
#   unit  the tests of core without the simulation
#   sim   seeds that once failed, and the short form of the simulation
#   model the short form of the model
# Without a mistake all must pass; with each (or those named) a layer must fail.
# The table goes to the terminal and to target/faults/core/table.md, and where all were made
# and all were caught to docs/mistakes.md. Debug builds.
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$root/target/faults/core
tree=$work/tree
patches=$root/core/faults
export CARGO_TARGET_DIR=$work/build
all=()
for patch in "$patches"/*.patch; do all+=("$(basename "$patch" .patch)"); done
names=("$@")
[ ${#names[@]} -gt 0 ] || names=("${all[@]}")
source scripts/patched-tree.sh
mkdir -p "$work"
copy_tree "$tree"
cat > "$tree/core/src/fault.rs" <<'RUST'
//! Which mistake is made.

/// Whether it is this one.
pub fn is(name: &str) -> bool {
    static FAULT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    FAULT.get_or_init(|| std::env::var("FAULT").unwrap_or_default()) == name
}
RUST
echo 'pub mod fault;' >> "$tree/core/src/lib.rs"
for name in "${all[@]}"; do
  patch_tree "$tree" --unidiff-zero "$patches/$name.patch" ||
    { echo "mutants: $name does not apply any more: make it anew" >&2; exit 1; }
done
echo "mutants: building the tree with ${#all[@]} mistakes"
# Optimised a little: the simulation runs long.
binary=$(cd "$tree" && cargo test --quiet --config 'profile.dev.package.sluice-core.opt-level=1' \
  -p sluice-core --lib --no-run --message-format json 2> "$work/build.log" |
  sed -n 's/.*"executable":"\([^"]*sluice_core-[^"]*\)".*/\1/p' | tail -n 1)
[ -n "$binary" ] || { cat "$work/build.log" >&2; echo "mutants: the copy does not build" >&2; exit 1; }
# A copy, so that another build may take its place meanwhile.
cp "$binary" "$work/tests"

# Seconds of processor time that a layer may take: without a mistake, ten minutes; then
# five times what it took, so that neither a slow machine nor a busy one looks like a mistake.
declare -A limit=([unit]=600 [sim]=600 [model]=600)
TIMEFORMAT=%U

# run FAULT LAYER: runs a layer with the mistake; fails as the layer does.
run() {
  local log=$work/$1-$2.log args
  case $2 in
    unit) args=(--skip proof::) ;;
    sim) args=(proof::sim) ;;
    model) args=(proof::model) ;;
  esac
  (cd "$tree/core" && ulimit -t "${limit[$2]}" &&
    FAULT=$1 PROPTEST_FAILURE_PERSISTENCE=off "$work/tests" "${args[@]}") > "$log" 2>&1
}
caught() {
  grep -Eq '^test result: FAILED|panicked|overflowed its stack' "$work/$1-$2.log" && return 0
  # A test that never ends is caught, too.
  ! grep -q '^test result: ok' "$work/$1-$2.log"
}
layers=(unit sim model)
for layer in "${layers[@]}"; do
  echo "mutants: $layer without a mistake"
  { time run none "$layer"; } 2> "$work/time" ||
    { echo "mutants: without a mistake $layer fails, see $work/none-$layer.log" >&2; exit 1; }
  took=$(cat "$work/time")
  limit[$layer]=$((${took%.*} * 5 + 30))
done
table=$work/table.md
{
  echo "| mistake | breaks | unit | sim | model |"
  echo "| --- | --- | --- | --- | --- |"
} | tee "$table"
found=0 missed=0
for name in "${names[@]}"; do
  patch=$patches/$name.patch
  row="| $(field "$patch" mistake): \`$name\` | $(field "$patch" invariant)"
  any=
  for layer in "${layers[@]}"; do
    run "$name" "$layer"
    if caught "$name" "$layer"; then row+=" | yes"; any=1; else row+=" | no"; fi
  done
  echo "$row |" | tee -a "$table"
  if [ -n "$any" ]; then found=$((found + 1)); else
    missed=$((missed + 1))
    echo "mutants: $name is NOT caught" >&2
  fi
done
if [ "$missed" -eq 0 ] && [ ${#names[@]} -eq ${#all[@]} ]; then
  {
    echo "# The mistakes that tests must notice"
    echo
    echo "What \`make mutants\` found on $(date -I): each mistake is made in the protocol's own code,"
    echo "one at a time, and the tests run. \`unit\` are the tests of \`core\`, \`sim\` and \`model\` the"
    echo "short forms of [the simulation and the model](assurance.md#the-protocol-in-one-world); the"
    echo "number is that of the [invariant](architecture.md) that the mistake breaks."
    echo
    cat "$table"
  } > "$root/docs/mistakes.md"
fi
echo "$found passed, $missed failed, 0 skipped"
[ "$missed" -eq 0 ]

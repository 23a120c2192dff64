#!/usr/bin/env bash
# lessons.sh [NAME...]: shows that the tests of the lessons catch what they are for.
#
# Each patch in lessons/ makes an original mistake again; its head names the
# requirement, the mistake and the test. First all named tests run on a copy of
# the tree as it is, and must pass; then each patch (or those named) is applied
# to the copy, its test runs, and must fail. Nothing of a patch is ever shipped.
# The kernel tests among them need root. Debug builds.
set -uo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
work=$root/target/faults/lessons
tree=$work/tree
export CARGO_TARGET_DIR=$work/build
patches=$root/e2e/faults/lessons
names=("$@")
if [ ${#names[@]} -eq 0 ]; then
  for patch in "$patches"/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi
source scripts/patched-tree.sh
mkdir -p "$work"
copy_tree "$tree"
run() { (cd "$tree" && cargo test --quiet "$@"); }

# The named tests by crate and kind: PACKAGE ARGUMENTS -> NAMES.
declare -A groups
for name in "${names[@]}"; do
  test=$(field "$patches/$name.patch" test)
  [ -n "$test" ] || { echo "lessons: no test is named by $name" >&2; exit 1; }
  groups["${test% *}"]+=" ${test##* }"
done
for group in "${!groups[@]}"; do
  log=$work/as-it-is.log
  # shellcheck disable=SC2086 # both are lists of words
  if ! run $group -- ${groups[$group]} > "$log" 2>&1; then
    echo "lessons: without a fault the tests of $group fail, see $log" >&2
    exit 1
  fi
  wanted=$(wc -w <<< "${groups[$group]}")
  passed=$(awk '/^test result:/ { n += $4 } END { print n + 0 }' "$log")
  echo "as it is: $passed tests pass of $group"
  [ "$passed" -ge "$wanted" ] || { echo "lessons: $wanted were wanted" >&2; exit 1; }
done

caught=0 missed=0
for name in "${names[@]}"; do
  test=$(field "$patches/$name.patch" test)
  log=$work/$name.log
  if ! patch_tree "$tree" "$patches/$name.patch"; then
    missed=$((missed + 1))
    echo "fault $name: does not apply any more" >&2
    continue
  fi
  status=0
  # shellcheck disable=SC2086 # a list of words
  run ${test% *} -- "${test##* }" > "$log" 2>&1 || status=$?
  patch_tree "$tree" -R "$patches/$name.patch"
  if [ "$status" -ne 0 ] && grep -Eq '^test result: FAILED' "$log"; then
    caught=$((caught + 1))
    printf '%-6s %-42s caught by %s\n' "$(field "$patches/$name.patch" requirement)" "$name" "${test##* }"
  else
    missed=$((missed + 1))
    echo "fault $name: NOT caught (exit $status), see $log" >&2
  fi
done
echo "$caught passed, $missed failed, 0 skipped"
[ "$missed" -eq 0 ]

#!/usr/bin/env bash
# test.sh [--full] unit|kernel|ovsdb|ovn|e2e ... : runs tiers of tests and counts them.
#
# The last lines say per tier, and in total, how many passed, failed and were
# skipped. Exit code 1 when anything failed or a tier ran nothing.
set -uo pipefail
cd "$(dirname "$0")/.."
full=
[ "${1:-}" = --full ] && { full=--full; shift; }
logs=target/test
# The Makefile's RELEASE: the same packages together, so that nothing is built twice.
release=(--release -p nfnetlink -p sluice-gateway-agent -p sluice-operator -p sluice-e2e -p kubectl-sluice)
mkdir -p "$logs"
declare -A passed failed skipped
broken=0

# Adds up what the runners print at their ends: libtest's "test result:" lines
# and the plain "N passed, N failed, N skipped" of our own.
count() { # TIER LOG
  read -r p f s < <(awk '
    /^test result:/ { p += $4; f += $6; s += $8 }
    /^SKIPPED/ { s += 1; p -= 1 }
    /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
    END { print p + 0, f + 0, s + 0 }' "$2")
  passed[$1]=$p failed[$1]=$f skipped[$1]=$s
}

run() { # TIER COMMAND...
  local tier=$1 status; shift
  echo "test: $tier"
  "$@" 2>&1 | tee "$logs/$tier.log"
  status=${PIPESTATUS[0]}
  count "$tier" "$logs/$tier.log"
  if [ "$status" -ne 0 ] || [ "${passed[$tier]}" -eq 0 ]; then broken=1; fi
  [ "$status" -eq 0 ] || echo "test: $tier failed (exit $status), log in $logs/$tier.log" >&2
}

unit() {
  cargo test --quiet --no-fail-fast --workspace --lib --bins --test captured --test manifests --test reference --test monitoring --test health --test admission --test differential --test fuzz --test deployed \
    --exclude sluice-e2e &&
    cargo test --quiet -p sluice-e2e --lib --bins &&
    cargo test --quiet --workspace --doc
}

kernel() { # nf_tables, conntrack and packets, in namespaces of their own
  local targets=(--test kernel --test rendered --test bench) f
  for f in gateway-agent/tests/kernel_*.rs; do
    targets+=(--test "$(basename "$f" .rs)")
  done
  cargo test --quiet --no-fail-fast "${release[@]}" "${targets[@]}"
}

ovsdb() { # the client of OVN's databases at real servers
  scripts/ovn.sh && cargo test --quiet --no-fail-fast -p ovsdb-client --test server --test strangers
}

ovn() { # the OVN data plane on three chassis, in namespaces; two such networks at once
  local status=0
  scripts/ovn.sh || return 1
  cargo test --quiet --no-fail-fast "${release[@]}" --test ovn -- --test-threads 2 || status=1
  cargo test --quiet --no-fail-fast "${release[@]}" --test chassis --test ovn_gateway -- --test-threads 1 || status=1
  return "$status"
}

e2e() { # the operator at a real API server, the lab itself, the scenarios
  if [ -n "${SLUICE_CLUSTER:-}" ]; then
    cargo test --quiet "${release[@]}" --test admission -- --nocapture
    echo "test: SLUICE_CLUSTER is set: only the admission table was judged, on that cluster; the scenarios need the lab's nodes: unset it" >&2
    return 1
  fi
  local status=0 long=()
  if [ -n "$full" ]; then # an installation by helm, and thousands of objects
    scripts/go-tools.sh || return 1
    long=(--test flood --test install)
  fi
  cargo test --quiet --no-fail-fast "${release[@]}" --test edge --test operator --test outage --test permissions --test spans --test uninstall --test lab --test admission "${long[@]}" \
    -- --test-threads 1 || status=1
  make --no-print-directory e2e-run E2E_ARGS="$full" || status=1
  return "$status"
}

tiers=("$@")
for tier in "${tiers[@]}"; do run "$tier" "$tier"; done

echo
total_p=0 total_f=0 total_s=0
for tier in "${tiers[@]}"; do
  printf '%-7s %s passed, %s failed, %s skipped\n' "$tier:" "${passed[$tier]}" "${failed[$tier]}" "${skipped[$tier]}"
  total_p=$((total_p + passed[$tier])) total_f=$((total_f + failed[$tier])) total_s=$((total_s + skipped[$tier]))
done
[ "$broken" -eq 0 ] || [ "$total_f" -gt 0 ] || total_f=1
echo "$total_p passed, $total_f failed, $total_s skipped"
[ "$broken" -eq 0 ] && [ "$total_f" -eq 0 ]

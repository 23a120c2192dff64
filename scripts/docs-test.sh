#!/usr/bin/env bash
# docs-test.sh: builds the book, follows all links, and tries every example and command
# on a real API server.
set -uo pipefail
cd "$(dirname "$0")/.."
scripts/mdbook.sh && scripts/go-build.sh && scripts/go-tools.sh || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
broken=0
run() { # COMMAND...
    "$@" 2>&1 | tee -a "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || broken=1
}
book() { # a warning is an error
    local said
    said=$(target/tools/bin/mdbook build docs 2>&1) && ! grep -Eq 'WARN|ERROR' <<<"$said" && return
    echo "$said"
    return 1
}
run book
run cargo run --quiet -p sluice-docs -- target/book
run cargo test --quiet -p sluice-operator --test docs -- --nocapture
awk -v broken="$broken" '
    /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 }
    END {
        if (broken && !f) f = 1
        print "docs: " p + 0 " passed, " f + 0 " failed, " s + 0 " skipped"
        exit (f || !p)
    }' "$log"

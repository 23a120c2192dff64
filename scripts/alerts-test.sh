#!/usr/bin/env bash
# alerts-test.sh: every alert fires for its fault and only then, has its page, and
# every expression of the dashboard parses.
set -uo pipefail
cd "$(dirname "$0")/.."
dir=target/tools/promtool
promtool=$dir/usr/bin/promtool
if [ ! -x "$promtool" ]; then
    if command -v promtool >/dev/null; then
        promtool=$(command -v promtool)
    else
        echo "build: promtool, from Debian's package prometheus" >&2
        mkdir -p "$dir"
        (cd "$dir" && apt-get download -q prometheus && dpkg -x prometheus_*.deb . && rm prometheus_*.deb) >/dev/null 2>&1 ||
            { echo "alerts: no promtool: install Debian's package prometheus, or run apt-get update" >&2; exit 1; }
    fi
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
check() { # WHAT COMMAND...
    local what=$1
    shift
    if "$@" >"$tmp/out" 2>&1; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "alerts: $what: failed" >&2
        tail -40 "$tmp/out" >&2
    fi
}
pages() { # each alert has a page, and each page an alert
    diff <(sed -n 's/^  - alert: //p' deploy/monitoring/alerts.yaml | sort) \
        <(find docs/runbooks -name 'Sluice*.md' -exec basename {} .md \; | sort)
}
dashboard() { # as recording rules, which promtool parses
    sed -n 's/^ *"expr": \(".*"\),\?$/\1/p' deploy/monitoring/dashboard.json |
        sed 's/\$__rate_interval/5m/g; s/\$namespace/.*/g; s/\$gateway/.*/g' |
        awk 'BEGIN { print "groups:\n- name: dashboard\n  rules:" }
            { print "  - {record: \"dashboard:panel:" NR "\", expr: " $0 "}" }
            END { if (NR == 0) exit 1 }' >"$tmp/dashboard.yaml" &&
        "$promtool" check rules "$tmp/dashboard.yaml"
}
check "the alerts parse" "$promtool" check rules deploy/monitoring/alerts.yaml
check "each alert fires for its fault, and only then" "$promtool" test rules deploy/monitoring/alerts.test.yaml
check "each alert has a page" pages
check "the dashboard's expressions parse" dashboard
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]

#!/usr/bin/env bash
# go-tools.sh: builds the tools of the chart's tests from pinned Go modules, into
# target/tools. What is up to date is not built again. Apart from go-build.sh, so that
# another version of a tool does not build the cluster anew.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly out=$PWD/target/tools
mkdir -p "$out"
want=$({ go env GOVERSION; cat e2e/tools/go.mod e2e/tools/go.sum scripts/go-tools.sh; } | sha256sum | cut -d' ' -f1)
[ "$want" = "$(cat "$out/.stamp" 2>/dev/null)" ] && exit 0
echo "build: helm: 3 to 6 minutes on 2 cores the first time" >&2
(cd e2e/tools && GOBIN=$out go install -trimpath -ldflags "-s -w" tool)
echo "$want" >"$out/.stamp"

#!/usr/bin/env bash
# mdbook.sh: builds the pinned mdBook from crates.io into target/tools, once.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly version=0.5.4
tool=target/tools/bin/mdbook
[ "$($tool --version 2>/dev/null)" = "mdbook v$version" ] && exit 0
echo "docs: building mdBook $version (MPL-2.0, a tool only) into target/tools: once, about 2 minutes on 2 cores" >&2
# Without its web server and file watcher, which are half of what it depends on.
# Unoptimized: it runs for seconds.
CARGO_PROFILE_DEV_DEBUG=0 cargo install mdbook --version "$version" --locked --no-default-features --features search --debug \
    --root target/tools --target-dir target/tools/build ||
    { echo "docs: mdBook could not be built: check that crates.io is reachable" >&2; exit 1; }
rm -rf target/tools/build

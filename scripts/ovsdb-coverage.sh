#!/usr/bin/env bash
# ovsdb-coverage.sh [LEAST]: which lines of the protocol in ovsdb-client its tests run; fails
# below LEAST per cent, 99 by default.
#
# The tests are the crate's own and those at real servers (scripts/ovn.sh). Built with the
# compiler's own instrumentation; LLVM's tools of the compiler's version read what it wrote.
# Counted are lines of ovsdb-client/src but tests, `client` (which keeps connections) and
# `transport/tls.rs`; those that were never run are printed.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly out=$PWD/target/ovsdb-coverage
readonly least=${1:-99}
version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')

# Prints the folder with llvm-cov and llvm-profdata: the toolchain's, else Debian's, unpacked.
tools() {
    local own debian=$out/llvm/usr/lib/llvm-$version
    own=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
    if [ -x "$own/llvm-cov" ]; then
        echo "$own"
        return
    fi
    if [ ! -x "$debian/bin/llvm-cov" ]; then
        echo "ovsdb-coverage: downloading LLVM $version of Debian; nothing is installed" >&2
        mkdir -p "$out/deb"
        (cd "$out/deb" && apt-get -o APT::Sandbox::User=root download "llvm-$version" "libllvm$version" >/dev/null)
        for deb in "$out"/deb/*.deb; do dpkg-deb -x "$deb" "$out/llvm"; done
    fi
    echo "$debian/bin"
}

bin=$(tools)
export LD_LIBRARY_PATH=$out/llvm/usr/lib/x86_64-linux-gnu:$out/llvm/usr/lib/llvm-$version/lib
"$bin/llvm-cov" --version >/dev/null || {
    echo "ovsdb-coverage: $bin/llvm-cov does not run here: rustup component add llvm-tools" >&2
    exit 1
}
scripts/ovn.sh
rm -rf "$out/raw"
export RUSTFLAGS="-C instrument-coverage" CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$out/target}-coverage
export LLVM_PROFILE_FILE=$out/raw/%p-%m.profraw OVSDB_UPDATES=${OVSDB_UPDATES:-20000}
mapfile -t programs < <(env -u LD_LIBRARY_PATH cargo test -p ovsdb-client --lib --test server --test strangers --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
(
    cd ovsdb-client
    for program in "${programs[@]}"; do env -u LD_LIBRARY_PATH "$program" --quiet; done
)
"$bin/llvm-profdata" merge -sparse "$out"/raw/*.profraw -o "$out/all.profdata"
objects=()
for program in "${programs[@]}"; do objects+=(--object "$program"); done
"$bin/llvm-cov" export --format lcov --instr-profile "$out/all.profdata" "${objects[@]}" \
    --ignore-filename-regex '(registry|rustc|/tests(/|\.rs)|/fuzz(/|\.rs)|journal|sluice-fuzz)' >"$out/lines.lcov"
awk -F'[:,]' -v least="$least" '
    /^SF:/ { file = substr($0, 4); ours = file ~ /ovsdb-client\/src\// && file !~ /src\/client|tls\.rs/ }
    /^DA:/ && ours { all++; if ($3 > 0) run++; else print file ":" $2 }
    END {
        share = all ? 100 * run / all : 0
        printf "ovsdb-coverage: %d of %d lines, %.2f %%\n", run, all, share
        exit share < least
    }' "$out/lines.lcov"

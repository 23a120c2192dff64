#!/usr/bin/env bash
# setup.sh: checks the machine, then installs and builds what is missing. It can
# be run again at any time; when nothing is missing it takes about a second.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

readonly need_free_gb=18
readonly packages=(gcc g++ make pkg-config libseccomp-dev iproute2 nftables
    conntrack procps tcpdump openssl iptables iputils-ping)

say() { echo "setup: $*"; }
fail() {
    echo "setup: $*" >&2
    exit 1
}

check_machine() {
    [ "$(id -u)" = 0 ] || fail "run this as root: it makes namespaces and cgroups"
    [ "$(uname -sm)" = "Linux x86_64" ] || fail "this machine is $(uname -sm); Linux x86_64 is needed"
    # What was built already needs no room any more.
    if [ ! -e target/lab-bin/.stamp-controlplane ]; then
        local free
        free=$(df -BG --output=avail . | tail -1 | tr -dc 0-9)
        [ "$free" -ge "$need_free_gb" ] ||
            fail "$free GB are free here, $need_free_gb GB are needed: make room, or check out on a larger disk"
    fi
    local rust
    rust=$(rustc --version 2>/dev/null | cut -d' ' -f2)
    case $rust in
    1.9[5-9].* | 1.[1-9][0-9][0-9].*) ;;
    *) fail "Rust 1.95 is needed, found ${rust:-none}: install it with rustup (https://rustup.rs)" ;;
    esac
    local go
    go=$(go env GOVERSION 2>/dev/null)
    case $go in
    go1.2[6-9]* | go1.[3-9][0-9]*) ;;
    *) fail "Go 1.26 is needed, found ${go:-none}: install it from https://go.dev/dl" ;;
    esac
    unshare --net --mount --pid --fork true 2>/dev/null ||
        fail "namespaces are not permitted here: use a machine, a VM, or a privileged container"
    if grep -q '^[^ ]* /sys/fs/cgroup[^ ]* cgroup ' /proc/mounts; then
        :
    elif grep -q '^[^ ]* /sys/fs/cgroup cgroup2 ' /proc/mounts; then
        say "note: this machine has cgroup v2 only; the lab supports that but was tried on v1 only"
    else
        fail "no cgroups are mounted below /sys/fs/cgroup: mount them"
    fi
}

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        # A query per package: one unknown name would hide the others.
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || fail "install these by your system's means: ${missing[*]}"
    say "installing ${missing[*]} (about a minute)"
    local log=/tmp/sluice-setup-apt.$$
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 || { tail -20 "$log" >&2; fail "apt-get failed; its output is in $log"; }
    rm -f "$log"
}

check_nftables() {
    unshare --net nft add table inet sluice_setup_check 2>/dev/null ||
        fail "nf_tables does not work: load the kernel module nf_tables"
}

check_machine
install_packages
check_nftables
scripts/go-build.sh || exit 1
if [ ! -x target/release/sluice-lab ]; then
    say "building the Rust programs: first time about 5 minutes on 2 cores"
fi
make --no-print-directory build || fail "cargo build failed; it said why above"
target/release/sluice-lab images || exit 1
say "everything is in place; go on with: make lab, make demo, make test"

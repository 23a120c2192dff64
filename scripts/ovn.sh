#!/usr/bin/env bash
# ovn.sh: unpacks Debian's Open vSwitch and OVN into target/ovn, for tests.
#
# Nothing is installed: the packages would start daemons. Programs are run with
# LD_LIBRARY_PATH=target/ovn/lib. When it was
# done before, this takes no time.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

readonly out=$PWD/target/ovn
# The programs, and the libraries that a bare machine does not have.
readonly packages=(openvswitch-common openvswitch-switch ovn-common ovn-central ovn-host
    ethtool libmnl0
    libxdp1 libbpf1 libelf1 libcap-ng0 libnuma1 libunbound8 libevent-2.1-7 libnettle8 libhogweed6 libgmp10)
readonly programs=(usr/sbin/ovsdb-server usr/bin/ovsdb-tool usr/bin/ovsdb-client usr/bin/ovs-appctl
    usr/bin/ovs-vsctl usr/bin/ovs-ofctl usr/bin/ovn-nbctl usr/bin/ovn-sbctl usr/bin/ovn-northd usr/bin/ovn-controller
    usr/lib/openvswitch-switch/ovs-vswitchd sbin/ethtool)

say() { echo "ovn: $*"; }
fail() {
    echo "ovn: $*" >&2
    exit 1
}

want=$(sha256sum "$0" | cut -d' ' -f1)
[ "$(cat "$out/.stamp" 2>/dev/null)" = "$want" ] && exit 0

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    fail "this machine has no apt-get: unpack ${packages[*]} into $out yourself and write $want to $out/.stamp"
rm -rf "$out"
mkdir -p "$out/deb" "$out/root" || exit 1
log=$out/log
say "downloading ${#packages[@]} packages of Debian (10 MB) into target/ovn; nothing is installed"
download() { (cd "$out/deb" && apt-get -o APT::Sandbox::User=root download "${packages[@]}") >>"$log" 2>&1; }
# A list that is old, or none, names files that are not there any more.
download || { say "asking for a newer list of packages"; apt-get update >>"$log" 2>&1 && download; } ||
    { tail -20 "$log" >&2; fail "the packages could not be downloaded; all output is in $log"; }
for deb in "$out"/deb/*.deb; do
    dpkg-deb -x "$deb" "$out/root" || fail "$deb could not be unpacked"
done
ln -sfn root/usr/lib/x86_64-linux-gnu "$out/lib"
for program in "${programs[@]}"; do
    [ -x "$out/root/$program" ] || fail "$program is in none of the packages"
    missing=$(LD_LIBRARY_PATH=$out/lib ldd "$out/root/$program" | grep 'not found') &&
        fail "$program lacks libraries: $missing"
done
version() { dpkg-deb -f "$out"/deb/"$1"_*.deb Version; }
say "unpacked Open vSwitch $(version openvswitch-common), OVN $(version ovn-central)"
rm -rf "$out/deb"
echo "$want" >"$out/.stamp"

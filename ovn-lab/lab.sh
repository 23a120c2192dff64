#!/usr/bin/env bash
# lab.sh COMMAND DIR [WORD...]: an OVN network on one machine. Commands stand at the end.
#
#   client (10.155.30.9, ::9) - ext ---- br-ex of each chassis
#                                            |  gateway port of r1: 10.155.30.2, ::2
#                                           r1
#                                            |  10.244.0.254, fd00:10:244::fe
#        vm1 on chassis 1, vm2 on chassis 2, vm3 on chassis 3: 10.244.0.1N, fd00:10:244::1N
#
# Real ovn-northd, northbound and southbound ovsdb-servers; three chassis, each a network
# namespace with ovsdb-server, ovs-vswitchd (userspace datapath) and ovn-controller; geneve
# between them. No kernel module. Each database is one server, or three (`up DIR 3`).
# Everything is in DIR and in namespaces named after it.
#
# As part of a cluster's lab (`sluice-lab up --ovn`) its namespaces are files of that lab, its
# wires are bridges of that lab's namespace `cp`, and the databases listen there too:
#   OVN_LAB_NS    folder of the namespaces: cp, client, client2, router, chassis1 to 3, vm1 to 3
#   OVN_LAB_TLS   folder with ca.crt, ovn.crt and ovn.key: the databases listen by TLS, not TCP
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
ovn=$top/target/ovn
export LD_LIBRARY_PATH=$ovn/lib
PATH=$ovn/root/sbin:$ovn/root/usr/bin:$ovn/root/usr/sbin:$ovn/root/usr/lib/openvswitch-switch:$PATH
command=$1
dir=$2
prefix=$(basename "$dir")

# Where a database is: the sockets of its servers.
remotes() { # nb|sb
    local name all=
    for name in "$1" "$1"1 "$1"2 "$1"3; do
        [ -e "$dir/$name.db" ] && all=${all:+$all,}unix:$dir/$name.sock
    done
    echo "$all"
}

# The namespace of a host, as a path; the one with the wires, and its bridges.
if [ -n "${OVN_LAB_NS:-}" ]; then
    ns() { echo "$OVN_LAB_NS/$1"; }
    switch=cp under=under0 ext=ext0
else
    ns() { echo "/run/netns/$prefix-$1"; }
    switch=switch under=under ext=ext
fi
in_ns() { local name=$1; shift; nsenter --net="$(ns "$name")" "$@"; }
# Makes a namespace that a lab around this one has not made.
add_ns() {
    [ -e "$(ns "$1")" ] || ip netns add "$(basename "$(ns "$1")")"
    in_ns "$1" ip link set lo up
}
# Without hardware that fills checksums in, what leaves a socket must have them.
plain() { in_ns "$1" ethtool -K "$2" tx off >/dev/null; }

# run NAME COMMAND...: in the background, its pid kept.
run() {
    local name=$1
    shift
    setsid "$@" >>"$dir/$name.out" 2>&1 </dev/null &
    echo $! >"$dir/$name.pid"
}

wait_for() { # COMMAND...
    local n
    for n in $(seq 600); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    echo "lab: not within 30 s: $*" >&2
    return 1
}

log() { echo "-vconsole:off -vsyslog:off -vfile:info --log-file=$dir/$1.log --no-chdir"; }
control() { echo "--unixctl=$dir/$1.ctl"; }

database() { # NAME SCHEMA
    ovsdb-tool create "$dir/$1.db" "$2"
    server "$1"
}

# The port of a server of OVN's own databases; none for those of the chassis.
port() { # NAME
    case $1 in
    nb | nb1) echo 6641 ;;
    sb | sb1) echo 6642 ;;
    nb2) echo 6643 ;;
    sb2) echo 6644 ;;
    nb3) echo 6645 ;;
    sb3) echo 6646 ;;
    esac
}

server() { # NAME
    rm -f "$dir/$1.sock" "$dir/$1.ctl"
    local listen=(--remote="punix:$dir/$1.sock") within=()
    if [ -n "${OVN_LAB_NS:-}" ] && [ -n "$(port "$1")" ]; then
        within=(nsenter --net="$(ns $switch)")
        if [ -n "${OVN_LAB_TLS:-}" ]; then
            listen+=(--remote="pssl:$(port "$1"):[::]" --ca-cert="$OVN_LAB_TLS/ca.crt"
                --certificate="$OVN_LAB_TLS/ovn.crt" --private-key="$OVN_LAB_TLS/ovn.key")
        else
            listen+=(--remote="ptcp:$(port "$1"):[::]")
        fi
    fi
    # shellcheck disable=SC2046
    run "$1" "${within[@]}" ovsdb-server $(log "$1") $(control "$1") "${listen[@]}" "$dir/$1.db"
    wait_for test -S "$dir/$1.sock"
}

cluster() { # nb|sb SCHEMA: three servers of one database
    local n
    ovsdb-tool create-cluster "$dir/$1"1.db "$2" "unix:$dir/$1"1.raft
    for n in 2 3; do
        ovsdb-tool join-cluster "$dir/$1$n.db" "$(schema_of "$1")" "unix:$dir/$1$n.raft" "unix:$dir/$1"1.raft
    done
    for n in 1 2 3; do server "$1$n"; done
    for n in 1 2 3; do wait_for is_member "$1" "$n"; done
}

schema_of() { [ "$1" = nb ] && echo OVN_Northbound || echo OVN_Southbound; }
status() { ovs-appctl -t "$dir/$1$2.ctl" cluster/status "$(schema_of "$1")" 2>/dev/null; }
is_member() { status "$1" "$2" | grep -q 'Status: cluster member'; }

leader() { # nb|sb
    local n
    for n in 1 2 3; do status "$1" "$n" | grep -q 'Role: leader' && echo "$n" && return; done
}

controller() { # N
    # shellcheck disable=SC2046
    run "controller$1" nsenter --net="$(ns "chassis$1")" env OVS_RUNDIR="$dir/c$1" OVN_RUNDIR="$dir/c$1" \
        ovn-controller $(log "controller$1") "unix:$dir/c$1.sock"
}

chassis() { # N
    local n=$1
    mkdir -p "$dir/c$n"
    add_ns "chassis$n"
    wire "$n" under "$under"
    wire "$n" ext "$ext"
    database "c$n" "$ovn/root/usr/share/openvswitch/vswitch.ovsschema"
    # shellcheck disable=SC2046
    run "vswitchd$n" nsenter --net="$(ns "chassis$n")" env OVS_RUNDIR="$dir/c$n" \
        ovs-vswitchd $(log "vswitchd$n") $(control "vswitchd$n") "unix:$dir/c$n.sock"
    ovs "$n" --no-wait init -- set open . external_ids:system-id="chassis$n" \
        external_ids:ovn-remote="$(remotes sb)" external_ids:ovn-encap-type=geneve \
        external_ids:ovn-encap-ip="172.31.0.$n" external_ids:ovn-bridge-mappings=outside:br-ex \
        external_ids:ovn-bridge-datapath-type=netdev external_ids:ovn-monitor-all=true
    wait_for ovs "$n" --timeout=20 add-br br-under -- set bridge br-under datapath_type=netdev -- add-port br-under under
    ovs "$n" --timeout=20 add-br br-ex -- set bridge br-ex datapath_type=netdev -- add-port br-ex ext
    ovs "$n" --timeout=20 add-br br-int -- set bridge br-int datapath_type=netdev fail_mode=secure
    in_ns "chassis$n" ip address add "172.31.0.$n/24" dev br-under
    in_ns "chassis$n" ip link set br-under up
    controller "$n"
    vm "$n"
}

# A link of a chassis to a bridge.
wire() { # N LINK BRIDGE
    in_ns $switch ip link add "$2-c$1" type veth peer name "$2" netns "$(ns "chassis$1")"
    in_ns $switch ip link set "$2-c$1" master "$3" addrgenmode none up
    in_ns "chassis$1" ip link set "$2" up
    plain "chassis$1" "$2"
}

ovs() { local n=$1; shift; ovs-vsctl --db="unix:$dir/c$n.sock" "$@"; }

vm() { # N, on chassis N
    local n=$1
    add_ns "vm$n"
    in_ns "vm$n" sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
    in_ns "chassis$n" ip link add "tap$n" type veth peer name eth0 address "02:00:00:00:01:0$n" netns "$(ns "vm$n")"
    in_ns "chassis$n" ip link set "tap$n" up
    in_ns "vm$n" ip link set eth0 mtu 1400 up
    plain "vm$n" eth0
    in_ns "vm$n" ip address add "10.244.0.1$n/16" dev eth0
    in_ns "vm$n" ip address add "fd00:10:244::1$n/64" dev eth0 nodad
    in_ns "vm$n" ip route add default via 10.244.0.254
    in_ns "vm$n" ip route add default via fd00:10:244::fe
    ovs "$n" --timeout=20 add-port br-int "tap$n" -- set interface "tap$n" external_ids:iface-id="vm$n"
}

topology() {
    local n
    set -- --db="$(remotes nb)"
    ovn-nbctl "$@" ls-add lan -- lr-add r1 \
        -- lrp-add r1 r1-lan 02:00:00:00:00:01 10.244.0.254/16 fd00:10:244::fe/64 \
        -- lsp-add lan lan-r1 -- lsp-set-type lan-r1 router -- lsp-set-addresses lan-r1 router \
        -- lsp-set-options lan-r1 router-port=r1-lan \
        -- ls-add outside \
        -- lrp-add r1 r1-outside 02:00:00:00:00:02 10.155.30.2/24 2001:db8:1::2/64 \
        -- lsp-add outside outside-r1 -- lsp-set-type outside-r1 router -- lsp-set-addresses outside-r1 router \
        -- lsp-set-options outside-r1 router-port=r1-outside nat-addresses=router \
        -- lsp-add outside outside-net -- lsp-set-type outside-net localnet \
        -- lsp-set-addresses outside-net unknown -- lsp-set-options outside-net network_name=outside \
        -- lrp-set-gateway-chassis r1-outside chassis1 30 \
        -- lrp-set-gateway-chassis r1-outside chassis2 20
    for n in 1 2 3; do
        ovn-nbctl "$@" lsp-add lan "vm$n" \
            -- lsp-set-addresses "vm$n" "02:00:00:00:01:0$n 10.244.0.1$n fd00:10:244::1$n"
    done
}

# The wires and the host outside, where no lab around this one has them.
outside() {
    add_ns switch
    add_ns client
    local bridge
    for bridge in "$under" "$ext"; do
        in_ns switch ip link add "$bridge" type bridge mcast_snooping 0
        in_ns switch ip link set "$bridge" up
    done
    in_ns switch ip link add client type veth peer name eth0 netns "$(ns client)"
    in_ns switch ip link set client master "$ext" up
    in_ns client sysctl -qw net.ipv6.conf.all.accept_dad=0
    in_ns client ip link set eth0 mtu 1400 up
    in_ns client ip address add 10.155.30.9/24 dev eth0
    in_ns client ip address add 2001:db8:1::9/64 dev eth0 nodad
}

up() { # SERVERS
    mkdir -p "$dir"
    if [ -z "${OVN_LAB_NS:-}" ]; then outside; fi
    local name n pids=()
    for name in client client2 router; do
        if [ -e "$(ns $name)" ]; then plain "$name" eth0; fi
    done
    for name in nb sb; do
        case $1 in
        1) database "$name" "$ovn/root/usr/share/ovn/ovn-$name.ovsschema" & ;;
        3) cluster "$name" "$ovn/root/usr/share/ovn/ovn-$name.ovsschema" & ;;
        esac
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n"; done
    local nb sb
    nb=$(remotes nb) sb=$(remotes sb)
    ovn-nbctl --db="$nb" init
    ovn-sbctl --db="$sb" init
    # shellcheck disable=SC2046
    run northd env OVN_RUNDIR="$dir" ovn-northd $(log northd) $(control northd) --ovnnb-db="$nb" --ovnsb-db="$sb"
    pids=()
    for n in 1 2 3; do
        chassis "$n" &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n"; done
    topology
    wait_for ovn-nbctl --db="$nb" --timeout=20 --wait=hv sync
}

kill_pid() { # NAME
    local pid
    pid=$(cat "$dir/$1.pid" 2>/dev/null) || return 0
    rm -f "$dir/$1.pid"
    kill -CONT "$pid" 2>/dev/null || true
    kill -9 "$pid" 2>/dev/null || true
}

down() {
    local file name
    for file in "$dir"/*.pid; do
        [ -e "$file" ] && kill_pid "$(basename "$file" .pid)"
    done
    for name in $(ip netns list | awk '{print $1}' | grep "^$prefix-" || true); do
        ip netns del "$name"
    done
    rm -rf "$dir"
}

case $command in
up) up "${3:-1}" ;; # SERVERS
down) down ;;
stop-controller) kill -STOP "$(cat "$dir/controller$3.pid")" ;;
continue-controller) kill -CONT "$(cat "$dir/controller$3.pid")" ;;
kill-chassis)
    kill_pid "controller$3"
    kill_pid "vswitchd$3"
    ;;
flows) ovs-ofctl -O OpenFlow15 --names dump-flows "unix:$dir/c$3/br-int.mgmt" ;; # N
northbound) remotes nb ;;
southbound) remotes sb ;;
leader) leader "${3:-nb}" ;; # nb|sb
kill-server) kill_pid "${4:-nb}$3" ;; # N [nb|sb]
start-server) server "${4:-nb}$3" ;; # N [nb|sb]
# A host whose kernel is silent: whoever listens on its link may be anybody.
bare)
    in_ns "$3" ip address flush dev eth0
    in_ns "$3" sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1
    ;;
nbctl) shift 2; ovn-nbctl --db="$(remotes nb)" "$@" ;;
nbctl-script) # FILE with a word a line
    mapfile -t words <"$3"
    ovn-nbctl --db="$(remotes nb)" "${words[@]}" >/dev/null
    ;;
sbctl) shift 2; ovn-sbctl --db="$(remotes sb)" "$@" ;;
*) echo "lab: what is $command?" >&2; exit 1 ;;
esac

#!/usr/bin/env bash
# go-build.sh: builds what the lab is made of from pinned Go modules, into
# target/lab-bin. What is up to date is not built again.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

readonly out=$PWD/target/lab-bin
readonly version=v1.36.3 # of Kubernetes, as in e2e/controlplane/go.mod
mkdir -p "$out"

stamp() { # MODULE: changes when a new build would differ
    { go env GOVERSION; cat "e2e/$1"/go.mod "e2e/$1"/go.sum scripts/go-build.sh; cat "e2e/$1"/*.go 2>/dev/null; } |
        sha256sum | cut -d' ' -f1
}

# build MODULE WHAT ESTIMATE COMMAND...: runs it with a sign of life every 20 s
build() {
    local module=$1 what=$2 estimate=$3
    shift 3
    local want have
    want=$(stamp "$module")
    have=$(cat "$out/.stamp-$module" 2>/dev/null)
    [ "$want" = "$have" ] && return 0
    echo "build: $what: about $estimate the first time"
    local log=$out/.log-$module start=$SECONDS next=20
    (cd "e2e/$module" && exec "$@") >"$log" 2>&1 &
    local pid=$!
    trap 'kill "$pid" 2>/dev/null' EXIT
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.5
        if [ $((SECONDS - start)) -ge "$next" ]; then
            echo "build: ... $what, $((SECONDS - start)) s so far"
            next=$((next + 20))
        fi
    done
    trap - EXIT
    if ! wait "$pid"; then
        tail -20 "$log" >&2
        echo "build: $what failed; all of its output is in $log" >&2
        echo "build: if modules could not be downloaded, look at GOPROXY (now: $(go env GOPROXY)) and run this again" >&2
        return 1
    fi
    echo "$want" >"$out/.stamp-$module"
    echo "build: $what: done in $((SECONDS - start)) s"
}

x=k8s.io/component-base/version
flags="-s -w -X $x.gitVersion=$version -X $x.gitMajor=1 -X $x.gitMinor=36"
flags+=" -X $x.gitCommit=0000000000000000000000000000000000000000 -X $x.gitTreeState=clean"
flags+=" -X $x.buildDate=1970-01-01T00:00:00Z"
build controlplane "Kubernetes $version (etcd, API server, controllers, scheduler, kubelet, kube-proxy)" \
    "5 to 8 minutes on 2 cores" go build -trimpath -o "$out/controlplane" -ldflags "$flags" . || exit 1
# runc's first steps are C, with libseccomp.
GOBIN=$out CGO_ENABLED=1 build nodebins "containerd, runc, CNI plugins, Multus" \
    "1 to 3 minutes on 2 cores" go install -trimpath \
    -tags "seccomp no_btrfs no_zfs no_aufs no_devmapper" -ldflags "-s -w" tool || exit 1

#!/usr/bin/env bash
# chart-test.sh: the chart is well formed, says what the plain manifests say, refuses
# wrong values, and deploy/install.yaml is what it renders.
set -uo pipefail
cd "$(dirname "$0")/.."
scripts/go-tools.sh || exit 1
helm=target/tools/helm
export HELM_CACHE_HOME=$PWD/target/tools/cache HELM_CONFIG_HOME=$PWD/target/tools/config HELM_DATA_HOME=$PWD/target/tools/data
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0
check() { # WHAT COMMAND...
    local what=$1
    shift
    if "$@" >"$tmp/out" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "chart: $what: failed" >&2
        tail -20 "$tmp/out" >&2
    fi
}
refuses() { # WORD ARGS...: rendering fails, and says the word
    local word=$1
    shift
    ! "$helm" template sluice deploy/chart -n sluice-system "$@" >"$tmp/refused" 2>&1 && grep -q -- "$word" "$tmp/refused"
}
render() { "$helm" template sluice deploy/chart -n sluice-system "$@"; }
contains() { # WORD ARGS...: what is rendered contains the word
    local word=$1
    shift
    render "$@" >"$tmp/rendered" && grep -q -- "$word" "$tmp/rendered"
}
lacks() {
    local word=$1
    shift
    render "$@" >"$tmp/rendered" && ! grep -q -- "$word" "$tmp/rendered"
}

check "lint" "$helm" lint --strict deploy/chart -n sluice-system
check "deploy/install.yaml is up to date: run make gen" bash -c "scripts/install-yaml.sh '$tmp/install.yaml' && diff -u deploy/install.yaml '$tmp/install.yaml'"
check "another namespace, everywhere" bash -c "'$helm' template sluice deploy/chart -n nat > '$tmp/nat' && ! grep -n 'sluice-system' '$tmp/nat' && grep -q 'system:serviceaccount:nat:sluice-operator' '$tmp/nat'"
check "images" contains "image: registry.example/op:1" --set image.repository=registry.example/op --set-string image.tag=1
check "gateway image" contains "value: registry.example/gw:dev" --set gatewayImage.repository=registry.example/gw
check "definitions stay" contains "helm.sh/resource-policy: keep"
check "definitions may go" lacks "helm.sh/resource-policy" --set crds.keep=false
check "definitions may be left out" lacks "kind: CustomResourceDefinition" --set crds.install=false
each_definition() { # a template, which upgrades upgrade
    ! [ -e deploy/chart/crds ] && render >"$tmp/rendered" && local f && for f in deploy/crds/*.yaml; do
        grep -q "^  name: $(basename "$f" .yaml)$" "$tmp/rendered" || { echo "$f is not rendered"; return 1; }
    done
}
hook() { # all objects of the hook are hooks, and go with it
    render -s templates/uninstall.yaml >"$tmp/rendered" &&
        [ "$(grep -c '^kind:' "$tmp/rendered")" = 4 ] &&
        [ "$(grep -c 'helm.sh/hook: pre-delete' "$tmp/rendered")" = 4 ] &&
        [ "$(grep -c 'before-hook-creation,hook-succeeded' "$tmp/rendered")" = 4 ]
}
check "upgrades upgrade each definition" each_definition
check "the hook before an uninstallation" hook
check "the hook looks for the operator in its namespace" bash -c "'$helm' template sluice deploy/chart -n nat -s templates/uninstall.yaml | grep -q -- '--operator-namespace=nat'"
check "the hook may be left out" lacks "helm.sh/hook: pre-delete" --set uninstall.hook=false
check "the guard may be left out" lacks "in-use.sluice.dev" --set policies.guardInUse=false
check "no spans unless asked" lacks "OTLP"
check "spans of both" bash -c "'$helm' template sluice deploy/chart -n s --set tracing.endpoint=http://c:4318 --set tracing.gatewayEndpoint=http://d:4318 > '$tmp/spans' && grep -A1 'SLUICE_OTLP_ENDPOINT' '$tmp/spans' | grep -q 'http://c:4318' && grep -A1 'SLUICE_GATEWAY_OTLP_ENDPOINT' '$tmp/spans' | grep -q 'http://d:4318'"
check "refuses a receiver by TLS" refuses "pattern" --set tracing.endpoint=https://c:4318
check "no monitoring unless asked" lacks "monitoring.coreos.com"
check "monitoring" contains "SluiceOperatorDown" --set metrics.prometheusRule=true
check "pod monitors" contains "kind: PodMonitor" --set metrics.podMonitor=true
check "dashboard" contains "grafana_dashboard" --set metrics.dashboard=true
check "pull secrets, selectors, tolerations, priority" contains "priorityClassName: high" --set 'imagePullSecrets={a}' \
    --set nodeSelector.a=b --set 'tolerations[0].key=x' --set priorityClassName=high
check "refuses an unknown value" refuses "additional properties" --set imagee.tag=1
check "refuses a wrong type" refuses "replicas" --set replicas=many
check "refuses a wrong word" refuses "pullPolicy" --set image.pullPolicy=Sometimes
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]

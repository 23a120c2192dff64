#!/usr/bin/env bash
# install-yaml.sh [FILE]: renders the chart, with its defaults and its namespace, as the
# plain manifest deploy/install.yaml.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/go-tools.sh
export HELM_CACHE_HOME=$PWD/target/tools/cache HELM_CONFIG_HOME=$PWD/target/tools/config HELM_DATA_HOME=$PWD/target/tools/data
{
    echo "# Generated from deploy/chart by \`make gen\`; do not edit."
    # Helm tells of every symbolic link.
    target/tools/helm template sluice deploy/chart -n sluice-system --set namespace.create=true --set crds.keep=false --set uninstall.hook=false \
        2> >(grep -v 'found symbolic link' >&2)
} >"${1:-deploy/install.yaml}"

#!/usr/bin/env bash
# krew.sh: packs kubectl-sluice for krew into target/krew: the archive of a release, the same
# bytes from the same binary each time, and the manifest with its sum.
set -euo pipefail
cd "$(dirname "$0")/.."
out=target/krew
archive=$out/kubectl-sluice-linux-amd64.tar.gz
cargo build --quiet --release -p kubectl-sluice
mkdir -p "$out/files"
strip -o "$out/files/kubectl-sluice" target/x86_64-unknown-linux-gnu/release/kubectl-sluice
cp LICENSE "$out/files/"
tar -C "$out/files" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
  -cf - kubectl-sluice LICENSE | gzip -9n > "$archive"
sum=$(sha256sum "$archive" | cut -d' ' -f1)
sed -e '/^# /d' -e "s/sha256: \"0*\"/sha256: \"$sum\"/" deploy/krew/sluice.yaml > "$out/sluice.yaml"
grep -q "$sum" "$out/sluice.yaml" || { echo "krew: deploy/krew/sluice.yaml has no sum to fill in" >&2; exit 1; }
echo "krew: $archive, $out/sluice.yaml (sha256 $sum)"

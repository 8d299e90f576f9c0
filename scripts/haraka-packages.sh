#!/bin/sh
# Fetch Haraka, which `make bench` measures, into .cache/bench/haraka, exactly as its lock file says.
# Without npm's registry, say so and go on: it is left out then (under CI that is a failure).
set -eu
folder=.cache/bench/haraka

rm -rf "$folder"
mkdir -p "$folder"
cp npm/.npmrc tests/benchmarks/haraka/package.json tests/benchmarks/haraka/package-lock.json "$folder"
# What is optional are modules of plugins that we do not load.
if PATH="$PWD/.venv/bin:$PATH" .venv/bin/npm ci --omit=optional --prefix "$folder" \
    >.cache/haraka.log 2>&1
then touch "$folder/.made"
else
    tail -n 5 .cache/haraka.log >&2
    echo "Could not fetch Haraka (all of it: .cache/haraka.log)." >&2
    [ "${CI:-}" != true ]
fi

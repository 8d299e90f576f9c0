#!/bin/sh
# Fetch npm's packages into npm/node_modules, exactly those of the lock file. Without npm's registry,
# say so and go on: the site is then built with cells that only show (under CI that is a failure).
set -eu

mkdir -p .cache
if ! PATH="$PWD/.venv/bin:$PATH" .venv/bin/npm ci --prefix npm >.cache/npm.log 2>&1
then
    tail -n 5 .cache/npm.log >&2
    echo "Could not fetch npm's packages (all of it: .cache/npm.log)." \
        "The site's cells will not be live." >&2
    [ "${CI:-}" != true ]
fi

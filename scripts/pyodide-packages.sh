#!/bin/sh
# Put pytest and what tests of the core import into .cache/pyodide, as built for Pyodide. Where they
# cannot be had, say so and go on: the test that needs them is skipped, and says why (under CI it
# fails).
set -eu
folder=.cache/pyodide

rm -rf "$folder"
if .venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt \
    --target "$folder" --only-binary=:all: --python-version 3.14 \
    --platform pyemscripten_2026_0_wasm32 pytest hypothesis rich typer
then touch "$folder/.made"
else
    rm -rf "$folder"
    echo "Could not fetch the packages for tests in Pyodide." >&2
    [ "${CI:-}" != true ]
fi

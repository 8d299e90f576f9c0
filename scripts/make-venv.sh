#!/bin/sh
# Make the virtual environment $1 with $PYTHON, where there is none that works.
set -eu
folder=$1

# One that works stays; one whose Python is gone or too old is made anew.
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
if "$folder/bin/python" -c "$new_enough" 2>/dev/null && "$folder/bin/python" -m pip --version >/dev/null 2>&1
then exit 0
fi

# A Python that was named is the one wanted; the system's own may be too old beside a newer one.
wanted=${PYTHON:-python3}
case $wanted in
    python3) candidates="python3 python3.14 python3.13 python3.12 python3.11" ;;
    *) candidates=$wanted ;;
esac
python=
for candidate in $candidates; do
    if "$candidate" -c "$new_enough" 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    echo "qpsdk needs Python 3.11 or newer, and $wanted is" \
        "$("$wanted" --version 2>/dev/null || echo "not installed")." \
        "Install one, or name it: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi

# Debian keeps the part of venv that brings pip in a package of its own.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "$python cannot make a virtual environment: install $package" \
            "(Debian: apt-get install $package), then run make again." >&2
        exit 1
    fi
    echo "Installing $package ..."
    apt-get -qq update >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$package" >/dev/null
fi

"$python" -m venv --clear "$folder"

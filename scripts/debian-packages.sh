#!/bin/sh
# Install the Debian packages whose programs the tests and benchmarks run, where they are missing.
# Without the right to install, say so and go on: the tests that need them skip, and say why
# (under CI they fail).
set -eu

mkdir -p .cache
packages=$(.venv/bin/python -m tests.programs)
[ -n "$packages" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Not installed: $packages. The tests that need them are skipped;" \
        "as root on Debian, make installs them." >&2
    exit 0
fi

echo "Installing Debian packages: $packages ..."
export DEBIAN_FRONTEND=noninteractive
# Postfix is here for its test programs: without a main.cf its daemon does not start; nor does
# qpsmtpd unless one says so.
echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections
# --no-remove, since postfix would push another mail server (exim4) off the machine.
# shellcheck disable=SC2086 # a list of names
if ! { apt-get -qq update &&
    apt-get -qq install -y --no-install-recommends --no-remove $packages; } >.cache/apt.log 2>&1
then
    tail -n 5 .cache/apt.log >&2
    echo "Could not install $packages (all of it: .cache/apt.log)." >&2
    [ "${CI:-}" != true ]
fi

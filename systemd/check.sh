#!/bin/sh
# Checks the unit: that systemd understands it, and that its exposure level is at most 2.0. Without systemd-analyze
# there is nothing to check with, and it says so.
set -eu
cd "$(dirname "$0")"
most=2.0

if ! command -v systemd-analyze >/dev/null; then
    echo "systemd/check.sh: no systemd-analyze here, not checked"
    exit 0
fi

# The programs and the user belong to an installed box: what is said about their absence is expected.
complaints=$(systemd-analyze verify --man=no ./snowgate.service 2>&1 | grep 'snowgate' | grep -v 'is not executable' || true)
if [ -n "$complaints" ]; then
    echo "$complaints"
    exit 1
fi

level=$(systemd-analyze security --offline=true ./snowgate.service | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p')
if [ -z "$level" ] || ! awk "BEGIN { exit !($level <= $most) }"; then
    echo "systemd/check.sh: exposure level ${level:-unknown}, at most $most is allowed:"
    systemd-analyze security --offline=true ./snowgate.service | grep '✗' || true
    exit 1
fi
echo "systemd/check.sh: exposure level $level (at most $most)"

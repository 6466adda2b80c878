#!/bin/sh
# Checks the unit, alone and with each drop-in of drop-ins/: that systemd understands it, and its exposure level. That of the
# unit is at most 2.0; that with a drop-in is printed, for whoever decides to enable one. Without systemd-analyze there is
# nothing to check with, and it says so.
set -eu
cd "$(dirname "$0")"
most=2.0

if ! command -v systemd-analyze >/dev/null; then
    echo "systemd/check.sh: no systemd-analyze here, not checked"
    exit 0
fi

# A unit as it would be installed; what is looked up beside it is its own drop-ins only.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp snowgate.service "$work"

# The programs and the user belong to an installed box: what is said about their absence is expected.
verify() {
    complaints=$(systemd-analyze verify --man=no "$work/snowgate.service" 2>&1 | grep 'snowgate' | grep -v 'is not executable' || true)
    if [ -n "$complaints" ]; then
        echo "systemd/check.sh: $1:"
        echo "$complaints"
        exit 1
    fi
}

security() {
    systemd-analyze security --offline=true "$work/snowgate.service"
}

level() {
    security | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\) .*/\1/p'
}

verify snowgate.service
alone=$(level)
if [ -z "$alone" ] || ! awk "BEGIN { exit !($alone <= $most) }"; then
    echo "systemd/check.sh: exposure level ${alone:-unknown}, at most $most is allowed:"
    security | grep '✗' || true
    exit 1
fi
echo "systemd/check.sh: exposure level $alone (at most $most)"

mkdir "$work/snowgate.service.d"
for drop_in in drop-ins/*.conf; do
    cp "$drop_in" "$work/snowgate.service.d/"
    verify "snowgate.service with $drop_in"
    with=$(level)
    # A drop-in opens something: where the level is that of the unit alone, it was not read.
    if [ -z "$with" ] || ! awk "BEGIN { exit !($with > $alone) }"; then
        echo "systemd/check.sh: exposure level ${with:-unknown} with $drop_in, above $alone was expected"
        exit 1
    fi
    echo "systemd/check.sh: exposure level $with with $drop_in"
    rm "$work/snowgate.service.d/${drop_in##*/}"
done

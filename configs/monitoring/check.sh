#!/bin/sh
# Checks what is given to Prometheus and Grafana: that the rules are understood, that each alert is raised when it should be and none
# on a box on which all is well, and that the boards are what board.py writes. Without promtool the rules are not checked, and it says so.
set -eu
cd "$(dirname "$0")"
python3 -B board.py --check
if ! command -v promtool >/dev/null; then
    echo "configs/monitoring/check.sh: no promtool here, rules not checked"
    exit 0
fi
promtool check rules snowgate.rules.yaml >/dev/null
promtool test rules snowgate.rules.test.yaml >/dev/null
echo "configs/monitoring/check.sh: $(grep -c 'alert:' snowgate.rules.yaml) alerts checked, each raised once and none where all is well"

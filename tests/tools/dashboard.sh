#!/bin/bash
# The dashboard and the alerts name metrics that there are, and use them as their kind wants.
: "${HEARTH:=build/release/hearth}"
if ! command -v python3 >/dev/null; then
    echo 1..1
    echo "ok 1 - dashboard # SKIP python3 is missing"
    exit 0
fi
"$HEARTH" debug list metrics | python3 tests/tools/dashboard.py packaging/grafana/hearth.json \
    packaging/prometheus/rules.yml

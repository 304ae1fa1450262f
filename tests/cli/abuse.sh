#!/bin/bash
# A real server with a small model, and clients that mean it ill: what they send
# (abuse_cases.py) and how they behave (abuse_faults.py).
: "${HEARTH:=build/release/hearth}"
export HEARTH
model=../shared/models/stories260k.gguf
if [ ! -r "$model" ] || ! command -v python3 >/dev/null; then
    echo "ok 1 - abuse # SKIP no model, or no python3"
    echo 1..1
    exit
fi
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/cli exec python3 tests/cli/abuse_cases.py "$model"

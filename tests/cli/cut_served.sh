#!/bin/bash
# A server whose model's file is cut, or written over, under it (cut_served.py).
: "${HEARTH:=build/release/hearth}"
export HEARTH
model=../shared/models/stories260k.gguf
if [ ! -r "$model" ] || ! command -v python3 >/dev/null; then
    echo "ok 1 - a served model that is cut # SKIP no model, or no python3"
    echo 1..1
    exit
fi
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/cli exec python3 tests/cli/cut_served.py "$model"

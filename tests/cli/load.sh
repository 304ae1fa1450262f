#!/bin/bash
# A real server with small models under a load of everything at once: load_mix.py.
: "${HEARTH:=build/release/hearth}"
export HEARTH
model=../shared/models/stories260k.gguf
if [ ! -r "$model" ] || ! command -v python3 >/dev/null; then
    echo "ok 1 - load # SKIP no model, or no python3"
    echo 1..1
    exit
fi
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/cli exec python3 tests/cli/load_mix.py "$model"

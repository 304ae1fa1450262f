#!/bin/bash
# What the server says where no handler is reached: tests/cli/door_cases.py has the cases.
: "${HEARTH:=build/release/hearth}"
export HEARTH
model=../shared/models/stories260k.gguf
if [ ! -r "$model" ] || ! command -v python3 >/dev/null; then
    echo "ok 1 - door # SKIP no model, or no python3"
    echo 1..1
    exit
fi
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/cli exec python3 tests/cli/door_cases.py "$model"

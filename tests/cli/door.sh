#!/bin/bash
# What the server says where no handler is reached: tests/cli/door_cases.py has the cases.
: "${HEARTH:=build/release/hearth}"
export HEARTH PYTHONPATH=tests/cli PYTHONDONTWRITEBYTECODE=1
exec python3 tests/cli/door_cases.py ../shared/models/stories260k.gguf

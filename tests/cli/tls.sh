#!/bin/bash
# The server behind TLS: tests/cli/tls_cases.py has the cases.
: "${HEARTH:=build/release/hearth}"
export HEARTH
model=../shared/models/stories260k.gguf
if [ ! -r "$model" ] || ! command -v python3 >/dev/null || ! command -v openssl >/dev/null; then
    echo "ok 1 - tls # SKIP no model, no python3, or no openssl"
    echo 1..1
    exit
fi
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests/cli exec python3 tests/cli/tls_cases.py "$model"

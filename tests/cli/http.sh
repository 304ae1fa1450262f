#!/bin/bash
# The front of the server, byte by byte: tests/cli/http_cases.py has the cases.
: "${HEARTH:=build/release/hearth}"
exec python3 tests/cli/http_cases.py "$(dirname "$HEARTH")/tests/cli/http_server"

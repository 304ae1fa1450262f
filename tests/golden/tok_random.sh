#!/bin/sh
# Random Unicode texts against the reference tokenizer; tok_random.py says how.
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is missing"; exit 0; }
exec python3 tests/golden/tok_random.py

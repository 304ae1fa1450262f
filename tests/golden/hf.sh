#!/bin/sh
# Hugging Face folders against the golden GGUF files; hf.py says how.
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is missing"; exit 0; }
tests/golden/make_fixtures # without them it says what it skips
HEARTH=${HEARTH:-build/release/hearth} exec python3 tests/golden/hf.py

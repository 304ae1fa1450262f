#!/bin/sh
# Tokenizers of Hugging Face folders against known vocabularies; hf_tok.py says how.
command -v python3 >/dev/null || { echo "1..0 # SKIP python3 is missing"; exit 0; }
HEARTH=${HEARTH:-build/release/hearth} exec python3 tests/golden/hf_tok.py

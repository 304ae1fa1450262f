#!/bin/bash
# Tiny models of every family with what a slow program in Python, written from the papers,
# computes for them: `hearth debug` must agree on the reference tier and on the best one, and give
# the same bits however the ids are cut. The program is among the shared fixtures; it takes a
# minute, so what it wrote is kept in build/fixtures.
. tests/cli/lib.sh

maker=../shared/ref/models_ref/fixtures.py
dir=${FIXTURES:-build/fixtures}
if [ ! -r $maker ]; then
    skip "tiny models of every family" "$maker is missing"
    finish
fi
if [ ! -d "$dir" ]; then
    part=$dir.part.$$
    if ! python3 $maker "$part" >"$work/out" 2>"$work/err"; then
        rm -rf "$part"
        false
        ok "writing the models" $?
        finish
    fi
    mv "$part" "$dir" 2>>"$work/err" || rm -rf "$part"
fi
python3 tests/golden/compare.py "$HEARTH" "$dir" "$work"

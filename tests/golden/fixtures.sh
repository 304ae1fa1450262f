#!/bin/bash
# Tiny models of every family with what a slow program in Python, written from the papers,
# computes for them: `hearth debug` must agree on the reference tier and on the best one, and give
# the same bits however the ids are cut. The program is among the shared fixtures; it takes a
# minute, so what it wrote is kept in build/fixtures.
. tests/cli/lib.sh

tests/golden/make_fixtures 2>"$work/err"
case $? in
0) ;;
2)
    skip "tiny models of every family" "the program that writes them is missing"
    finish
    ;;
*)
    false
    ok "writing the models" $?
    finish
    ;;
esac
python3 tests/golden/compare.py "$HEARTH" "${FIXTURES:-build/fixtures}" "$work"

#!/bin/bash
# Tools refuse words that they do not know, before they do anything.
: "${HEARTH:=build/release/hearth}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
kernels=$(dirname "$HEARTH")/bench/kernels
i=0
refuses() # NAME TEXT COMMAND...: nothing on stdout, and TEXT on stderr
{
    local name=$1 text=$2
    shift 2
    i=$((i + 1))
    if ! "$@" >"$work/out" 2>"$work/err" && [ ! -s "$work/out" ] && grep -qF -- "$text" "$work/err"; then
        echo "ok $i - $name"
    else
        echo "not ok $i - $name"
        head -n 5 "$work/out" "$work/err" | sed 's/^/# /'
    fi
}

echo 1..8
refuses "setup: no such stage" "usage: tools/setup" tools/setup rocket
refuses "setup: no such option" "usage: tools/setup" tools/setup build -x
refuses "setup: a word too many" "usage: tools/setup" tools/setup build -n -n
if [ -x "$kernels" ]; then
    refuses "kernels: no such row" "no row is called so here: nosuch" "$kernels" nosuch
    refuses "kernels: beside one that is" "here: nosuch" "$kernels" ref nosuch
    refuses "kernels: no such option" "here: --rows" "$kernels" --rows
    refuses "kernels: an option in the wrong place" "here: --columns" "$kernels" mul --columns
    other=dotprod
    [ "$(uname -m)" = aarch64 ] && other=avx2
    refuses "kernels: another machine's tier" "here: $other" "$kernels" $other
else
    for i in 4 5 6 7 8; do echo "ok $i - # SKIP $kernels is not built"; done
fi

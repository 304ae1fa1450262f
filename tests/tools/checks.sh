#!/bin/bash
# The checks find what they are for: each gets a small tree with one fault in it.
home=$PWD
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src/base" "$work/src/sys" "$work/include" "$work/tests" "$work/tools" "$work/build/src/sys"
cp tools/layers tools/banned tools/symbols "$work/tools/"
cp include/hearth.h "$work/include/"
cd "$work" || exit 1
echo 1..7
i=0

tell() # NAME WANT STATUS: 0 or 1 is wanted
{
    i=$((i + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $i - $1"
    else
        echo "not ok $i - $1"
        sed 's/^/# /' log
    fi
}
try() # NAME WANT TOOL [ARGS]
{
    local name=$1 want=$2 status
    shift 2
    "$home/tools/$1" "${@:2}" >log 2>&1
    status=$?
    tell "$name" "$want" $status
}

printf '#include "base/a.h"\n' >src/sys/one.c
try "an include downwards" 0 check-layers
printf '#include "sys/one.h"\n' >src/base/a.h
try "an include upwards" 1 check-layers
: >src/base/a.h

printf '/* free(p) is not for us */\nint one_free(int n);\nint one_free(int n)\n{\n    return n;\n}\n' >src/sys/one.c
try "a forbidden name in a comment, and inside another" 0 check-banned
printf 'void one_put(char *p)\n{\n    sprintf(p, "x");\n}\n' >src/sys/one.c
try "a forbidden call" 1 check-banned
printf 'void one_put(char *p)\n{\n    free(p);\n}\n' >src/sys/one.c
try "memory past base/" 1 check-banned

printf 'int one_get(void);\nint one_get(void)\n{\n    return 1;\n}\nint stray(void);\nint stray(void)\n{\n    return 1;\n}\n' >src/sys/one.c
: >include/hearth.h
${CC:-gcc} -c -o build/src/sys/one.o src/sys/one.c
try "a symbol without its module's name" 1 check-symbols build
sed -i 's/stray/one_stray/g' src/sys/one.c
${CC:-gcc} -c -o build/src/sys/one.o src/sys/one.c
try "symbols with it" 0 check-symbols build

#!/bin/bash
# An installed Hearth is complete: a program of somebody else's builds against it, and
# uninstalling leaves no file.
: "${HEARTH:=build/release/hearth}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
dir=$(dirname "$HEARTH")
echo 1..6
check() # NUMBER NAME STATUS: 0 is well; what went wrong is in $work/log
{
    if [ "$3" = 0 ]; then
        echo "ok $1 - $2"
    else
        echo "not ok $1 - $2"
        sed 's/^/# /' "$work/log"
    fi
}

tools/install "$work" /opt/h "$HEARTH" "$dir/libhearth.a" 9.9 >"$work/log" 2>&1 &&
    "$work/opt/h/bin/hearth" --version >>"$work/log" 2>&1
check 1 "the installed program starts" $?

cat >"$work/user.c" <<'END'
#include <hearth.h>
#include <stdio.h>
int main(void)
{
    struct hearth_model *m;
    struct hearth_error e;
    int rc = hearth_model_open(&m, "/nonexistent.gguf", NULL, &e);

    printf("%s\n", e.message);
    return rc == HEARTH_E_NOT_FOUND ? 0 : 1;
}
END

flags() # pkg-config's words for what was installed
{
    PKG_CONFIG_PATH=$work/opt/h/lib/pkgconfig \
        pkg-config --define-variable=prefix="$work/opt/h" "$@" hearth
}
builds() # NUMBER NAME FLAGS...: the program is built with these, and says what it should
{
    local number=$1 name=$2
    shift 2
    rm -f "$work/user"
    ${CC:-gcc} -Wall -Werror -o "$work/user" "$work/user.c" "$@" >"$work/log" 2>&1 &&
        "$work/user" >>"$work/log" 2>&1
    check "$number" "$name" $?
}
case $dir in
*-*)
    for i in 2 3 4 5; do echo "ok $i - # SKIP a sanitized library is not for others"; done
    ;;
*)
    builds 2 "a program builds against the library and fails politely" $(flags --cflags --libs)
    builds 3 "with what a static link is told, too" $(flags --static --cflags --libs)
    if echo 'int main(void) { return 0; }' |
        ${CC:-gcc} -static -x c -o "$work/none" - -ljansson -lutf8proc -lm 2>"$work/log"; then
        builds 4 "and altogether static" -static $(flags --static --cflags --libs)
    else
        echo "ok 4 - # SKIP static libraries are missing"
    fi
    # What only the program uses needs not be installed where the library is.
    wants=$(flags --libs | tr ' ' '\n' | grep -c 'edit')
    echo "of no use: $wants" >"$work/log"
    check 5 "nothing is asked for that the library does not use" "$wants"
    ;;
esac

tools/uninstall "$work" /opt/h >"$work/log" 2>&1
find "$work/opt" -type f >>"$work/log"
check 6 "uninstalling leaves nothing" "$(wc -l <"$work/log")"

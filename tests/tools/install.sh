#!/bin/bash
# An installed Hearth is complete: a program of somebody else's builds against it, and
# uninstalling leaves no file.
: "${HEARTH:=build/release/hearth}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
dir=$(dirname "$HEARTH")
echo 1..3
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
case $dir in
*-*) echo "ok 2 - # SKIP a sanitized library is not for others" ;;
*)
    export PKG_CONFIG_PATH=$work/opt/h/lib/pkgconfig
    ${CC:-gcc} -Wall -Werror -o "$work/user" "$work/user.c" \
        $(pkg-config --define-variable=prefix="$work/opt/h" --static --cflags --libs hearth) \
        >"$work/log" 2>&1 && "$work/user" >>"$work/log" 2>&1
    check 2 "a program builds against the library and fails politely" $?
    ;;
esac

tools/uninstall "$work" /opt/h >"$work/log" 2>&1
find "$work/opt" -type f >>"$work/log"
check 3 "uninstalling leaves nothing" "$(wc -l <"$work/log")"

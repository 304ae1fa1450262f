#!/bin/bash
# What the papers say that there is, is what the program says that there is.
: "${HEARTH:=build/release/hearth}"
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export LC_ALL=C
i=0
verdict() # NAME STATUS: the reason for a failure is in $work/why
{
    i=$((i + 1))
    if [ "$2" = 0 ]; then
        echo "ok $i - $1"
    else
        echo "not ok $i - $1"
        sed 's/^/# /' "$work/why"
    fi
}
# The words of a row of README's table, sorted: what stands in backquotes, or else between commas.
row()
{
    grep "^| $1 |" README.md | cut -d'|' -f3 | sed 's/([^)]*)//g' | tr -d '` ' | tr ',' '\n' | sort
}

commands="run bench bench-serve show convert debug ps"
set -- $commands
echo 1..$((3 + $#))

tools/list-archs "$HEARTH" >"$work/list" 2>"$work/why"
sed -n '/^| architecture |/,/^$/p' README.md | grep . | diff "$work/list" - >>"$work/why"
verdict "README's architectures are what tools/list-archs writes" $?

"$HEARTH" debug list quants >"$work/list" 2>"$work/why"
tail -n +2 "$work/list" | awk '{ print $1 }' | sort | diff - <(row weights) >>"$work/why"
verdict "README's weight formats are the built ones" $?

# Options that a page shows, against those of --help.
for command in $commands; do
    if [ "$command" = debug ]; then
        for sub in logits embd tokens detok list render probe reply grammar; do "$HEARTH" debug $sub --help; done
    elif [ "$command" = bench-serve ]; then
        "$HEARTH" bench serve --help
    else
        "$HEARTH" help "$command"
    fi >"$work/help" 2>"$work/why"
    grep -oE '(^|[ ,[])--?[a-z][a-z-]*' "$work/help" | tr -d ' ,[' | grep -vxE -- '-h|--help' |
        sort -u >"$work/have"
    grep -oE '\*--?[a-z][a-z-]*\*' "docs/man/hearth-$command.1.scd" | tr -d '*' | sort -u >"$work/told"
    [ -s "$work/have" ] && diff "$work/have" "$work/told" >>"$work/why"
    verdict "hearth-$command(1) has the options of --help" $?
done

"$HEARTH" help >"$work/help" 2>"$work/why"
awk '/^Commands:/ { on = 1; next } on && /^  [a-z]/ { print $1 }' "$work/help" | sort >"$work/have"
# "ls" is a second name, which help does not list.
sed -n '/^# COMMANDS/,/^# MODELS/s/^\(\*[a-z*, ]*\*\)$/\1/p' docs/man/hearth.1.scd | tr -d '* ' | tr ',' '\n' |
    grep -vx ls | sort >"$work/told"
[ -s "$work/have" ] && diff "$work/have" "$work/told" >>"$work/why"
verdict "hearth(1) has the commands of hearth help" $?

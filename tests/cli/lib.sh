# What the tests of the command line share. They run from the root of the repository and speak
# TAP; $HEARTH is the program.
: "${HEARTH:=build/release/hearth}"
models=../shared/models
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
export HEARTH_HOST=unix:$work/none # no server of this machine's user is to answer
n_test=0
n_bad=0

ok() # NAME STATUS: 0 is well; else what $work/out and $work/err hold is shown
{
    n_test=$((n_test + 1))
    if [ "$2" = 0 ]; then
        echo "ok $n_test - $1"
    else
        n_bad=$((n_bad + 1))
        echo "not ok $n_test - $1"
        tr -d '\0' <"$work/out" | tail -n 20 | sed 's/^/# out: /'
        tail -n 20 "$work/err" | sed 's/^/# err: /'
    fi
}

skip() # NAME WHY
{
    n_test=$((n_test + 1))
    echo "ok $n_test - $1 # SKIP $2"
}

finish()
{
    echo "1..$n_test"
    [ "$n_bad" = 0 ]
    exit
}

hearth() # ARGUMENTS: output in $work/out, errors in $work/err, nothing on standard input
{
    "$HEARTH" "$@" >"$work/out" 2>"$work/err" </dev/null
}

# A failure is one line on stderr that says so, nothing on stdout, and its exit status.
fails() # NAME STATUS TEXT ARGUMENTS...
{
    local name=$1 status=$2 text=$3 got
    shift 3
    hearth "$@"
    got=$?
    [ "$got" = "$status" ] && [ "$(wc -l <"$work/err")" = 1 ] && [ ! -s "$work/out" ] &&
        grep -q '^error: ' "$work/err" && grep -qF -- "$text" "$work/err"
    set -- $?
    [ "$1" = 0 ] || echo "# status $got, want $status, and: $text"
    ok "$name" "$1"
}

# Is the file one JSON value? Without python3 only its braces are looked at.
is_json() # FILE
{
    if command -v python3 >/dev/null; then
        python3 -c 'import json, sys; json.load(open(sys.argv[1], "rb"))' "$1" 2>>"$work/err"
    else
        grep -q '^[{[].*[]}]$' "$1"
    fi
}

#!/bin/bash
# The runner counts what the other tests say, so a runner that miscounts hides everything:
# here it runs programs whose verdicts are known.
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
echo 1..10
i=0

program() # NAME LINE...: a program that prints the lines, and does "exit" or "kill" ones
{
    local file=$work/$1.sh
    shift
    for line; do
        case $line in
        exit* | kill* | sleep* | echo*) echo "$line" ;;
        *) printf 'echo "%s"\n' "$line" ;;
        esac
    done >"$file"
}
expect() # NAME PROGRAM COUNTS TEXT: the closing line, a text in the output, and the status
{
    local got status want=0

    i=$((i + 1))
    got=$(tests/run -t 2 "$work/$2.sh" 2>&1)
    status=$?
    case $3 in *" 0 failed"*) ;; *) want=1 ;; esac
    if [ "$(tail -n 1 <<<"$got")" = "$3" ] && grep -qF -- "$4" <<<"$got" && [ $status = $want ]; then
        echo "ok $i - $1"
    else
        echo "not ok $i - $1"
        sed 's/^/# /' <<<"status $status"$'\n'"$got"
    fi
}

program good '1..2' 'ok 1 - a' 'ok 2 - b'
expect "passes" good "2 passed, 0 failed, 0 skipped" "  ok  "
program bad '1..2' 'ok 1 - a' 'not ok 2 - b' '# 0x1 != 0x2' 'exit 1'
expect "a failure with its reason" bad "1 passed, 1 failed, 0 skipped" "# 0x1 != 0x2"
program skip '1..3' 'ok 1 - a' 'no fixture here' 'not ok 2 # SKIP b' 'ok 3 # SKIP no python'
expect "skips in both spellings" skip "1 passed, 0 failed, 2 skipped" "b: no fixture here"
program crash '1..1' 'kill -SEGV $$'
expect "a crash" crash "0 passed, 1 failed, 0 skipped" "died of signal 11"
program crash_late '1..1' 'ok 1 - a' 'kill -ABRT $$'
expect "a crash after the last test" crash_late "1 passed, 1 failed, 0 skipped" "signal 6"
program short '1..3' 'ok 1 - a'
expect "fewer tests than planned" short "1 passed, 1 failed, 0 skipped" "ran 1 of 3"
program silent 'exit 0'
expect "silence" silent "0 passed, 1 failed, 0 skipped" "no plan"
program status '1..1' 'ok 1 - a' 'exit 3'
expect "a bad status alone" status "1 passed, 1 failed, 0 skipped" "ended with status 3"
program slow '1..1' 'sleep 30'
expect "a program that hangs" slow "0 passed, 1 failed, 0 skipped" "took longer than 2 s"

# The emulator here prints its option and the program's name.
printf '#!/bin/sh\necho 1..1; echo "not ok 1 - $*"\n' >"$work/emulator"
printf '#!/bin/sh\nexit 1\n' >"$work/emulated"
chmod +x "$work/emulator" "$work/emulated"
got=$(tests/run -e "$work/emulator -cpu old" "$work/emulated" 2>&1)
if grep -qF "not ok 1 - -cpu old $work/emulated" <<<"$got"; then
    echo "ok 10 - an emulator"
else
    echo "not ok 10 - an emulator"
    sed 's/^/# /' <<<"$got"
fi

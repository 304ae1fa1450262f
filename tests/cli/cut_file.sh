#!/bin/bash
# A model file that goes away under the program: one line that says so, not a silent death.
. tests/cli/lib.sh

model=$models/stories260k.gguf
if [ ! -r $model ]; then
    skip "a file that is cut while it is in use" "$model is missing"
    finish
fi
mkfifo "$work/pipe" || exit 1

# Starts a long answer, and comes back when its first bytes are there; they go on through fd 3.
answer() # FILE ARGUMENTS...
{
    "$HEARTH" run "$@" --temp 1 --seed 1 -n 100000 -c 100000 "Once upon a time" \
        >"$work/pipe" 2>"$work/err" </dev/null &
    exec 3<"$work/pipe"
    head -c 5 <&3 >"$work/out"
}
ending() # waits for its end; the status
{
    cat <&3 >/dev/null
    exec 3<&-
    wait $!
}

# The reference tier reads all weights from the file, all the time.
for threads in 1 3; do
    cp $model "$work/m.gguf"
    answer "$work/m.gguf" --cpu ref -t $threads
    truncate -s 4096 "$work/m.gguf"
    ending
    [ $? = 5 ] && [ "$(grep -c '^error: ' "$work/err")" = 1 ] &&
        grep -q "^error: $work/m.gguf: .*cut.*in use.*renaming" "$work/err"
    ok "a model that is cut is named, $threads threads" $?
done

cp $model "$work/m.gguf"
answer "$work/m.gguf" -t 1
cp $model "$work/new.gguf" && mv "$work/new.gguf" "$work/m.gguf"
head -c 2000 <&3 >"$work/more"
kill $!
ending
[ $? = 143 ] && [ "$(wc -c <"$work/more")" = 2000 ]
ok "one that is replaced by renaming goes on" $?

# Another's signal is not ours to explain.
case $HEARTH in
*-asan/*) skip "any other SIGBUS" "the sanitizer has its own words for it" ;;
*)
    answer $model -t 1
    kill -BUS $!
    ending
    [ $? = 135 ] && ! grep -q '^error' "$work/err"
    ok "any other SIGBUS ends as ever" $?
    ;;
esac
finish

#!/bin/bash
# `hearth run` with a prompt: what comes out, in which format, and from where the prompt comes.
. tests/cli/lib.sh

hearth --version
grep -qx 'hearth [0-9.]*' "$work/out"
ok "version" $?
hearth help && grep -q '^  run ' "$work/out" && grep -q '^  bench ' "$work/out"
ok "help lists the commands" $?
for command in run bench show debug version; do
    hearth help $command && grep -q "^Usage: hearth $command" "$work/out"
    ok "help of $command" $?
done
hearth --help run && grep -q '^Usage: hearth run' "$work/out" && hearth help --help && grep -q '^Usage: hearth help' "$work/out"
ok "--help before a command, and of help itself" $?
hearth
[ $? = 64 ] && [ ! -s "$work/out" ] && grep -q '^Usage:' "$work/err"
ok "no command: usage on stderr" $?

model=$models/stories260k.gguf
if [ ! -r $model ]; then
    skip "runs" "$model is missing"
    finish
fi
hearth run $model --temp 0 "Once upon a time"
[ $? = 0 ] && ! grep -qv '^note: the context of 512 tokens is full' "$work/err" &&
    head -n 1 "$work/out" | grep -q '^, there was a little girl named Lily\.'
ok "the story begins with Lily" $?
# README's example, word for word.
hearth run $model --temp 0 -n 40 "Once upon a time" &&
    grep -A1 -F '$ hearth run stories260k.gguf --temp 0 -n 40 "Once upon a time"' README.md |
    tail -n 1 | cmp -s - "$work/out"
ok "README's story is the one that comes" $?
hearth run $model --temp 0 "Once upon a time" && cp "$work/out" "$work/story"
[ "$(tail -c 1 "$work/story" | od -An -c | tr -d ' ')" = '\n' ]
ok "the output ends with a newline" $?
hearth run $model --temp 0 Once upon a time && cmp -s "$work/out" "$work/story"
ok "words are joined by blanks" $?
printf 'Once upon' | "$HEARTH" run $model --temp 0 a time >"$work/out" 2>"$work/err" &&
    cmp -s "$work/out" "$work/story"
ok "stdin goes before the words" $?
printf 'Once upon a time' | "$HEARTH" run $model --temp 0 >"$work/out" 2>"$work/err" &&
    cmp -s "$work/out" "$work/story"
ok "stdin alone" $?
for args in "--threads 1" "--threads 2 --pin" "--top-k 5 --top-p 0.5 --min-p 0.1 --typical 0.9"; do
    hearth run $model --temp 0 $args "Once upon a time" && cmp -s "$work/out" "$work/story"
    ok "the same story with $args" $?
done

hearth run $model --temp 0 --num-predict 5 "Once upon a time"
cp "$work/out" "$work/five"
[ "$(wc -c <"$work/five")" -gt 5 ] && [ "$(wc -c <"$work/five")" -lt 40 ] &&
    [ "$(head -c 5 "$work/five")" = "$(head -c 5 "$work/story")" ]
ok "five tokens" $?
hearth run $model --temp 0 --stop Lily "Once upon a time"
[ "$(cat "$work/out")" = ", there was a little girl named " ]
ok "a stop string" $?
hearth run $model --temp 0 --stop xyzzy --stop "girl" "Once upon a time"
[ "$(cat "$work/out")" = ", there was a little " ]
ok "two stop strings" $?
hearth run $model --temp 0 --num-predict 20 --system "Tom had a dog." "Once upon a time" &&
    mv "$work/out" "$work/system" &&
    hearth run $model --temp 0 --num-predict 20 $'Tom had a dog.\n\nOnce upon a time' &&
    cmp -s "$work/out" "$work/system"
ok "the system text goes in front" $?

hearth run $model --seed 7 --num-predict 40 "Once upon a time" && mv "$work/out" "$work/seed7" &&
    hearth run $model --seed 7 --num-predict 40 "Once upon a time" && cmp -s "$work/out" "$work/seed7"
ok "the same seed, the same text" $?
hearth run $model --seed 8 --num-predict 40 "Once upon a time" && ! cmp -s "$work/out" "$work/seed7"
ok "another seed, another text" $?

hearth run $model --temp 0 -c 24 "Once upon a time"
[ $? = 0 ] && [ "$(cat "$work/err")" = "note: the context of 24 tokens is full; -c (--num-ctx) sets more" ] &&
    grep -q '^, there was a little girl' "$work/out"
ok "an answer that ends because the context is full says so" $?
hearth run $model --temp 0 -c 24 -n 4 "Once upon a time" && [ ! -s "$work/err" ]
ok "and one that ends before does not" $?
hearth run $model --temp 0 -c 24 --json "Once upon a time" && is_json "$work/out" && grep -q '^note: the context of 24' "$work/err"
ok "in JSON too, on stderr" $?

hearth run $model ""
[ $? = 0 ] && [ ! -s "$work/out" ] && [ ! -s "$work/err" ]
ok "an empty prompt only loads" $?

hearth run $model -c 1024 ""
[ $? = 0 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q '^warning: .*1024.*512' "$work/err"
ok "a context past the trained one warns" $?

hearth run $model --temp 0 --num-predict 8 --verbose "Once upon a time"
for line in 'total duration: *[0-9]' 'load duration: *[0-9]' 'prompt eval count: *[0-9]* token(s)' \
    'prompt eval duration: *[0-9]' 'prompt eval rate: *[0-9.]* tokens/s' \
    'eval count: *8 token(s)' 'eval duration: *[0-9]' 'eval rate: *[0-9.]* tokens/s'; do
    grep -q "^$line" "$work/err"
    ok "verbose: ${line%%:*}" $?
done

hearth run $model --temp 0 --num-predict 8 --json "Once upon a time"
[ "$(wc -l <"$work/out")" = 1 ] && is_json "$work/out"
ok "one JSON object" $?
for field in '"response":", there was' '"done":true' '"done_reason":"length"' '"eval_count":8' \
    '"tokens":\[[0-9,]*\]' '"total_duration":[0-9]' '"load_duration":[0-9]' \
    '"prompt_eval_count":[0-9]' '"prompt_eval_duration":[0-9]' '"eval_duration":[0-9]'; do
    grep -q "$field" "$work/out"
    ok "JSON has $field" $?
done
hearth run $model --json "" && is_json "$work/out" && grep -q '"done_reason":"load"' "$work/out"
ok "JSON of an empty prompt" $?
finish

#!/bin/bash
# `hearth bench`: a table for people, an object for programs.
. tests/cli/lib.sh

model=$models/stories260k.gguf
if [ ! -r $model ]; then
    skip "bench" "$model is missing"
    finish
fi
hearth bench $model -p 32 -n 8 -r 2
[ $? = 0 ] && grep -q '^prefill 32 *[0-9.]* *[0-9.]* *[0-9.]*$' "$work/out" &&
    grep -q '^decode 8 *[0-9.]* *[0-9.]* *[0-9.]*$' "$work/out" && [ ! -s "$work/err" ]
ok "a table" $?
hearth bench $model -p 32 -n 8 -r 3 -d 16 -t 1 --kv f32 --json && is_json "$work/out" &&
    [ "$(wc -l <"$work/out")" = 1 ]
ok "one JSON object" $?
for field in '"model":"stories260k.gguf"' '"arch":"llama"' '"n_prompt":32' '"n_gen":8' '"depth":16' \
    '"reps":3' '"prefill_tok_s":{"median":[0-9.]*,"min":[0-9.]*,"max":[0-9.]*}' \
    '"decode_tok_s":{"median":[0-9.]*,"min":[0-9.]*,"max":[0-9.]*}' '"cpu_s":[0-9.]' \
    '"peak_rss_bytes":[1-9]' '"load_s":[0-9.]' '"pack_s":[0-9.]' '"pack_cached":false' '"pack_note":""' '"tier":"' '"threads":1'; do
    grep -q "$field" "$work/out"
    ok "JSON has $field" $?
done
hearth bench $model -p 0 -n 4 -r 1 --json && grep -q '"prefill_tok_s":null' "$work/out" &&
    ! grep -q '"decode_tok_s":null' "$work/out"
ok "decode alone" $?
hearth bench $model -p 8 -n 0 -r 1 && ! grep -q '^decode' "$work/out" && grep -q '^prefill' "$work/out"
ok "prefill alone" $?
finish

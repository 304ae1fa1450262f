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
grep -q '"kv":"f32"' "$work/out"
ok "JSON says which cache" $?
hearth bench $model -p 8 -n 2 -r 1 --json --kv-v f32 && grep -q '"kv":"f16/f32"' "$work/out"
ok "keys and values of two types" $?
hearth bench $model -p 8 -n 2 -r 1 --kv-k q8_0
[ $? = 3 ] && grep -q '^error: .*keys of 8 numbers.*Q8_0.*F16' "$work/err"
ok "heads that do not fill blocks are refused" $?
hearth bench $model -p 0 -n 4 -r 1 --json && grep -q '"prefill_tok_s":null' "$work/out" &&
    ! grep -q '"decode_tok_s":null' "$work/out"
ok "decode alone" $?
hearth bench $model -p 8 -n 0 -r 1 && ! grep -q '^decode' "$work/out" && grep -q '^prefill' "$work/out"
ok "prefill alone" $?

# The rows of a batch begin with "decode N", and end with the multiple of one sequence.
hearth bench $model -p 0 -n 4 -r 2 -t 1 --batch 1,3,2 -d 70
[ $? = 0 ] && grep -q '^decode 4 after 70 .* 1.00$' "$work/out" &&
    grep -q '^decode 4 x 3 after 70  *[0-9.]* *[0-9.]* *[0-9.]* *[0-9.]*$' "$work/out" &&
    [ "$(grep -c '^decode' "$work/out")" = 3 ] && grep -q 'x of one' "$work/out"
ok "sequences together" $?
hearth bench $model -p 0 -n 4 -r 3 -t 1 -b 2,1 --json && is_json "$work/out" &&
    grep -q '"batch":\[{"sequences":2,"tok_s":{"median":[0-9.]*,"min":[0-9.]*,"max":[0-9.]*},"ratio":{"median":[0-9.]*,' \
        "$work/out" &&
    grep -q '{"sequences":1,"tok_s":{[^}]*},"ratio":{"median":1.0,"min":1.0,"max":1.0}}' "$work/out" &&
    ! grep -q '"decode_tok_s":null' "$work/out"
ok "sequences together in JSON" $?
hearth bench $model -p 0 -n 4 -r 1 -t 1 -b 2 --json && is_json "$work/out" &&
    grep -q '"decode_tok_s":null' "$work/out" && grep -q '"ratio":null' "$work/out"
ok "no multiple without one sequence alone" $?
hearth bench $model -p 8 -n 0 -r 1 --json && grep -q '"batch":\[\]' "$work/out"
ok "no batches without decode" $?
fails "batches without decode" 64 "--batch: -n 0" bench $model -n 0 -b 1,2
fails "no sequences" 64 "0 sequences, expected 1 to 1024" bench $model -b 1,0
fails "too many sequences" 64 "1025 sequences" bench $model -b 1025
fails "a batch that is no number" 64 "--batch" bench $model -b 1,x
fails "too many batches" 64 "at most 32" bench $model -b "1$(printf ',1%.0s' {1..32})"
finish

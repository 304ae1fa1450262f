#!/bin/bash
# What a user gets wrong ends with one line that says what, and the exit status of its kind.
. tests/cli/lib.sh

# -- the line itself --
fails "unknown command" 64 "did you mean 'run'?" rum
fails "unknown command, nothing like it" 64 "'hearth help' lists them" xyzzy
fails "unknown option" 64 "did you mean --temp?" run x --tmep 1
fails "no file" 64 "usage: hearth run FILE" run
fails "not a number" 64 "--temp: 'abc' is not a number" run x --temp abc
fails "out of range" 64 "--top-p: 7 is outside 0..1" run x --top-p 7
fails "a huge number" 64 "--num-ctx: 99999999999999999999 is outside 0..16777216" run x \
    --num-ctx 99999999999999999999
fails "a context that is too large" 64 "-c: 16777217 is outside 0..16777216" run x -c 16777217
fails "a context of bench that is too large" 64 \
    "--depth 16777216 and --gen 128 make a context of 16777345 tokens, at most 16777216" \
    bench x -d 16777216 -p 0
fails "and with a prompt" 64 "--depth 7 and --prompt 16777216 make a context of 16777223 tokens" \
    bench x -d 7 -p 16777216
mkdir "$work/packed"
fails "a directory that is not joined to --pack-cache" 64 \
    "--pack-cache: did you mean --pack-cache=$work/packed? Words that are no value go after --" \
    run x --pack-cache "$work/packed"
fails "the same before other words" 64 "--pack-cache=$work/packed" \
    bench --pack-cache "$work/packed" x
fails "a word that is no directory is no value" 4 "no model file 'x'" run x --pack-cache none
fails "no value" 64 "--seed needs a value" run x --seed
fails "a choice that is none" 64 "--kv: 'q9' is none of auto|f16|f32|q8_0|q4_0" run x --kv q9
fails "debug without a word" 64 "usage: hearth debug" debug
fails "unknown list" 64 "no list 'x'" debug list x
fails "nothing to measure" 64 "-p 0 and -n 0" bench x -p 0 -n 0
fails "a range is written out" 64 "99999999 is outside 0..16777216" bench x -d 99999999
fails "ids missing" 64 "--ids and --out are needed" debug logits x
fails "help of an unknown command" 64 "unknown command 'x'" help x
for words in "help run" "--help run" "-h run"; do
    fails "$words: a word too many" 64 "'bench' is one word too many; usage: hearth help" $words bench
done
for words in version --version -V; do
    fails "$words: a word too many" 64 "'now' is one word too many; usage: hearth version" $words now
done
fails "help: an option that is none" 64 "unknown option '--all'" help run --all

# -- files that are no model --
: >"$work/empty.gguf"
head -c 4096 /dev/urandom >"$work/random.gguf"
printf '<!DOCTYPE html>\n<html><body>Not found</body></html>\n' >"$work/page.gguf"
printf 'GGUF' >"$work/short.gguf"
for command in run bench show; do
    fails "$command: missing file" 4 "$work/none.gguf" $command "$work/none.gguf"
    fails "$command: a folder of other things" 4 "no config.json in it" $command "$work"
    fails "$command: empty file" 2 "" $command "$work/empty.gguf"
    fails "$command: random bytes" 2 "" $command "$work/random.gguf"
    fails "$command: web page" 2 "" $command "$work/page.gguf"
    fails "$command: four bytes" 2 "" $command "$work/short.gguf"
done
fails "tokens: random bytes" 2 "" debug tokens "$work/random.gguf"
fails "a name instead of a file" 4 "give the path of a .gguf file" run llama3.2
fails "control characters are not printed" 4 "no model file '?[31mx' here" run $'\e[31mx'

# -- a model that was cut --
if [ -r $models/stories260k.gguf ]; then
    for n in 100 5000 500000; do
        head -c $n $models/stories260k.gguf >"$work/cut.gguf"
        fails "cut after $n bytes" 2 "" run "$work/cut.gguf" hello
    done
    fails "prompt too long" 7 "--num-ctx" run $models/stories260k.gguf --num-ctx 16 \
        "$(seq -s ' ' 1 100)"
    grep -q 'the prompt has [0-9]* tokens, but the context holds 16;' "$work/err"
    ok "and it names both numbers" $?
    fails "no prompt" 64 'no prompt: standard input is empty; give it as words, or "" to only load' \
        run $models/stories260k.gguf
    fails "no prompt, JSON" 64 "no prompt" run $models/stories260k.gguf --json
    case $HEARTH in
    *san/*) skip "a context that memory does not hold" "sanitizers want all addresses" ;;
    *)
        (ulimit -v 2000000 && hearth run $models/stories260k.gguf -c 16777216 x)
        [ $? = 6 ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -q '; -c (--num-ctx)' "$work/err"
        ok "a context that memory does not hold names its option" $?
        ;;
    esac
    fails "an instruction tier that is none" 64 "xyz" run $models/stories260k.gguf --cpu xyz hi
    fails "id out of range" 64 "100000" debug logits $models/stories260k.gguf \
        --ids 1,100000 --out "$work/x"
    grep -q '51[12]' "$work/err"
    ok "and it names the size of the vocabulary" $?
    fails "negative id" 64 "-1" debug logits $models/stories260k.gguf --ids=-1 --out "$work/x"
    fails "id that is none" 64 "element 2, 'x', is not a token id" \
        debug logits $models/stories260k.gguf --ids 1,x --out "$work/x"
    fails "detok: id out of range" 64 "100000" debug detok $models/stories260k.gguf --ids 100000
    fails "output in no directory" 5 "$work/no/x" debug logits $models/stories260k.gguf \
        --ids 1 --out "$work/no/x"
    fails "output device is full" 5 "/dev/full" debug logits $models/stories260k.gguf \
        --ids 1 --out /dev/full
    [ ! -e "$work/x" ] && [ -z "$(find "$work" -name '*.part')" ]
    ok "a failed command leaves no file" $?
    "$HEARTH" run $models/stories260k.gguf --temp 0 Once >/dev/full 2>"$work/err" </dev/null
    [ $? = 5 ] && [ "$(grep -c '^error: ' "$work/err")" = 1 ]
    ok "stdout is full" $?
    "$HEARTH" run $models/stories260k.gguf --temp 0 Once 2>"$work/err" </dev/null | true
    [ "${PIPESTATUS[0]}" = 0 ] && [ ! -s "$work/err" ]
    ok "a reader that goes away is no failure" $?
    "$HEARTH" --help >/dev/full 2>"$work/err"
    [ $? = 5 ]
    ok "help on a full stdout" $?
else
    skip "models that were cut, prompts that are too long" "$models/stories260k.gguf is missing"
fi
golden=../shared/golden/models
if [ -r $golden/bert.gguf ] && [ -r $golden/qwen3.gguf ]; then
    fails "an encoder writes no text" 3 "bert.gguf: a bert model gives embeddings only" run $golden/bert.gguf Hi
    fails "a model without a tokenizer" 3 "qwen3.gguf: the file has no tokenizer; 'hearth debug logits'" \
        run $golden/qwen3.gguf Hi
    hearth run $golden/bert.gguf "" && [ ! -s "$work/err" ]
    ok "which both can be loaded" $?
else
    skip "encoders, models without a tokenizer" "$golden is missing"
fi
finish

#!/bin/bash
# `hearth debug`: logits, embeddings, tokens and lists, as other programs read them.
. tests/cli/lib.sh

hearth debug list quants && grep -q '^Q4_K *12 *256 *144 *4.5$' "$work/out"
ok "weight formats" $?
hearth debug list archs && grep -q '^llama  *text, ' "$work/out"
ok "architectures" $?
hearth debug list classes && grep -q '^Qwen3ForCausalLM  *qwen3$' "$work/out"
ok "model classes" $?
hearth debug list kernels && grep -q '^best tier here: ' "$work/out"
ok "kernels" $?
HEARTH_CPU=ref hearth debug list kernels && grep -qx 'tier in use: ref' "$work/out" &&
    ! grep -q 'avx\|dotprod' <(tail -n +2 "$work/out")
ok "kernels of the tier that HEARTH_CPU says" $?
HEARTH_CPU=xyz fails "which must be one" 64 "HEARTH_CPU: 'xyz' is no tier" debug list kernels
hearth debug list tokenizers && grep -q '^kind llama$' "$work/out"
ok "tokenizers" $?

printf '%s\n\n' '{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{{ strftime_now("%Y") }}' \
    "{{ raise_exception('no tools') if tools }}" >"$work/t.jinja"
echo '{"messages": [{"role": "user", "content": "hi"}]}' >"$work/case.json"
render() # CASE, OPTIONS
{
    "$HEARTH" debug render "$work/t.jinja" "${@:2}" <"$work/$1" >"$work/out" 2>"$work/err"
}
render case.json --now 2026-03-14T09:26:53 &&
    cmp "$work/out" <(printf '<user>hi2026\n\n\n') >>"$work/err"
ok "a template, rendered" $?
render case.json --marks && is_json "$work/out" &&
    grep -q '{"text":"hi","user":true}' "$work/out"
ok "with its marks" $?
echo '{"messages": [], "tools": [1]}' >"$work/tools.json"
render tools.json
[ $? = 1 ] && grep -q '^error: line 3 of the template: the template refuses: no tools' "$work/err"
ok "a template that refuses" $?
fails "no conversation" 64 "stdin: line" debug render "$work/t.jinja"
fails "no time" 64 "is no time" debug render "$work/t.jinja" --now noon

model=$models/stories260k.gguf
if [ ! -r $model ]; then
    skip "logits and tokens" "$model is missing"
    finish
fi
row=2048 # 512 floats
size()
{
    stat -c %s "$1"
}

hearth debug logits $model --ids 1,403,407,261 --out "$work/all" && is_json "$work/out" &&
    [ "$(cat "$work/out")" = '{"n_vocab":512,"greedy":[]}' ] && [ "$(size "$work/all")" = $((4 * row)) ]
ok "a row of logits for each id" $?
for n in 1 2 3; do
    hearth debug logits $model --ids 1,403,407,261 --chunk $n --out "$work/chunk" &&
        cmp "$work/all" "$work/chunk" >>"$work/err"
    ok "the same bits in pieces of $n" $?
done
hearth debug logits $model --ids 1,403 --out "$work/head" &&
    cmp "$work/head" <(head -c $((2 * row)) "$work/all") >>"$work/err"
ok "later ids do not change earlier rows" $?

hearth debug logits $model --ids 1,403 --greedy 3 --out "$work/greedy" && is_json "$work/out" &&
    [ "$(size "$work/greedy")" = $((3 * row)) ]
ok "greedy: the rows of the ids and the last one" $?
ids=$(sed -n 's/.*"greedy":\[\([0-9,]*\)\].*/\1/p' "$work/out")
[ "$(tr ',' '\n' <<<"$ids" | wc -l)" = 3 ] &&
    hearth debug logits $model --ids "1,403,$ids" --out "$work/same" &&
    cmp <(tail -c $row "$work/greedy") <(tail -c $row "$work/same") >>"$work/err"
ok "greedy: its last row is that of the ids in one piece" $?
hearth debug logits $model --ids 1,403 --cpu ref --kv f32 --threads 1 --out "$work/ref" &&
    [ "$(size "$work/ref")" = $((2 * row)) ]
ok "the reference kernels" $?
"$HEARTH" debug logits $model --ids 1 --out /dev/stdout 2>"$work/err" | head -c $row >"$work/out"
cmp "$work/out" <(head -c $row "$work/all") >>"$work/err"
ok "logits to a pipe" $?
hearth debug embd $model --ids 1,403 --out "$work/embd" && is_json "$work/out" &&
    grep -q "\"n_embd\":$(($(size "$work/embd") / 4))}" "$work/out"
ok "an embedding" $?

printf 'Once upon a time' | "$HEARTH" debug tokens $model >"$work/out" 2>"$work/err" &&
    is_json "$work/out"
ok "tokens are a JSON array" $?
ids=$(tr -d '[] \n' <"$work/out")
hearth debug detok $model --ids "$ids" && [ "$(cat "$work/out")" = "Once upon a time" ]
ok "and back" $?
printf 'Once upon a time' | "$HEARTH" debug tokens $model --special >"$work/out" 2>"$work/err" &&
    [ "$(cat "$work/out")" = "[1,$ids]" ]
ok "with BOS" $?
hearth debug detok $model --ids "1,$ids" && [ "$(cat "$work/out")" = "Once upon a time" ]
ok "BOS is not shown" $?
hearth debug detok $model --ids "1,$ids" --special && grep -q '<s>' "$work/out"
ok "unless it is asked for" $?
: | "$HEARTH" debug tokens $model >"$work/out" 2>"$work/err" && [ "$(cat "$work/out")" = "[]" ]
ok "no text, no tokens" $?

vocab=../shared/vocab/gpt-2.gguf
if [ -r $vocab ]; then
    printf 'Hello world' | "$HEARTH" debug tokens $vocab >"$work/out" 2>"$work/err" &&
        [ "$(cat "$work/out")" = "[15496,995]" ]
    ok "a file with a vocabulary and no weights" $?
else
    skip "a file with a vocabulary and no weights" "$vocab is missing"
fi
finish

#!/bin/bash
# `hearth show`: what it says of files, and that a file cannot drive the terminal.
. tests/cli/lib.sh

# A GGUF file is made of these.
u32() { printf '%b' "$(printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) 0 0)"; }
u64() { u32 "$1"; u32 0; }
str() { local LC_ALL=C; u64 ${#1}; printf '%s' "$1"; }
text() { str "$1"; u32 8; str "$2"; } # KEY VALUE
num() { str "$1"; u32 4; u32 "$2"; }
# A file of 4 keys and a tensor of 32 x 40 in Q8_0, whose data end the file.
model() # NAME LICENSE
{
    printf GGUF; u32 3; u64 1; u64 5
    text general.architecture llama
    text general.name "$1"
    text general.license "$2"
    num llama.context_length 4096
    str tokenizer.ggml.tokens; u32 9; u32 8; u64 6
    for i in a b c d e $'\xff'; do str "$i"; done
    str token_embd.weight; u32 2; u64 32; u64 40; u32 8; u64 0
}
whole() # FILE: fills it up to the data, and adds them
{
    local n=$(stat -c %s "$1")
    head -c $(((32 - n % 32) % 32 + 40 * 34)) /dev/zero >>"$1"
}

model plain $'MIT License\n\n  Copyright (c) someone  \nPermission is hereby granted' >"$work/m.gguf"
whole "$work/m.gguf"
hearth show "$work/m.gguf" && grep -q '^    architecture  *llama$' "$work/out" &&
    grep -q '^    parameters  *1.3K$' "$work/out" && grep -q '^    context length  *4096$' "$work/out" &&
    grep -q '^    quantization  *Q8_0$' "$work/out" && grep -q '^    completion$' "$work/out" &&
    grep -q '^    tokens  *6$' "$work/out" && [ ! -s "$work/err" ]
ok "the short form" $?
grep -q '^    MIT License$' "$work/out" && grep -q '^    Copyright (c) someone$' "$work/out" &&
    ! grep -q 'hereby' "$work/out" && ! grep -q general.name "$work/out"
ok "two lines of the licence, no metadata" $?

hearth show -v "$work/m.gguf" && grep -q '^    general.name  str  plain$' "$work/out" &&
    grep -qF 'str[6]  [a, b, c, d, e, ...]' "$work/out" &&
    grep -qF 'token_embd.weight  Q8_0  [32, 40]' "$work/out"
ok "the long form" $?

hearth show --json "$work/m.gguf" && is_json "$work/out" &&
    grep -qF '"tokenizer.ggml.tokens": null' "$work/out" && grep -qF '"parameters": 1280' "$work/out" &&
    grep -qF '"quantization": "Q8_0"' "$work/out" &&
    tr -d ' \n' <"$work/out" | grep -qF '"capabilities":["completion"]' && ! grep -q '"tensors"' "$work/out"
ok "JSON" $?
hearth show --json --verbose "$work/m.gguf" && is_json "$work/out" &&
    grep -qF '"bytes": 1360' "$work/out" && grep -qF $'"\xef\xbf\xbd"' "$work/out"
ok "JSON, verbose, of bytes that are no text" $?

# An escape sequence, a C1 control, a change of direction, and broken bytes.
model $'\e]0;x\a\xc2\x9b31m\xe2\x80\xae\xff' $'\e[2J' >"$work/evil.gguf"
whole "$work/evil.gguf"
hearth show -v "$work/evil.gguf" &&
    grep -qF 'str  \x1B]0;x\x07\xC2\x9B31m\xE2\x80\xAE\xFF' "$work/out" && grep -qF '\x1B[2J' "$work/out" &&
    ! LC_ALL=C grep -q $'[\x01-\x09\x0b-\x1f\x7f-\xff]' "$work/out"
ok "control characters are shown, not sent" $?
hearth show --json "$work/evil.gguf" && is_json "$work/out" && ! grep -q $'\e' "$work/out"
ok "nor in JSON" $?

# What it is for: a vector, a score, or an addition to a model.
ranker() # POOLING
{
    printf GGUF; u32 3; u64 1; u64 2
    text general.architecture bert
    num bert.pooling_type "$1"
    str token_embd.weight; u32 2; u64 32; u64 40; u32 8; u64 0
}
for i in "1 embedding" "4 rerank"; do
    ranker "${i% *}" >"$work/r.gguf"
    whole "$work/r.gguf"
    hearth show "$work/r.gguf" && grep -q "^    ${i#* }$" "$work/out" && hearth show --json "$work/r.gguf" &&
        tr -d ' \n' <"$work/out" | grep -qF "\"capabilities\":[\"${i#* }\"]"
    ok "a file for ${i#* }" $?
done
{
    printf GGUF; u32 3; u64 1; u64 4
    text general.architecture llama
    text general.type adapter
    text adapter.type lora
    str adapter.lora.alpha; u32 6; printf '\xcd\xcc\x4c\x3e' # 0.2
    str blk.0.attn_q.weight.lora_a; u32 2; u64 32; u64 40; u32 8; u64 0
} >"$work/a.gguf"
whole "$work/a.gguf"
hearth show "$work/a.gguf" && grep -q '^  Adapter$' "$work/out" && grep -q '^    type  *lora$' "$work/out" &&
    grep -q '^    alpha  *0.2$' "$work/out" && grep -q '^    of architecture  *llama$' "$work/out" &&
    ! grep -q 'Model\|Capabilities' "$work/out" && hearth show --json "$work/a.gguf" && grep -qF '"type": "adapter"' "$work/out" &&
    grep -q '"adapter.lora.alpha": 0.2,*$' "$work/out"
ok "an adapter is no model" $?

printf '%20s' x >>"$work/m.gguf" # 16 fill up the last tensor
hearth show "$work/m.gguf" && grep -q '^warning: .*m.gguf: 4 bytes after' "$work/err"
ok "bytes after the last tensor are told" $?
head -c 1500 "$work/evil.gguf" >"$work/cut.gguf"
hearth show "$work/cut.gguf"
[ $? = 2 ] && grep -q '^error: .*cut.gguf: tensor token_embd.weight: .* at byte 1500$' "$work/err" &&
    [ ! -s "$work/out" ]
ok "a file that was cut" $?

if [ -r $models/stories260k.gguf ]; then
    hearth show $models/stories260k.gguf && grep -q '^    parameters  *260.0K$' "$work/out" &&
        grep -q '^    embedding length  *64$' "$work/out"
    ok "a real model" $?
else
    skip "a real model" "$models/stories260k.gguf is missing"
fi
finish

#!/bin/bash
# `hearth debug grammar`: lines against schemas, GBNF and regular expressions, also by tokens.
. tests/cli/lib.sh

check() # NAME WANTED-OUTPUT LINES ARGUMENTS...
{
    local name=$1 want=$2 lines=$3
    shift 3
    printf '%b' "$lines" | "$HEARTH" debug grammar "$@" >"$work/out" 2>"$work/err"
    [ $? = 0 ] && [ "$(cat "$work/out")" = "$(printf '%b' "$want")" ]
    ok "$name" $?
}

check "a regular expression" 'accepted\nincomplete\nrejected at byte 1\nincomplete' \
    'aab\na\nac\n\n' --regex 'a+b'
check "as JSON" '{"line":1,"result":"accepted"}\n{"line":2,"result":"incomplete"}
{"line":3,"result":"rejected","byte":2}' 'ab\na\nabb' --json --regex ab
printf 'root ::= "(" root ")" | [0-9]+\n' >"$work/g.gbnf"
check "GBNF" 'accepted\nrejected at byte 1\nincomplete' '((17))\n()\n((1)\n' --gbnf "$work/g.gbnf"
printf '{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"string"}}' >"$work/s.json"
printf ',"required":["a","b"],"additionalProperties":false}' >>"$work/s.json"
check "a schema" 'accepted\nrejected at byte 2\nrejected at byte 12\nincomplete' \
    '{"a": "x", "b": 1}\n{"c":1}\n{"a":"\\\\n","a":1}\n{"a":"' --schema "$work/s.json"
check "a schema, for writing" 'rejected at byte 2\naccepted' \
    '{"a": "x", "b": 1}\n{"b": 1, "a": "x"}' --schema "$work/s.json" --writing
check "no lines" '' '' --regex a

fails "nothing asked for" 64 "one of --schema, --gbnf and --regex" debug grammar
fails "too much asked for" 64 "one of --schema" debug grammar --regex a --gbnf "$work/g.gbnf"
fails "a broken expression" 64 "--regex: pattern, byte" debug grammar --regex '(a'
fails "no file" 4 "read $work/none" debug grammar --gbnf "$work/none"
printf 'root ::= "a"\n  | b\n' >"$work/bad.gbnf"
fails "a rule that is not there" 64 "2:5: the rule b is nowhere defined" debug grammar --gbnf "$work/bad.gbnf"
printf '{"type": 5}' >"$work/bad.json"
fails "a broken schema" 64 "" debug grammar --schema "$work/bad.json"
printf '{"type"' >"$work/bad.json"
fails "no JSON" 64 "byte 7" debug grammar --schema "$work/bad.json"

for v in llama-spm gpt-2 llama-bpe; do
    if [ ! -r ../shared/vocab/$v.gguf ]; then
        skip "tokens of $v" "no vocabulary"
        continue
    fi
    check "by tokens of $v" 'accepted\nincomplete\nrejected at byte 8\nincomplete\nrejected at byte 3\naccepted' \
        '{"a": "x \xc3\xa9t\xc3\xa9", "b": 1234}\n{"b": 12, "a": "\n{"b": 1.5, \n\n  {}\n{"b": 5, "a": "\\\\u00e9 \xe6\x97\xa5\xe6\x9c\xac"}' \
        --schema "$work/s.json" --vocab ../shared/vocab/$v.gguf
done
finish

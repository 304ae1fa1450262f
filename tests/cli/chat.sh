#!/bin/bash
# `hearth run` as a conversation: templates, system texts, reasoning, forms of answers, tools.
# The model tells stories and knows nothing of templates: what is tested is what it is given,
# and what it is held to.
. tests/cli/lib.sh

model=$models/stories260k.gguf
data=tests/data/chat
if [ ! -r $model ]; then
    skip "conversations" "$model is missing"
    finish
fi
one() # OPTIONS...: greedy, short, with the template
{
    hearth run $model --template $data/chatml.jinja --temp 0 -n 12 "$@"
}

# -- the prompt is what the template makes of it -----------------------------------------------
same_as_raw() # NAME RAW-PROMPT OPTIONS...: as if the rendered text had been completed
{
    local name=$1 raw=$2
    shift 2
    one "$@" && mv "$work/out" "$work/chat" &&
        hearth run $model --raw --temp 0 -n 12 "$raw" && cmp -s "$work/out" "$work/chat"
    ok "$name" $?
}

# In this vocabulary <|im_start|> is no token, so that the text alone tells.
same_as_raw "a prompt in its template" $'<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n' "Hi"
same_as_raw "with a system text" \
    $'<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n' \
    --system "Be brief." "Hi"
same_as_raw "reasoning turned off" \
    $'<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n' --no-think "Hi"
hearth run $model --raw --temp 0 -n 12 "Once upon a time" && mv "$work/out" "$work/raw" &&
    hearth run $model --temp 0 -n 12 "Once upon a time" && cmp -s "$work/out" "$work/raw"
ok "a model without a template completes" $?

# -- forms of answers --------------------------------------------------------------------------
bad=0
for seed in 1 2 3 4 5 6 7 8; do
    hearth run $model --temp 1.5 --seed $seed --format $data/person.schema.json "Once" ||
        bad=1
    tr -d '\n' <"$work/out" >"$work/line"
    "$HEARTH" debug grammar --schema $data/person.schema.json <"$work/line" >"$work/verdict"
    [ "$(cat "$work/verdict")" = accepted ] || bad=1
done
ok "a schema holds" $bad
hearth run $model --template $data/chatml.jinja --no-think --seed 3 --format $data/person.schema.json "Once" &&
    tr -d '\n' <"$work/out" | "$HEARTH" debug grammar --schema $data/person.schema.json | grep -qx accepted
ok "in a conversation, too" $?
hearth run $model --seed 3 --json --format $data/person.schema.json "Once" && is_json "$work/out" &&
    grep -q '"response":"{' "$work/out" && grep -q '"done_reason":"stop"' "$work/out"
ok "and in JSON" $?
hearth run $model --seed 3 --format json -n 5 "Once" && head -c 1 "$work/out" | grep -q '{' &&
    grep -q '^note: .* before its form is complete' "$work/err"
ok "an answer that is cut says so" $?
echo '{"const":"a<think>b</think>c"}' >"$work/markers.json"
one --no-think -n 100 --format "$work/markers.json" "Once" && grep -qx '"a<think>b</think>c"' "$work/out"
ok "markers in a string are the string's" $?
one -c 1024 -n 100 --format $data/person.schema.json "what is <think>" &&
    tr -d '\n' <"$work/out" | "$HEARTH" debug grammar --schema $data/person.schema.json | grep -qE 'accepted|incomplete'
ok "nobody's question lets an answer out of its form" $?
echo '{"type":"objekt"}' >"$work/bad.json"
hearth run $model --format "$work/bad.json" "Once"
[ $? = 64 ] && grep -q "#/type" "$work/err" && [ ! -s "$work/out" ]
ok "a wrong schema is refused" $?
echo '{"type":"array","uniqueItems":true}' >"$work/bad.json"
hearth run $model --format "$work/bad.json" "Once"
[ $? = 3 ] && grep -q 'uniqueItems' "$work/err" && [ ! -s "$work/out" ]
ok "a keyword that cannot be held is refused by name" $?
hearth run $model --format nowhere.json "Once"
[ $? = 4 ] && grep -q 'neither text nor json' "$work/err"
ok "a format that is no file" $?

# -- reasoning that the prompt opens -------------------------------------------------------------
cat >"$work/open.jinja" <<'END'
{%- for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ 'assistant: <think>\n' }}{% endif %}
END
thinks() # OPTIONS...: greedy, cut within reasoning
{
    hearth run $model --template "$work/open.jinja" --temp 0 -n 8 "$@" Hi
}
thinks && [ "$(head -n 1 "$work/out")" = Thinking... ] && ! grep -q "done thinking" "$work/out" &&
    [ "$(cat "$work/err")" = "note: the answer ends within its reasoning" ]
ok "reasoning that is cut is not said to be done" $?
thinks --hide-thinking && ! grep -q . "$work/out" && grep -q "within its reasoning" "$work/err"
ok "hidden reasoning that is cut" $?
thinks --json && is_json "$work/out" && grep -q '"thinking":"[^"]' "$work/out" && grep -q '"response":""' "$work/out"
ok "reasoning in JSON" $?

# -- tools -------------------------------------------------------------------------------------
bad=0
for seed in 1 2 3 4; do
    one --temp 1 --seed $seed -c 1024 -n 200 --tools $data/tools.json --tool-choice add --one-call "Add" || bad=1
    grep -qxE '\{"name":"add","arguments":\{"a":-?[0-9]+,"b":-?[0-9]+\}\}' "$work/out" || bad=1
    [ "$(wc -l <"$work/out")" = 1 ] || bad=1
done
ok "the tool that must be called is called" $bad
one --temp 1 --seed 1 -c 1024 -n 200 --tools $data/tools.json --tool-choice required --one-call --json "Hi" &&
    is_json "$work/out" && grep -qE '"tool_calls":\[\{"type":"function","function":\{"name":"(add|weather)"' "$work/out"
ok "calls in JSON" $?
cat >"$work/numbers.json" <<'END'
[{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {
  "x": {"enum": [0.1]}, "s": {"const": "a  \" b\n"}, "n": {"type": "integer", "minimum": 1e19}},
  "required": ["x", "s", "n"], "additionalProperties": false}}}]
END
call='\{"name":"f","arguments":\{"x":0\.10*,"s":"a  \\" b\\n","n":[0-9]{20,}\}\}'
one -c 1024 -n 200 --tools "$work/numbers.json" --tool-choice f --one-call Hi && grep -qxE "$call" "$work/out"
ok "numbers of a call stay as they were written" $?
one -c 1024 -n 200 --tools "$work/numbers.json" --tool-choice f --one-call --json Hi && is_json "$work/out" &&
    grep -qE "\"tool_calls\":\[\{\"type\":\"function\",\"function\":$call\}\]" "$work/out"
ok "in JSON, too" $?
one -c 1024 --tools $data/tools.json "Hi" && [ -s "$work/out" ]
ok "tools that may be called, or not" $?
one -c 1024 -n 30 --special --tools $data/tools.json --tool-choice add "Hi" && grep -q '<tool_call>' "$work/out"
ok "--special shows an answer as it was written" $?
printf 'a\xff' | "$HEARTH" run $model --template $data/chatml.jinja -n 2 >"$work/out" 2>"$work/err" &&
    grep -q "^note: the prompt is not UTF-8" "$work/err"
ok "a prompt that is not UTF-8 is read, and that is said" $?

# Calls that are bare objects, which an object under a schema can look like.
cat >"$work/bare.jinja" <<'END'
{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}[{{ m.role }}]
{% if m.tool_calls %}{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{
m.tool_calls[0].function.arguments | tojson }}}{% else %}{{ m.content }}{% endif %}<|eot_id|>{% endfor %}[assistant]
END
echo '{"const":{"name":"add","parameters":{"a":1,"b":2}}}' >"$work/bare.json"
one --template "$work/bare.jinja" -c 1024 -n 200 --json --tools $data/tools.json --tool-choice none \
    --format "$work/bare.json" "Hi" && ! grep -q tool_calls "$work/out" && grep -q 'response":"{' "$work/out"
ok "nothing is a call where no tool may be called" $?
one -c 1024 -n 12 --tools $data/tools.json "Hi" && [ -s "$work/out" ] && ! grep -q note "$work/err"
ok "text beside tools is whole wherever it ends" $?
one -c 1024 -n 4 --tools $data/tools.json --tool-choice required "Hi" && [ ! -s "$work/out" ] &&
    grep -qx "note: the answer ends before its form is complete" "$work/err"
ok "of half a call's marker nothing is shown" $?
one -c 1024 -n 30 --tools $data/tools.json --tool-choice add "Hi" && [ ! -s "$work/out" ] &&
    grep -qx "note: the answer ends within a call of 'add', which is left out" "$work/err"
ok "a call that is cut is named" $?

# -- what does not go together -----------------------------------------------------------------
refused() # NAME STATUS WORDS OPTIONS...
{
    local name=$1 status=$2 words=$3
    shift 3
    hearth run $model "$@" Hi
    [ $? = "$status" ] && grep -q -e "$words" "$work/err" && [ "$(wc -l <"$work/err")" = 1 ]
    ok "$name" $?
}
refused "tools without a template" 64 "--tools needs a chat template" --tools $data/tools.json
refused "reasoning without a template" 64 "--think needs a chat template" --think
refused "think and no-think" 64 "--no-think" --think --no-think --template $data/chatml.jinja
refused "a choice without tools" 64 "without --tools" --tool-choice auto --template $data/chatml.jinja
refused "raw and a template" 64 "--raw" --raw --template $data/chatml.jinja
refused "no such level" 64 "low, medium" --think=huge --template $data/chatml.jinja
echo '{% if %}' >"$work/broken.jinja"
refused "a broken template" 64 "line 1" --template "$work/broken.jinja"
echo '{{ raise_exception("no conversation here") }}' >"$work/no.jinja"
refused "a template that refuses" 64 "no conversation here" --template "$work/no.jinja"
echo 'not JSON' >"$work/broken.json"
refused "broken tools" 64 "byte 3" --tools "$work/broken.json" --template $data/chatml.jinja

refused "a system text that is not UTF-8" 64 "^error: --system: .*not UTF-8" --system $'a\xff' --template $data/chatml.jinja
refused "a form of answers that must be calls" 64 "--format: with --tool-choice required every" --format json \
    --tools $data/tools.json --tool-choice required --template $data/chatml.jinja
refused "one call of a model without a template" 64 "--one-call needs a chat template" --one-call
refused "one call of no tools" 64 "--one-call without --tools" --one-call --template $data/chatml.jinja
refused "a stop text that is empty" 64 "--stop: an empty text" --stop ""
refused "tools that are none of the kind" 64 "--tools: .*tool 0" --template $data/chatml.jinja --tools <(echo '[{"name":"x"}]')
refused "an empty array of tools" 64 "no array of tool declarations" --template $data/chatml.jinja --tools <(echo '[]')
refused "two tools of one name" 64 "--tools: .*tool 1: another tool is named 'x'" --template $data/chatml.jinja \
    --tools <(echo '[{"function":{"name":"x"}},{"function":{"name":"x"}}]')
refused "a tool that is no function" 64 "--tools: .*tool 0: type: 'retrieval'" --template $data/chatml.jinja \
    --tools <(echo '[{"type":"retrieval","function":{"name":"x"}}]')
refused "parameters that are no object" 64 "--tools: .*tool 0: function.parameters" --template $data/chatml.jinja \
    --tools <(echo '[{"function":{"name":"x","parameters":[]}}]')
refused "parameters of another type" 64 "--tools: .*tool 0: function.parameters" --template $data/chatml.jinja \
    --tools <(echo '[{"function":{"name":"x","parameters":{"type":"string"}}}]')
cat >"$work/odd.json" <<'END'
[{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
 "properties": {"l": {"type": "array", "uniqueItems": true}}}}}]
END
one -c 1024 --tools "$work/odd.json" "Hi" && [ -s "$work/out" ] &&
    grep -q '^warning: calls are not held .*uniqueItems' "$work/err"
ok "tools that cannot be held to their schema may be called, which is said" $?
one -c 1024 --tools "$work/odd.json" --tool-choice required "Hi"
[ $? = 3 ] && grep -q '^error: .*uniqueItems' "$work/err"
ok "and are refused where a call must hold" $?
refused "a choice that is no tool" 64 "--tool-choice: no tool 'nothing'; .*add" --tool-choice nothing \
    --tools $data/tools.json --template $data/chatml.jinja
refused "a directory as tools" 5 "^error: --tools: read $work: Is a directory" --tools "$work" --template $data/chatml.jinja
refused "a template that is not there" 4 "^error: --template: read $work/none: No such" --template "$work/none"
hearth run $model --template $data/chatml.jinja --think=low -n 1 "Hi" &&
    grep -qx "warning: this model's chat template knows no levels of reasoning ('low')" "$work/err"
ok "a level where there is none" $?

# -- on a terminal -----------------------------------------------------------------------------
pty=$(dirname "$HEARTH")/tests/cli/pty
if [ ! -x "$pty" ]; then
    skip "interactive conversations" "$pty is not built"
    finish
fi
export XDG_STATE_HOME=$work/state TERM=dumb LC_ALL=C.UTF-8
session() # NAME ARGUMENTS...: the script is on standard input
{
    local name=$1
    shift
    "$pty" "$HEARTH" run $model --template $data/chatml.jinja "$@" >"$work/out" 2>"$work/err"
    ok "$name" $?
}
session "turns, a form, and none" --seed 1 -n 40 <<'END'
wait >>>
type Hello\n
wait >>>
type /set format tests/data/chat/person.schema.json\n
wait Set format
wait >>>
type Invent a person\n
wait "name"
wait >>>
type /set noformat\n
wait no format now
wait >>>
type /set nothink\n
wait Set 'nothink'
wait >>>
type /set system Be brief\n
wait Set the system text.
wait >>>
type /set think huge\n
wait low, medium
wait >>>
type /clear\n
wait The conversation begins anew.
wait >>>
type /bye\n
end 0
END
session "a call and its result" --seed 1 -c 1024 -n 200 --tools $data/tools.json --tool-choice add --one-call <<'END'
wait >>>
type /result 4\n
wait no call waits
wait >>>
type Add\n
wait "arguments"
wait >>>
type /result 12\n
wait "arguments"
wait >>>
type /bye\n
end 0
END
finish

#!/bin/bash
# `hearth debug reply` and `hearth debug probe`: what a model wrote, taken apart.
. tests/cli/lib.sh

reply() # ARGUMENTS: of what $work/text holds
{
    "$HEARTH" debug reply "$@" <"$work/text" >"$work/out" 2>"$work/err"
}

cat >"$work/tools" <<'END'
[{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
  "properties": {"a": {"type": "integer"}, "s": {"type": "string"}}}}}]
END
cat >"$work/chatml.jinja" <<'END'
{%- for m in messages %}<|im_start|>{{ m.role }}
{% if m.reasoning_content %}<think>
{{ m.reasoning_content }}
</think>

{% endif %}{{ m.content }}{% for c in m.tool_calls or [] %}
<tool_call>
{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}{% endif %}
END
printf '<think>\nR\n</think>\n\nC\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>' \
    >"$work/text"

hearth debug probe "$work/chatml.jinja" && is_json "$work/out" &&
    grep -q '"format":"hermes","think_open":"<think>","think_close":"</think>","think":"switch"' \
        "$work/out" && grep -q '"think_variable":"enable_thinking"' "$work/out"
ok "a template tells its format, its markers and its switch" $?
want='{"reasoning":"R","content":"C","tool_calls":[{"name":"f","arguments":"{\"a\": 1}"}],'
want+='"format":"hermes"}'
for n in 0 1 3; do
    reply --template "$work/chatml.jinja" --tools "$work/tools" --split $n &&
        [ "$(cat "$work/out")" = "$want" ]
    ok "reasoning, content and a call, in pieces of $n" $?
done
reply --template "$work/chatml.jinja" && is_json "$work/out" &&
    grep -q '"tool_calls":\[\]' "$work/out" && grep -q 'tool_call>' "$work/out"
ok "without tools a call is text" $?
printf 'R</think>C' >"$work/text"
reply --template "$work/chatml.jinja" --prompt-open &&
    grep -q '^{"reasoning":"R","content":"C",' "$work/out"
ok "a prompt that ends within reasoning" $?
hearth debug reply --format list && grep -qx 'qwen3-xml' "$work/out"
ok "the formats" $?
printf '<function=f>\n<parameter=s>\n5\n</parameter>\n</function>' >"$work/text"
reply --format qwen3-xml --tools "$work/tools" --events &&
    grep -q '^{"kind":"call","call":0,"name":"f"}$' "$work/out" &&
    grep -q '^{"kind":"call_end","call":0}$' "$work/out"
ok "events" $?
printf 'a\xffb' >"$work/text"
reply --format hermes && is_json "$work/out" && grep -q '"content":"a�b"' "$work/out"
ok "bytes that are no text" $?
fails "an unknown format" 64 "no format 'xyz'" debug reply --format xyz
fails "a template that is not there" 4 "no.jinja" debug probe "$work/no.jinja"
finish

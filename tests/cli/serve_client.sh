#!/bin/bash
# What talks to a running server: `hearth ps`, `hearth stop`, `hearth run`, `hearth bench serve`.
. tests/cli/lib.sh
model=$models/stories260k.gguf
unset OLLAMA_HOST HEARTH_API_KEY
export HEARTH_HOST=unix:$work/none
fails "ps without a server" 5 "nobody answers at $work/none; 'hearth serve' starts a server" ps
fails "stop without a server" 5 "nobody answers" stop x
fails "a load without a server" 5 "nobody answers" bench serve -n 1
HEARTH_HOST=ftp://x fails "an address that is none" 64 "HEARTH_HOST: 'ftp://x' is no address" ps
fails "an API that is none" 64 "--api" bench serve --api grpc
if [ ! -r $model ]; then
    skip "with a server" "$model is missing"
    finish
fi

export HEARTH_MODELS=$work/store HEARTH_HOST=unix:$work/sock
printf 'FROM %s\n' "$(realpath $model)" >"$work/Modelfile"
hearth create tiny -f "$work/Modelfile"
{
    cat "$work/Modelfile"
    printf 'TEMPLATE """{{ range .Messages }}[{{ .Role }}|{{ .Content }}]{{ end }}[assistant|"""\n'
    printf 'SYSTEM Be kind.\nPARAMETER temperature 0\nPARAMETER num_predict 12\n'
} >"$work/Talker"
hearth create talker -f "$work/Talker"
{
    cat "$work/Modelfile"
    printf 'TEMPLATE """{{ range .Messages }}[{{ .Role }}|{{ .Content }}]{{ end }}[assistant|{{ if .Think }}<think>{{ end }}"""\n'
} >"$work/Thinker"
hearth create thinker -f "$work/Thinker"
"$HEARTH" serve --host "unix:$work/sock" -s responses.path=none -s models.context=100000 >"$work/serve" 2>&1 </dev/null &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 200); do
    [ ! -S "$work/sock" ] || break
    sleep 0.05
done
hearth ps && [ "$(tr -s ' ' ' ' <"$work/out")" = "name size context until" ]
ok "nothing is in memory" $?
hearth ps --json && [ "$(cat "$work/out")" = "[]" ]
ok "the same as JSON" $?
fails "stop of nothing" 4 "none" stop none
for api in openai openai-text ollama llama anthropic; do
    hearth bench serve --api $api -m tiny -j 3 -n 6 -p 24 -o 8 --words 1 --json && is_json "$work/out" &&
        grep -q '"ok":6,"cancelled":0,"failed":0,"errors":{}' "$work/out" && grep -q '"ttft_ms":{"mean":' "$work/out"
    ok "a load in $api" $?
done
hearth ps && grep -q '^tiny:latest .* MiB .* minutes$' "$work/out"
ok "a model is in memory" $?
hearth bench serve -m tiny --rate 200 -n 20 -p 32 -o 16 --cancel 0.5 --shared-prefix 1 --slo-ttft 100000 --slo-itl 100000 &&
    grep -q 'to the first text' "$work/out" && grep -q '^cancelled: [1-9]' "$work/out" && ! grep -q '^failed' "$work/out"
ok "requests that arrive by chance, and clients that leave" $?
hearth bench serve -m none --words 1 -n 2
[ $? = 5 ] && grep -q "status 404.*none" "$work/err"
ok "a load for no model" $?
hearth stop tiny && hearth ps && [ "$(wc -l <"$work/out")" = 1 ]
ok "and then it is not" $?

# `hearth run`: the same words from the server as from this process.
in_memory() # NAME: is it in the server's memory?
{
    "$HEARTH" ps 2>/dev/null </dev/null | grep -q "^$1:latest "
}

same() # NAME ARGUMENTS...: both ways to run them print the same
{
    local name=$1
    shift
    "$HEARTH" run "$@" --local </dev/null >"$work/want" 2>"$work/err" && hearth run "$@" &&
        [ -s "$work/out" ] && cmp -s "$work/out" "$work/want"
    ok "run: $name" $?
}

hearth run tiny --local -n 2 Once && ! in_memory tiny
ok "run --local asks no server" $?
hearth run tiny -t 1 -n 2 Once && ! in_memory tiny
ok "run with what only this process can do asks none" $?
status() # NAME STATUS ARGUMENTS...: both ways to run them end alike
{
    local name=$1 want=$2 here there
    shift 2
    "$HEARTH" run "$@" --local </dev/null >/dev/null 2>&1
    here=$?
    hearth run "$@"
    there=$?
    [ "$here" = "$want" ] && [ "$there" = "$want" ]
    ok "run: $name: the same exit status${here:+ ($here, $there)}" $?
}

hearth run "$(realpath $model)" -n 2 Once && ! in_memory tiny
ok "run of a file asks none" $?
same "a text" tiny --temp 0 -n 30 Once upon a time
in_memory tiny
ok "run asks the server" $?
same "a seed and sampling" tiny --seed 7 --temp 0.9 --top-k 20 --min-p 0.01 --min-keep 2 --repeat-penalty 1.1 -n 30 Once
same "a system text before a text" tiny --temp 0 -n 20 --system "A tale." Once
same "raw" talker --raw -n 20 --system "A tale." "Once upon"
same "stop" tiny --temp 0 -n 60 --stop zzz --stop " was" "Once upon a time"
same "a conversation, with what the model has of its own" talker Hello
same "a system text" talker --system "You are a cat." Hello
same "a form" talker --temp 0 -n 60 --format json Hello
echo '{"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": false}' >"$work/schema"
same "a schema" talker --format "$work/schema" Hello
printf 'Once upon' | "$HEARTH" run tiny --temp 0 -n 12 a time >"$work/want" 2>"$work/err"
hearth run tiny --temp 0 -n 12 "Once upon a time" && cmp -s "$work/out" "$work/want"
ok "run: what is piped comes first" $?
hearth run tiny --json -n 5 "Once upon a time" && is_json "$work/out" &&
    grep -q '^{"model":"tiny","created_at":".*","response":".*","done":true,"done_reason":"length","total_duration":[1-9]' "$work/out" &&
    grep -q '"prompt_eval_count":[1-9].*"eval_count":5,"eval_duration":[1-9]' "$work/out"
ok "run --json" $?
hearth run tiny -v -n 5 Once && grep -q '^eval count: *5 token' "$work/err" && grep -q '^prompt eval rate:' "$work/err"
ok "run --verbose" $?
hearth stop tiny
hearth run tiny "" --json && grep -q '"done_reason":"load"' "$work/out" && in_memory tiny
ok "run of nothing loads it" $?
fails "run: a model that nobody has" 4 "unix:$work/sock: model 'nobody' not found" run nobody Hello
fails "run: what the model cannot" 3 "does not support thinking" run talker --think Hello
status "a text that is too long" 7 tiny -c 16 "$(seq 100 | tr '\n' ' ')"
status "a model that nobody has" 4 nobody Hello
status "thinking that the model cannot" 3 talker --think Hello
echo '{"type": "string", "pattern": "(?=x)y"}' >"$work/schema"
status "a schema that cannot be kept" 3 talker --format "$work/schema" Hello
echo '{"type": 5}' >"$work/schema"
status "a schema that is none" 64 talker --format "$work/schema" Hello
for where in "" --local; do
    hearth run thinker $where --think=high -n 1 Hello
    [ $? = 0 ] && grep -qx "warning: this model's chat template knows no levels of reasoning ('high')" "$work/err"
    ok "a level of thinking that the template does not know, which is said ($where)" $?
done
hearth run talker -c 200000 -n 1 Hello
grep -q '^warning: options.num_ctx: 200000 is more than .*; [0-9]* is taken$' "$work/err"
ok "a context that the model cannot have" $?
if command -v curl >/dev/null; then
    curl -sS --unix-socket "$work/sock" "http://x/props?model=talker" >"$work/out" && is_json "$work/out" &&
        grep -qF '"chat_template":"{{ range .Messages }}[{{ .Role }}|{{ .Content }}]{{ end }}[assistant|"' "$work/out" &&
        grep -qF '"chat_template_caps":{"supports_tools":false,"supports_tool_calls":false,' "$work/out"
    ok "props of a template of Go's" $?
    curl -sS --unix-socket "$work/sock" http://x/api/copy -d '{"source":"tiny","destination":"x\u0000y"}' \
        -H 'content-type: application/json' >"$work/out" && grep -q 'destination is invalid: there is a NUL in it' "$work/out"
    ok "a name with a NUL" $?
    curl -sS --unix-socket "$work/sock" http://x/metrics >"$work/out" && grep -q 'model="tiny:latest"' "$work/out" &&
        ! grep -q 'model="tiny"' "$work/out"
    ok "one model has one name in the metrics" $?
else
    skip "props, names with a NUL, names in metrics" "no curl"
fi
fails "run: no prompt" 64 "no prompt" run tiny
fails "run: an empty stop" 64 "--stop" run tiny --stop "" Hello
fails "run: --think without a template" 64 "--raw" run talker --raw --think Hello
echo 'no JSON' >"$work/schema"
fails "run: a broken schema" 64 "--format" run talker --format "$work/schema" Hello
HEARTH_MODELS=$work/nowhere hearth run talker Hello && cmp -s "$work/out" <("$HEARTH" run talker --local Hello </dev/null)
ok "run: the store may be the server's alone" $?
HEARTH_MODELS=$work/other hearth create mine -f "$work/Modelfile" &&
    HEARTH_MODELS=$work/other hearth run mine -n 3 Once && [ -s "$work/out" ]
ok "run: and ours alone" $?
HEARTH_HOST=unix:$work/none hearth run tiny -n 3 Once && [ -s "$work/out" ]
ok "run: without a server" $?

# Servers whose answers go wrong.
if command -v python3 >/dev/null; then
    python3 tests/cli/bad_server.py "$work/bad" &
    bad=$!
    for _ in $(seq 200); do
        [ ! -S "$work/bad" ] || break
        sleep 0.05
    done
    wrong() # NAME STATUS TEXT MODEL: an answer that had begun
    {
        HEARTH_HOST=unix:$work/bad hearth run "$4" Hello
        [ $? = "$2" ] && [ "$(wc -l <"$work/err")" = 1 ] && grep -qF -- "error: unix:$work/bad$3" "$work/err"
        ok "run: $1" $?
    }
    wrong "an error in the middle" 5 ": it fell?[31m over" fails
    wrong "an answer that just ends" 5 " closed the connection in the middle" ends
    wrong "an answer that is none" 5 ": an answer that is none of ours" babbles
    wrong "no room" 8 ": the queue is full" busy
    wrong "an error by its type" 7 ": too long" long
    HEARTH_HOST=unix:$work/bad hearth run warns Hello && [ "$(cat "$work/out")" = "So far" ] &&
        [ "$(cat "$work/err")" = "warning: one \"thing\" has no effect
warning: two  [31m" ]
    ok "run: what the server warns of" $?
    wrong "a key that is missing" 5 ": no key" secret
    HEARTH_HOST=unix:$work/bad hearth run breaks Hello
    [ $? = 5 ] && grep -q 'closed the connection in the middle' "$work/err"
    ok "run: a connection that breaks" $?
    HEARTH_HOST=unix:$work/bad hearth run x -n 0 --temp 0.5 --seed 9 --stop a --stop b -c 64 Hello &&
        [ "$(cat "$work/out")" = '{"temperature": 0.5, "seed": 9, "num_predict": -1, "stop": ["a", "b"], "num_ctx": 64}' ]
    ok "run: what was given is sent, and nothing else" $?
    kill $bad
    wait $bad 2>/dev/null
else
    skip "run: servers that go wrong" "there is no python3"
fi

pty=$(dirname "$HEARTH")/tests/cli/pty
export XDG_STATE_HOME=$work/state TERM=dumb LC_ALL=C.UTF-8
session() # NAME ARGUMENTS...: the script is on standard input
{
    local name=$1
    shift
    "$pty" "$HEARTH" run "$@" >"$work/out" 2>"$work/err"
    ok "run: $name" $?
}
if [ ! -x "$pty" ]; then
    skip "run on a terminal" "$pty is not built"
    finish
fi
session "a conversation on a terminal" talker <<'END'
wait >>>
type Hello\n
wait very happy
wait >>>
type /show parameters\n
wait temperature
wait as the model has it
wait >>>
type /set parameter num_predict 3\n
wait Set num_predict to 3.
type /set system You\sare\sa\scat.\n
wait Set the system text.
type Hello\n
wait >>>
type /show info\n
wait server
wait sock
wait >>>
type /clear\n
wait The conversation begins anew.
type /set think\n
wait Set 'think' mode.
type Hello\n
wait does not support thinking
wait >>>
type /bye\n
end 0
END
session "a text on a terminal, and Ctrl-C" tiny --temp 0.8 --seed 1 -n 90000 <<'END'
wait no chat template
wait >>>
type Once upon a time\n
wait there
type \c
wait >>>
type \c
wait Ctrl-D or /bye leaves.
wait >>>
type /set parameter num_predict 4\n
wait Set num_predict to 4.
wait >>>
type She\n
wait >>>
type /clear\n
wait The text begins anew.
wait >>>
type \d
end 0
END
hearth run tiny --temp 0 -n 30 Once upon a time && "$HEARTH" run tiny --local --temp 0 -n 30 Once upon a time </dev/null | cmp -s - "$work/out"
ok "run: the server is well afterwards" $?
finish

#!/bin/bash
# What talks to a running server: `hearth ps`, `hearth stop`, `hearth bench serve`.
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
"$HEARTH" serve --host "unix:$work/sock" -s responses.path=none >"$work/serve" 2>&1 </dev/null &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 200); do
    [ ! -S "$work/sock" ] || break
    sleep 0.05
done
hearth ps && [ ! -s "$work/out" ]
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
hearth stop tiny && hearth ps && [ ! -s "$work/out" ]
ok "and then it is not" $?
finish

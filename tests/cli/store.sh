#!/bin/bash
# Models by name: create, list, show, cp, rm, and `hearth run NAME`.
. tests/cli/lib.sh
export HEARTH_MODELS=$work/store

hearth list && [ "$(wc -l <"$work/out")" = 1 ] && grep -q '^NAME ' "$work/out" && grep -q "no models in $work/store" "$work/err" && [ ! -e "$work/store" ]
ok "an empty store, which looking does not make" $?
hearth list --json && [ "$(cat "$work/out")" = "[]" ]
ok "the same as JSON" $?
fails "no Modelfile" 4 "read $work/none" create x -f "$work/none"
fails "show of nothing" 4 "no model of that name" show nothing
fails "run of nothing" 4 "no model of that name" run nothing hi
fails "rm of nothing" 4 "model 'nothing' not found" rm nothing
fails "cp of nothing" 4 "model 'nothing' not found" cp nothing x
fails "rm without a name" 64 "usage: hearth rm NAME" rm
printf 'FROM m.gguf\nFRUM x\n' >"$work/bad"
fails "a Modelfile that is none" 64 "bad: (line 2): command must be one of" create x -f "$work/bad"
printf 'FROM none.gguf\n' >"$work/bad"
fails "weights that are not there" 4 "'none.gguf' is neither a file or folder here, nor a model" \
    create x -f "$work/bad"
if [ ! -r $models/stories260k.gguf ]; then
    skip "models by name" "$models/stories260k.gguf is missing"
    finish
fi

ln -s "$(realpath $models/stories260k.gguf)" "$work/m.gguf"
printf 'FROM ./m.gguf\nTEMPLATE """{{ .Prompt"""\n' >"$work/bad"
fails "a template that does not compile" 64 "TEMPLATE" create x -f "$work/bad"
for name in ../x /etc/x a:b:c 'a b' "$(printf 'a%.0s' $(seq 300))"; do
    printf 'FROM ./m.gguf\n' >"$work/Plain"
    fails "a name that is none: ${name:0:20}" 64 "" create "$name" -f "$work/Plain"
done
cat >"$work/Modelfile" <<'EOF'
# A teller of tales.
FROM ./m.gguf
PARAMETER temperature 0
PARAMETER num_predict 12
PARAMETER num_gpu 1
TEMPLATE {{ .System }}{{ .Prompt }}
SYSTEM "Once upon "
LICENSE "MIT
and so on"
EOF
hearth create Tales -f "$work/Modelfile" && [ ! -s "$work/out" ] &&
    grep -q '^warning: .*Modelfile: (line 5): num_gpu is kept' "$work/err"
ok "create" $?
printf 'FROM tales\nPARAMETER num_predict 3\n' | "$HEARTH" create me/short:v1 -f - >"$work/out" 2>"$work/err"
ok "create from standard input, of another model" $?
"$HEARTH" create piped -f <(printf 'FROM tales\n') >"$work/out" 2>"$work/err" &&
    printf 'FROM tales\n' | "$HEARTH" create piped -f /dev/stdin >"$work/out" 2>>"$work/err" && [ ! -s "$work/err" ]
ok "create from a pipe that has a name" $?
hearth rm piped
hearth list && [ "$(sed -n '2s/ .*//p' "$work/out")" = me/short:v1 ] &&
    [ "$(sed -n '3s/ .*//p' "$work/out")" = Tales:latest ] && head -n 1 "$work/out" | grep -q '^NAME  *ID  *SIZE  *MODIFIED$'
ok "list, the newest first" $?
hearth ls me && [ "$(wc -l <"$work/out")" = 2 ]
ok "those that begin so" $?
hearth list --json && is_json "$work/out" && grep -qF '"name":"Tales:latest"' "$work/out" &&
    grep -qF '"quantization":"' "$work/out"
ok "list as JSON" $?

hearth show TALES && grep -q '^    Once upon ' "$work/out" && grep -q '^    temperature 0' "$work/out" &&
    grep -q '^    MIT$' "$work/out" && grep -q '^    parameters  *260.0K$' "$work/out"
ok "show" $?
hearth show tales --json && is_json "$work/out" && grep -qF '"name": "Tales:latest"' "$work/out"
ok "show as JSON" $?
printf 'FROM ./m.gguf\nTEMPLATE {{ .Prompt }}{{ .Suffix }}{{ range .Tools }}{{ . }}{{ end }}\n' >"$work/Able"
hearth create able -f "$work/Able" && hearth show able && grep -A 3 '^  Capabilities$' "$work/out" | tr -d '\n' |
    grep -q '^  Capabilities    completion    tools    insert$' && ! grep -q '^    thinking' "$work/out"
ok "what it can do by its template" $?
hearth show able --json && tr -d ' \n' <"$work/out" >"$work/able" && hearth list able --json &&
    can=$(grep -o '"capabilities":\[[^]]*\]' "$work/able") && grep -qF "$can" "$work/out" && grep -q tools <<<"$can"
ok "which show and list tell alike" $?
hearth rm able
hearth show tales --modelfile && grep -q "^FROM $(realpath $models/stories260k.gguf)$" "$work/out" &&
    cp "$work/out" "$work/Again" && hearth create again -f "$work/Again"
ok "a Modelfile that makes it again" $?
hearth list --json && [ "$(grep -o '"digest":"[0-9a-f]*"' "$work/out" | sort | uniq -c | grep -c ' 2 ')" = 1 ]
ok "which is the same model" $?
hearth show tales --system && [ "$(cat "$work/out")" = "Once upon " ] &&
    hearth show tales --template && [ "$(cat "$work/out")" = "{{ .System }}{{ .Prompt }}" ] &&
    hearth show tales --license && grep -q '^and so on$' "$work/out" &&
    hearth show tales --parameters && grep -q '^num_predict 12$' "$work/out"
ok "its parts" $?
hearth show "$work/m.gguf" --modelfile && grep -q '^FROM /.*stories260k.gguf$\|^FROM .*m.gguf$' "$work/out"
ok "the Modelfile of a file" $?
fails "two parts" 64 "only one of" show tales --system --license

"$HEARTH" run "$work/m.gguf" --raw --temp 0 -n 12 "Once upon a time" >"$work/want" 2>"$work/err" </dev/null
hearth run tales "a time" && cmp -s "$work/out" "$work/want"
ok "run: template, system text and parameters of the store" $?
hearth run tales -n 3 "a time" && [ "$(wc -c <"$work/out")" -lt "$(wc -c <"$work/want")" ] &&
    cp "$work/out" "$work/want3" && hearth run me/SHORT:v1 "a time" && cmp -s "$work/out" "$work/want3"
ok "run: options win, and what was inherited holds" $?

hearth cp tales Copy && hearth show copy --system && [ "$(cat "$work/out")" = "Once upon " ]
ok "cp" $?
hearth rm copy again me/short:v1 && hearth list && [ "$(wc -l <"$work/out")" = 2 ] && [ -e "$work/m.gguf" ]
ok "rm forgets names only" $?
echo '{' >"$work/store/manifests/registry.ollama.ai/library/Tales/broken.json"
hearth list && [ "$(wc -l <"$work/out")" = 2 ] && grep -q '^warning: 1 of .*broken.json' "$work/err"
ok "a damaged manifest is told, and hides none" $?
rm "$work/m.gguf"
hearth list && grep -q Tales "$work/out"
ok "weights that went" $?
finish

#!/bin/bash
# The official clients, unmodified, against a server with a tiny model. They are installed into
# build/clients, once for each version of package.json and requirements.txt.
. tests/cli/lib.sh
here=tests/clients
into=build/clients
model=../shared/models/stories260k.gguf

skip_all()
{
    skip "the official clients" "$1"
    finish
}

[ -r $model ] || skip_all "$model is missing"
case $HEARTH in
*-tsan/*) skip_all "their answers are the same under a sanitizer of threads, and take minutes" ;;
*-asan/*) export TEST_SLOW=5 ;;
esac
mkdir -p $into

# Runs ARGUMENTS once for the contents of FILE; what they print goes to $work/install.
once() # FILE DIR ARGUMENTS...
{
    local file=$1 dir=$2 sum
    shift 2
    sum=$(sha256sum <"$file")
    [ "$(cat "$dir/installed" 2>/dev/null)" = "$sum" ] && return 0
    mkdir -p "$dir"
    cp "$file" "$dir/"
    timeout 240 "$@" >"$work/install" 2>&1 || return 1
    echo "$sum" >"$dir/installed"
}
npm_install()
{
    npm install --prefix $into/node --no-package-lock --no-audit --no-fund --no-progress --ignore-scripts
}
pip_install()
{
    python3 -m venv $into/python &&
        $into/python/bin/pip install -q --disable-pip-version-check -r $here/requirements.txt
}
export -f npm_install pip_install
export here into

node=1 python=1
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
    skip "the clients from npm" "node or npm is missing"
    node=0
elif ! once $here/package.json $into/node bash -c npm_install; then
    skip "the clients from npm" "they cannot be installed: $(tail -n 1 "$work/install")"
    node=0
fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    skip "the clients from PyPI" "python3-venv is missing"
    python=0
elif ! once $here/requirements.txt $into/python bash -c pip_install; then
    skip "the clients from PyPI" "they cannot be installed: $(tail -n 1 "$work/install")"
    python=0
fi
[ $node = 1 ] || [ $python = 1 ] || finish

# A template that shows tools and says how they are called.
export HEARTH_MODELS=$work/store
ln -s "$(realpath $model)" "$work/m.gguf"
cat >"$work/Modelfile" <<'END'
FROM ./m.gguf
PARAMETER num_ctx 2048
TEMPLATE """{{ if .System }}{{ .System }}
{{ end }}{{ if .Tools }}{{ range .Tools }}{{ . }}
{{ end }}<tool_call>{"name": , "arguments": }</tool_call>
{{ end }}{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ range .ToolCalls }}<tool_call>{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}</tool_call>{{ end }}
{{ end }}assistant: """
END
hearth create tiny -f "$work/Modelfile"
ok "a model to talk to" $?

"$HEARTH" serve --host 127.0.0.1 --port 0 -s responses.path="$work/responses.db" >"$work/serve.out" 2>"$work/serve.err" </dev/null &
server=$!
trap 'kill $server 2>/dev/null; wait $server 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 200); do
    HEARTH_URL=$(grep -ohm 1 'http://[0-9.:]*' "$work/serve.out" "$work/serve.err")
    [ -z "$HEARTH_URL" ] || break
    sleep 0.05
done
export HEARTH_URL
[ -n "$HEARTH_URL" ]
set -- $?
cat "$work"/serve.* >"$work/err"
ok "a server to talk to" $1
[ $1 = 0 ] || finish

# What a program said becomes tests of this one.
take() # NAME STATUS
{
    local line
    while IFS= read -r line; do
        case $line in
        "ok "*) n_test=$((n_test + 1)) && echo "ok $n_test ${line#ok }" ;;
        "not ok "*) n_test=$((n_test + 1)) n_bad=$((n_bad + 1)) && echo "not ok $n_test ${line#not ok }" ;;
        *) echo "$line" ;;
        esac
    done <"$work/out"
    if ! grep -q '^not ok' "$work/out" && { [ "$2" != 0 ] || ! grep -q '^ok' "$work/out"; }; then
        ok "$1 runs to its end" 1
    fi
}
if [ $node = 1 ]; then
    cp $here/*.mjs $into/node/
    for file in ollama openai anthropic ai langchain; do
        node $into/node/$file.mjs >"$work/out" 2>"$work/err"
        take $file $?
    done
fi
if [ $python = 1 ]; then
    $into/python/bin/python $here/clients.py >"$work/out" 2>"$work/err"
    take clients.py $?
fi

# Clients left in the middle of answers; of none of these is anything left.
idle()
{
    python3 -c 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())' \
        "$HEARTH_URL/metrics" >"$work/out" 2>"$work/err" &&
        grep -q '^hearth_requests_running' "$work/out" &&
        ! grep '^hearth_requests_\(running\|waiting\)' "$work/out" | grep -qv ' 0$'
}
for _ in $(seq 50); do
    idle && break
    sleep 0.1
done
idle
ok "nothing is left running" $?
kill $server
wait $server
[ $? = 0 ]
ok "the server ends well" $?
grep -q "Sanitizer" "$work/serve.err" && sed 's/^/# /' "$work/serve.err"
! grep -q "Sanitizer" "$work/serve.err"
ok "no sanitizer said anything" $?
finish

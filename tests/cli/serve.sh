#!/bin/bash
# hearth serve, config and key, as their user meets them: starting, reloading, stopping.
. tests/cli/lib.sh
for name in $(compgen -e | grep -E '^(HEARTH|OLLAMA)_'); do
    unset "$name"
done
export XDG_DATA_HOME=$work XDG_STATE_HOME=$work XDG_CONFIG_HOME=$work/conf XDG_CACHE_HOME=$work
server=

# Starts a server with these words; its address is in $url. Its stderr is $work/log.
serve()
{
    : >"$work/log"
    "$HEARTH" serve --port 0 "$@" >"$work/out" 2>"$work/log" </dev/null &
    server=$!
    for _ in $(seq 200); do
        url=$(sed -n 's/^hearth listens on //p' "$work/log")
        [ -z "$url" ] || return 0
        kill -0 $server 2>/dev/null || return 1
        sleep 0.05
    done
    return 1
}

stop() # [SIGNAL]: the server's status
{
    kill "-${1-TERM}" $server 2>/dev/null
    wait $server
}

# get URL...: status in $code, body in $work/out
get()
{
    code=$(python3 - "$work/out" "$@" <<'EOF' 2>"$work/err"
import sys, urllib.request, urllib.error
out, url = sys.argv[1:3]
q = urllib.request.Request(url, data=sys.argv[3].encode() if len(sys.argv) > 3 else None)
q.add_header("content-type", "application/json")
if len(sys.argv) > 4:
    q.add_header("authorization", "Bearer " + sys.argv[4])
try:
    r = urllib.request.urlopen(q)
except urllib.error.HTTPError as e:
    r = e
open(out, "wb").write(r.read())
print(r.status)
EOF
)
}

until_log() # TEXT: waits until the log has it
{
    for _ in $(seq 200); do
        grep -qF -- "$1" "$work/log" && return 0
        sleep 0.05
    done
    cp "$work/log" "$work/err"
    return 1
}

# -- settings --
hearth config example && hearth config example >"$work/err" && cp "$work/out" "$work/example.yaml"
hearth config check "$work/example.yaml" && grep -q "all fine" "$work/out"
ok "the example is right" $?
printf 'listen:\n  prot: 1\n' >"$work/bad.yaml"
grep -q '#body: 32MiB .*\[HEARTH_BODY_MAX\]' "$work/example.yaml" && [ "$(grep -c '\[HEARTH_' "$work/example.yaml")" -ge 40 ]
ok "each setting's variable is in the example" $?
HEARTH_LIMITS_BODY=1MiB HEARTH_BODY_MX=1 HEARTH_QEUE=5 HEARTH_TEMP=1 HEARTH_MODELS_KEEP_ALIVE=1 HEARTH_API_KEY=x HEARTH_CPU=ref \
    HEARTH_CONFIG= HEARTH_LOG_LEVEL=info hearth config check
grep -q 'HEARTH_LIMITS_BODY is not known here; did you mean HEARTH_BODY_MAX?' "$work/err" &&
    grep -q 'HEARTH_BODY_MX .*HEARTH_BODY_MAX?' "$work/err" && grep -q 'HEARTH_QEUE .*HEARTH_QUEUE?' "$work/err" &&
    grep -q 'HEARTH_TEMP is not known here$' "$work/err" &&
    grep -q 'HEARTH_MODELS_KEEP_ALIVE .*HEARTH_KEEP_ALIVE?' "$work/err" && [ "$(wc -l <"$work/err")" = 5 ]
ok "variables that nobody reads are named" $?
fails "config check names the place" 64 "$work/bad.yaml:2:3: there is no setting 'listen.prot'; did you mean 'listen.port'?" \
    config check "$work/bad.yaml"
printf 'listen:\n  host: 0.0.0.0\n  prot: 3\n  tls_cert: /etc/group\n  tls_key: /etc/passwd\nlimits:\n  body: x\n' \
    >"$work/many.yaml"
hearth config check "$work/many.yaml"
[ $? = 64 ] && [ "$(wc -l <"$work/err")" = 4 ] && grep -q "many.yaml:3:3: .*'listen.port'" "$work/err" &&
    grep -q 'many.yaml:7:9: limits.body' "$work/err" && grep -q '0.0.0.0 can be reached' "$work/err" &&
    grep -q '/etc/group and /etc/passwd are no certificate' "$work/err"
ok "config check tells all, also what serve would refuse" $?
fails "serve does as well" 64 "bad.yaml:2:3" serve --config "$work/bad.yaml"
fails "config without a file" 4 "none.yaml" config check "$work/none.yaml"
fails "config of another word" 64 "usage: hearth config" config chekc
hearth config print --set listen.port=99 && grep -q '^  port: 99$' "$work/out"
ok "config print" $?
OLLAMA_HOST=0.0.0.0 OLLAMA_KEEP_ALIVE=-1 hearth config print && grep -q '0.0.0.0' "$work/out" &&
    grep -q 'keep_alive: -1' "$work/out"
ok "variables of Ollama" $?
fails "a port that is none" 64 "70000 is outside" serve --port 70000

# -- keys --
fails "no keys yet" 4 "$work/keys" key list --file "$work/keys"
hearth key add alice --file "$work/keys" --model 'qwen*' --per-minute 100
ok "key add" $?
alice=$(cat "$work/out")
hearth key add ops --file "$work/keys" --scope metrics --scope manage
ops=$(cat "$work/out")
hearth key list --file "$work/keys" && grep -q '^alice .*infer .*qwen\*.*100 a minute' "$work/out" &&
    grep -q '^ops .*manage,metrics' "$work/out"
ok "key list" $?
! grep -q "$alice" "$work/keys" && [ "$(stat -c %a "$work/keys")" = 600 ]
ok "the key itself is not kept" $?
fails "a name that is taken" 64 "already" key add alice --file "$work/keys"
fails "a name that is none" 64 "letters" key add 'a b' --file "$work/keys"
fails "a scope that is none" 64 "none of infer" key add x --scope all --file "$work/keys"

# -- running --
printf 'limits:\n  drain_timeout: 20s\nlisten:\n  keys: %s\n' "$work/keys" >"$work/h.yaml"
serve --config "$work/h.yaml" --verbose
ok "it starts" $?
port=${url##*:}
get "$url/health" && [ "$code" = 200 ] && grep -q '{"status":"ok"}' "$work/out"
ok "health, without a key" $?
get "$url/" && [ "$code" = 200 ] && grep -q 'is running' "$work/out"
ok "root" $?
get "$url/metrics" && [ "$code" = 401 ]
ok "metrics need a key" $?
get "$url/metrics" "" "$alice"
get2=$code
code=$(python3 -c 'import urllib.request, sys
q = urllib.request.Request(sys.argv[1] + "/metrics", headers={"x-api-key": sys.argv[2]})
r = urllib.request.urlopen(q); sys.stdout.write(str(r.status)); open(sys.argv[3], "wb").write(r.read())' "$url" "$ops" "$work/out")
[ "$code" = 200 ] && [ "$get2" != 200 ] && grep -q '^hearth_requests_total{.*server.health' "$work/out"
ok "metrics, with the key of ops" $?
fails "the port is in use" 5 "in use" serve --port "$port"
until_log "GET server.health 200" && ! grep -q "$alice\|$ops" "$work/log"
ok "a line for each request, without keys" $?

cp "$work/bad.yaml" "$work/h.yaml"
kill -HUP $server
until_log "not reloaded, all stays as it was: $work/h.yaml:2:3"
ok "Y9 a broken file is not taken" $?
get "$url/metrics" && [ "$code" = 401 ]
ok "and all stays as it was" $?
hearth key add bob --scope metrics --file "$work/keys"
bob=$(cat "$work/out")
printf 'listen:\n  keys: %s\nlog:\n  level: info\n' "$work/keys" >"$work/h.yaml"
hearth key remove ops --file "$work/keys"
kill -HUP $server
until_log reloaded
code=$(python3 -c 'import urllib.request, sys
def ask(key):
    q = urllib.request.Request(sys.argv[1] + "/metrics", headers={"api-key": key})
    try: return urllib.request.urlopen(q)
    except Exception as e: return e
bob, ops = ask(sys.argv[2]), ask(sys.argv[3])
sys.stdout.write("%d %d" % (bob.status, ops.code)); open(sys.argv[4], "wb").write(bob.read())' "$url" "$bob" "$ops" "$work/out")
[ "$code" = "200 401" ] && grep -q '^hearth_config_reload_failed_total 1' "$work/out"
ok "keys and settings are read again, and failures counted" $?
stop
ok "SIGTERM ends it well" $?

# -- draining --
if [ -r $models/stories260k.gguf ]; then
    printf 'FROM %s\n' "$(realpath $models/stories260k.gguf)" >"$work/Modelfile"
    hearth create tiny -f "$work/Modelfile"
    serve
    (get "$url/v1/completions" '{"model":"tiny","prompt":"Once","max_tokens":400,"temperature":0,"n":64}'
        echo "$code" >"$work/code") &
    asked=$!
    for _ in $(seq 100); do
        [ -s "$work/code" ] && break # it is told once a second
        get "$url/metrics" && grep -q '^hearth_requests_running.* [1-9]' "$work/out" && break
    done
    kill -TERM $server
    wait $server
    status=$?
    wait $asked
    [ $status = 0 ] && [ "$(cat "$work/code")" = 200 ]
    ok "F25 a request under way is answered first" $?
else
    skip "F25 a request under way is answered first" "no model"
fi

# A name that is made anew over the same file is not loaded again, and says its new text at once.
if [ -r $models/stories260k.gguf ]; then
    serve
    rendered() # [TEXT]: what the template makes of a conversation has it
    {
        get "$url/apply-template" '{"model":"tiny","messages":[{"role":"user","content":"Hi"}]}' && grep -qF "$1" "$work/out"
    }
    count() # NAME: of the metric
    {
        get "$url/metrics" && grep "^$1{" "$work/out" | grep -o '[0-9]*$'
    }
    rendered "User: Hi" && ! rendered "<Hi>"
    ok "a conversation by the plain template" $?
    get "$url/api/create" '{"model":"tiny","from":"tiny","template":"{% for m in messages %}<{{ m.content }}>{% endfor %}","parameters":{"temperature":0}}' &&
        [ "$code" = 200 ] && rendered "<Hi>" && [ "$(count hearth_model_loads_total)" = 1 ]
    ok "a name made anew keeps what is loaded" $?
    printf 'FROM %s\nTEMPLATE "{%% for m in messages %%}({{ m.content }}){%% endfor %%}"\n' "$(realpath $models/stories260k.gguf)" >"$work/Modelfile"
    hearth create tiny -f "$work/Modelfile" && rendered "(Hi)" && [ "$(count hearth_model_loads_total)" = 1 ]
    ok "also from the command line" $?
    hearth cp tiny kept && HEARTH_HOST=$url hearth ps && grep -q tiny "$work/out" &&
        python3 -c 'import sys, urllib.request as u
u.urlopen(u.Request(sys.argv[1] + "/api/delete", data=b"{\"model\":\"tiny\"}", method="DELETE"))' "$url" &&
        for _ in $(seq 200); do get "$url/api/ps"; grep -q '"models":\[\]' "$work/out" && break; sleep 0.05; done &&
        grep -q '"models":\[\]' "$work/out"
    ok "one that is deleted goes" $?
    hearth cp kept tiny
    stop
else
    for what in "a name made anew keeps what is loaded" "one that is deleted goes"; do
        skip "$what" "no model"
    done
fi

# A request that never comes to its end would be waited for.
serve -v
python3 - "$url" "$work/begun" <<'EOF' &
import socket, sys, urllib.parse
u = urllib.parse.urlparse(sys.argv[1])
s = socket.create_connection((u.hostname, u.port))
s.sendall(b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
          b"Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n")
open(sys.argv[2], "wb").write(s.recv(1000))
s.settimeout(60)
try:
    s.recv(1)
except OSError:
    pass
EOF
asked=$!
for _ in $(seq 200); do [ -s "$work/begun" ] && break; sleep 0.05; done
kill -TERM $server
until_log "stopping: 1 requests are under way" && kill -INT $server
wait $server
[ $? = 1 ] && grep -q "stopped at once: 1 requests under way were cut" "$work/log"
ok "a second signal ends it at once" $?
wait $asked

# -- systemd --
python3 - "$work/notify" "$work/said" <<'EOF' &
import socket, sys, os
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
s.settimeout(20)
said = []
while not said or said[-1] != "STOPPING=1":
    said.append(s.recv(1000).decode().split("\n")[0])
open(sys.argv[2], "w").write(" ".join(said))
EOF
listener=$!
for _ in $(seq 100); do [ -S "$work/notify" ] && break; sleep 0.05; done
export NOTIFY_SOCKET=$work/notify
serve
unset NOTIFY_SOCKET
kill -HUP $server
until_log "" && sleep 0.2
stop INT
ok "SIGINT ends it well" $?
wait $listener
[ "$(cat "$work/said")" = "READY=1 RELOADING=1 READY=1 STOPPING=1" ]
ok "systemd is told" $?
serve --host "unix:$work/sock" && [ "$url" = "unix:$work/sock" ] && [ "$(stat -c %a "$work/sock")" = 600 ] &&
    stop && [ ! -e "$work/sock" ]
ok "a unix socket" $?

finish

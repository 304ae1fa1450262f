#!/bin/bash
# bench/compare: what it runs and in which order, what it makes of the reports of either peer,
# and what it says when there is none. The engines here are scripts whose speeds are known.
. tests/cli/lib.sh

if ! command -v python3 >/dev/null; then
    skip "compare" "no python3"
    finish
fi

# Each call of a fake appends its name and what it measures to the log; its speed is read
# from a list, a line per call.
fake() # NAME: the script's body comes on stdin
{
    {
        echo '#!/bin/bash'
        echo "name=$1 dir=$work"
        cat <<'HEAD'
usage=0 p=0 n=0 d=0
all=$*
while [ $# -gt 0 ]; do
    case $1 in
    -p) p=$2 ;; -n) n=$2 ;; -d) d=$2 ;; -gp) gp=$2 ;; --help) usage=1 ;; version) usage=1 ;;
    esac
    shift
done
[ $usage = 1 ] || echo "$name $all" >>"$dir/log"
rate=$(head -n 1 "$dir/$name.rates" 2>/dev/null)
[ $usage = 1 ] || sed -i 1d "$dir/$name.rates" 2>/dev/null
HEAD
        cat
    } >"$work/$1"
    chmod +x "$work/$1"
}
fake hearth <<'EOS'
[ $usage = 1 ] && { echo "hearth 9"; exit; }
row() { if [ "$1" = 0 ]; then echo null; else echo "{\"median\":$rate,\"min\":1,\"max\":1}"; fi; }
echo "{\"model\":\"m\",\"prefill_tok_s\":$(row $p),\"decode_tok_s\":$(row $n)}"
EOS
# llama.cpp's: a test for each of -p and -n, the depth in a field.
fake llama-bench <<'EOS'
[ $usage = 1 ] && { echo "  -d, --n-depth <n>"; exit; }
test() { echo "{\"build_number\": 77, \"n_prompt\": $1, \"n_gen\": $2, \"n_depth\": $d,
    \"avg_ns\": 5, \"stddev_ns\": 0, \"avg_ts\": $rate, \"stddev_ts\": 0.0,
    \"samples_ns\": [ 5 ], \"samples_ts\": [ $rate ]}"; }
echo "["
[ $p = 0 ] || test $p 0
[ $p = 0 ] || [ $n = 0 ] || echo ","
[ $n = 0 ] || test 0 $n
echo "]"
EOS
# ik_llama.cpp's: no depth, other fields, words before the array.
fake ik-bench <<'EOS'
[ $usage = 1 ] && { echo "  -gp <pp,tg>"; exit; }
echo "[1mHAVE_FANCY_SIMD is defined[0m"
test() { echo "{\"build_number\": 88, \"mla_attn\": 3, \"n_prompt\": $1, \"n_gen\": $2,
    \"avg_ns\": 5, \"avg_ts\": $rate, \"test\": \"$3\", \"samples_ts\": [ $rate ]}"; }
echo "["
[ -z "$gp" ] || test ${gp%,*} ${gp#*,} "tg@pp"
[ $p = 0 ] || test $p 0 "pp$p"
[ $n = 0 ] || test 0 $n "tg$n"
echo "]"
EOS
touch "$work/m.gguf"

compare() # ARGUMENTS
{
    HEARTH=$work/hearth bench/compare "$@" >"$work/out" 2>"$work/err"
}
rates() # NAME RATE...: what the next calls of a fake measure
{
    local name=$1
    shift
    printf '%s\n' "$@" >"$work/$name.rates"
}
refuses() # NAME STATUS TEXT ARGUMENTS...
{
    local name=$1 status=$2 text=$3 got
    shift 3
    compare "$@"
    got=$?
    [ $got = "$status" ] && head -n 1 "$work/err" | grep -q '^error: ' &&
        grep -qF -- "$text" "$work/err" && ! grep -q Traceback "$work/err"
    set -- $?
    [ "$1" = 0 ] || echo "# status $got, want $status, and: $text"
    ok "$name" "$1"
}
json() # EXPRESSION over j
{
    python3 -c 'import json, sys; j = json.load(open(sys.argv[1])); sys.exit(not eval(f"({sys.argv[2]})"))' \
        "$work/out" "$1" 2>>"$work/err"
}

# Three rounds; prefill and decode alternate, so lists alternate too.
rates hearth 100 10 300 30 200 20
rates llama-bench 50 10 50 10 50 5
compare "$work/llama-bench" "$work/m.gguf" -t 3 -p 32 -n 8 -r 3 -- -x 1
ok "a comparison succeeds" $?
cut -d' ' -f1 "$work/log" | tr '\n' ' ' >"$work/order"
[ "$(cat "$work/order")" = "$(printf 'hearth llama-bench %.0s' 1 2 3 4 5 6)" ]
ok "the engines take turns" $?
grep -q -- "^llama-bench -m $work/m.gguf -t 3 -r 1 -fa 1 -o json -p 32 -n 0 -x 1$" "$work/log" &&
    grep -q -- "^hearth bench $work/m.gguf -t 3 -d 0 -r 1 -p 0 -n 8 --json$" "$work/log"
ok "each is asked for one kind at a time, with its own options" $?
[ "$(grep -c '^ *[123]  ' "$work/out")" = 3 ]
ok "each round is shown" $?
grep -q '^hearth 9 beside llama-bench build 77' "$work/out"
ok "it says who was measured" $?
grep -q '^prefill .*hearth 200.00 (100.00 to 300.00) .*ratio 4.000 (2.000 to 6.000)$' "$work/out"
ok "medians and ratios of prefill" $?
grep -q '^decode .*peer 10.00 (5.00 to 10.00) .*ratio 3.000 (1.000 to 4.000)$' "$work/out"
ok "medians and ratios of decode" $?

rates hearth 100 10
rates llama-bench 50 5
compare "$work/llama-bench" "$work/m.gguf" -p 32 -n 8 -d 16 -r 1 --json
[ "$(wc -l <"$work/out")" = 1 ] && json 'j["depth"] == 16 and j["prefill"]["ratio"] ==
    {"median": 2, "min": 2, "max": 2} and j["decode"]["peer"]["median"] == 5 and
    j["rounds"] == [{"prefill": {"hearth": 100, "peer": 50, "ratio": 2},
                     "decode": {"hearth": 10, "peer": 5, "ratio": 2}}]'
ok "one JSON object" $?
grep -q -- '^llama-bench .* -d 16$' "$work/log"
ok "the depth is the peer's -d" $?

rm "$work/log"
rates hearth 100 10
rates llama-bench 50 5
compare "$work/llama-bench" "$work/m.gguf" -p 32 -n 8 -r 1 --together --json
[ "$(wc -l <"$work/log")" = 2 ] && json 'j["prefill"]["peer"]["median"] == 50 and
    j["decode"]["peer"]["median"] == 50'
ok "both kinds in one turn" $?

rates hearth 100 10
rates ik-bench 50 4
compare "$work/ik-bench" "$work/m.gguf" -p 32 -n 8 -r 1 --json -- -rtr 1
json 'j["prefill"]["ratio"]["median"] == 2 and j["decode"]["ratio"]["median"] == 2.5 and
    j["peer_options"] == ["-rtr", "1"] and j["peer"] == "ik-bench build 88"'
ok "the other peer's report" $?
rates hearth 10
rates ik-bench 4
compare "$work/ik-bench" "$work/m.gguf" -p 0 -n 8 -d 64 -r 1 --json
grep -q -- '-p 0 -n 0 -gp 64,8$' "$work/log" && json '"prefill" not in j and
    j["decode"]["ratio"]["median"] == 2.5'
ok "its decode after a depth" $?
refuses "its prefill after a depth" 64 "add -p 0" "$work/ik-bench" "$work/m.gguf" -d 64

refuses "no arguments" 64 "PEER"
refuses "nothing to measure" 64 "nothing to measure" "$work/ik-bench" "$work/m.gguf" -p 0 -n 0
refuses "a number out of range" 64 "0 is less than 1" "$work/ik-bench" "$work/m.gguf" -r 0
refuses "no such peer" 4 "$work/none: no such program" "$work/none" "$work/m.gguf"
refuses "no such model" 4 "no such file" "$work/llama-bench" "$work/none.gguf"
echo 1 >"$work/hearth.rates"
fake bad-bench <<'EOS'
[ $usage = 1 ] || { echo "loading"; echo "cannot load the model" >&2; exit 7; }
EOS
refuses "a peer that fails, in its own words" 1 "cannot load the model" "$work/bad-bench" "$work/m.gguf"
grep -q 'status 7' "$work/err"
ok "and its status" $?
rates hearth 1
fake odd-bench <<'EOS'
[ $usage = 1 ] || echo "| model | t/s |"
EOS
refuses "a report that is no JSON" 1 "| model | t/s |" "$work/odd-bench" "$work/m.gguf"
rates hearth 1
fake new-bench <<'EOS'
[ $usage = 1 ] || echo '[{"n_prompt": 32, "n_gen": 0, "speed": 3}]'
EOS
refuses "a report of unknown fields" 1 "avg_ts" "$work/new-bench" "$work/m.gguf" -p 32
rates hearth nonsense
refuses "a hearth that is not understood" 1 "not understood" "$work/llama-bench" "$work/m.gguf"

model=$models/stories260k.gguf
if [ -r $model ]; then
    rates llama-bench 1 1
    bench/compare "$work/llama-bench" $model -p 16 -n 4 -r 1 -t 1 --json >"$work/out" 2>"$work/err"
    json 'j["prefill"]["hearth"]["median"] > 0 and j["decode"]["ratio"]["max"] > 0'
    ok "hearth itself" $?
else
    skip "hearth itself" "$model is missing"
fi
finish

#!/bin/bash
# --pack-cache of `hearth run` and `hearth bench`: packed weights are kept for the next start,
# and the text is the same whatever happens to them.
. tests/cli/lib.sh

model=$models/stories260k.gguf
if [ ! -r $model ]; then
    skip "a cache of packed weights" "$model is missing"
    finish
fi
cp $model "$work/m.gguf" || exit 1
cache=$work/cache
hearth run "$work/m.gguf" --temp 0 -n 30 "Once upon a time" && cp "$work/out" "$work/story"

hearth run "$work/m.gguf" --cpu ref --temp 0 -n 30 --pack-cache="$cache" "Once upon a time" &&
    [ -z "$(ls "$cache" 2>/dev/null)" ] && grep -q '^warning: nothing to keep' "$work/err"
ok "nothing to keep where nothing is packed, and it says so" $?
if ! "$HEARTH" bench "$work/m.gguf" -p 1 -n 0 -r 1 | grep -q avx; then
    skip "a cache of packed weights" "this machine has the reference tier only"
    finish
fi

run() # ARGUMENTS: the story with a cache; how the weights came is in $work/err
{
    hearth run "$work/m.gguf" --temp 0 -n 30 --verbose "$@" "Once upon a time" &&
        cmp -s "$work/out" "$work/story"
}
from_cache() # 1 file, found at the start
{
    grep -q '^weights: *packed weights from the cache$' "$work/err" &&
        [ "$(ls "$cache" | wc -l)" = 1 ]
}

run --pack-cache="$cache" && grep -q '^weights: *packed in [0-9.]* s$\|^weights: *not packed yet' "$work/err" &&
    [ "$(ls "$cache" | wc -l)" = 1 ] && [ "$(stat -c %a "$cache" "$cache"/*)" = "700
600" ]
ok "the first run keeps its packed weights" $?
run --pack-cache="$cache" && from_cache
ok "the second run finds them" $?
hearth bench "$work/m.gguf" -p 8 -n 4 -r 1 --pack-cache="$cache" && grep -q 'packed weights from the cache' "$work/out"
ok "bench finds them" $?
hearth bench "$work/m.gguf" -p 8 -n 4 -r 1 --json --pack-cache="$cache" && grep -q '"pack_cached":true' "$work/out"
ok "bench finds them, in JSON" $?
run && ! from_cache
ok "without the option nothing is read" $?

file=$(ls "$cache"/*)
printf 'x' | dd of="$file" bs=1 seek=20 conv=notrunc 2>/dev/null
run --pack-cache="$cache" && ! grep -q 'weights from the cache' "$work/err" && grep -q '^warning: .*damaged' "$work/err" &&
    run --pack-cache="$cache" && from_cache
ok "a damaged header is passed over and replaced" $?
truncate -s 5000 "$file"
run --pack-cache="$cache" && grep -q '^warning: ' "$work/err" && run --pack-cache="$cache" && from_cache
ok "a file that is cut off is passed over and replaced" $?
printf 'xyz' | dd of="$file" bs=1 seek=300000 conv=notrunc 2>/dev/null
run --pack-cache="$cache" && grep -q '^warning: .*damaged' "$work/err" &&
    run --pack-cache="$cache" && from_cache
ok "damaged tiles are never used, and replaced" $?
head -c 8000 /dev/zero | tr '\0' '\377' | dd of="$file" bs=1 seek=500000 conv=notrunc 2>/dev/null
run --pack-cache="$cache" && grep -q '^warning: .*damaged' "$work/err" &&
    run --pack-cache="$cache" && from_cache
ok "nor such as would give no numbers" $?

cp $model "$work/m.gguf"
run --pack-cache="$cache" && ! grep -q 'weights from the cache' "$work/err"
ok "a file of the same size that was written anew is another file" $?
rm -rf "$cache"
run --pack-cache="$cache" --pack-cache-max 0.0001 && grep -q '^warning: packed weights are not kept: ' "$work/err" &&
    [ -z "$(ls "$cache")" ]
ok "more than the cache may have is not kept" $?
cp $model "$work/n.gguf"
run --pack-cache="$cache" --pack-cache-max 0.0015 && first=$(ls "$cache") &&
    hearth run "$work/n.gguf" --pack-cache="$cache" --pack-cache-max 0.0015 -n 1 x && [ "$(ls "$cache" | wc -l)" = 1 ] &&
    [ "$(ls "$cache")" != "$first" ]
ok "the least recently used goes" $?

rm -rf "$cache"
for i in 1 2 3 4; do
    "$HEARTH" run "$work/m.gguf" --temp 0 -n 30 --pack-cache="$cache" "Once upon a time" >"$work/out$i" 2>"$work/err$i" &
done
wait
cat "$work"/err? >"$work/err"
cmp -s "$work/out1" "$work/story" && cmp -s "$work/out2" "$work/story" && cmp -s "$work/out3" "$work/story" &&
    cmp -s "$work/out4" "$work/story" && [ ! -s "$work/err" ] && run --pack-cache="$cache" && from_cache
ok "four writers at once" $?

mkdir "$work/open" && chmod 777 "$work/open"
run --pack-cache="$work/open" && grep -q '^warning: .*only its owner' "$work/err" && [ -z "$(ls "$work/open")" ]
ok "a directory that others may write to is not used" $?
if [ "$(id -u)" = 0 ]; then
    skip "a directory that may only be read" "root may write anywhere"
else
    mkdir "$work/read" && chmod 500 "$work/read"
    run --pack-cache="$work/read" && grep -q '^warning: packed weights are not kept' "$work/err"
    ok "a directory that may only be read" $?
fi
run --pack-cache=/proc/no/such && grep -q '^warning: .*/proc' "$work/err"
ok "a directory that cannot be made" $?

export XDG_CACHE_HOME=$work/xdg
run --pack-cache && [ "$(ls "$work/xdg/hearth/packed" | wc -l)" = 1 ]
ok "the default is below XDG_CACHE_HOME" $?
fails "a size of no cache" 64 "no --pack-cache" run "$work/m.gguf" --pack-cache-max 3 x
fails "a size of nothing" 64 "pack-cache-max" run "$work/m.gguf" --pack-cache-max 0 x
finish

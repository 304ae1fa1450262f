#!/bin/bash
# `hearth convert`, and folders as models: what a user meets.
. tests/cli/lib.sh

if ! command -v python3 >/dev/null; then
    skip "convert" "python3 is missing"
    finish
fi
# A Llama of a layer whose rows blocks of 32 fill, and a head that blocks of 256 do not; or weights
# of more layers than its config tells.
folder() # DIR [LAYERS]
{
    python3 - "$1" "${2-1}" <<'PY'
import array, sys
sys.path.insert(0, 'tests/golden')
from hf_lib import T, write_folder
d, v = 64, 40
config = {'architectures': ['LlamaForCausalLM'], 'num_hidden_layers': 1, 'hidden_size': d, 'intermediate_size': 256,
          'num_attention_heads': 4, 'max_position_embeddings': 64, 'rms_norm_eps': 1e-5, 'sliding_window': 32}
shapes = {'embed_tokens': [v, d], 'norm': [d]}
for i in range(int(sys.argv[2])):
    l = 'layers.%d.' % i
    shapes.update({l + 'input_layernorm': [d], l + 'post_attention_layernorm': [d], l + 'mlp.gate_proj': [256, d],
                   l + 'mlp.up_proj': [256, d], l + 'mlp.down_proj': [d, 256]})
    shapes.update({l + 'self_attn.%s_proj' % c: [d, d] for c in 'qkvo'})
t = {}
for name, s in shapes.items():
    n = s[0] * (s[1] if len(s) > 1 else 1)
    t['model.%s.weight' % name] = T(s, array.array('f', ((i * 7919 % 1009 - 504) / 2000 for i in range(n))))
write_folder(sys.argv[1], config, t, 'BF16')
PY
}
folder "$work/tiny" 2>"$work/err" || echo "# $(cat "$work/err")"
out=$work/out.gguf

hearth convert "$work/tiny" "$out"
[ $? = 0 ] && grep -q '^.*/out.gguf: [0-9.]* MB, from [0-9.]* MB of weights, in [0-9.]* s$' "$work/out" &&
    grep -q '^warning: sliding_window 32 is not kept' "$work/err" && [ -s "$out" ]
ok "converts, and says sizes and what is not kept" $?
hearth show -v "$out" && grep -q '^    quantization  *BF16$' "$work/out" &&
    grep -qF 'blk.0.attn_q.weight  BF16  [64, 64]' "$work/out" && grep -qF 'blk.0.attn_norm.weight  F32  [64]' "$work/out"
ok "types as in the folder, norms in F32" $?
ls "$work" | grep -q tmp
[ $? = 1 ]
ok "nothing else is left behind" $?

cp "$out" "$work/before"
fails "an existing file is not replaced" 64 "--force replaces it" convert "$work/tiny" "$out"
cmp -s "$out" "$work/before"
ok "it is as it was" $?
hearth convert "$work/tiny" "$out" --force --type q8_0 --quiet && [ ! -s "$work/out" ] && [ ! -s "$work/err" ] &&
    hearth show -v "$out" && grep -q '^    quantization  *Q8_0$' "$work/out" &&
    grep -qF 'blk.0.ffn_down.weight  Q8_0  [256, 64]' "$work/out"
ok "--force, --type, --quiet" $?
hearth convert "$work/tiny" "$out" -f --type q4_k && grep -q '^warning: .* rows that blocks of Q4_K do not fill' "$work/err" &&
    hearth show -v "$out" && grep -qF 'blk.0.ffn_down.weight  Q4_K  [256, 64]' "$work/out" &&
    grep -qF 'blk.0.ffn_up.weight  Q5_0  [64, 256]' "$work/out" && grep -qF 'token_embd.weight  Q8_0  [64, 40]' "$work/out"
ok "rows that a type does not fill get the nearest, and the output no less than 6 bits" $?
for type in f32 f16 bf16 q4_0 iq4_nl mxfp4; do
    hearth convert "$work/tiny" "$out" -f --type $type &&
        hearth debug logits "$out" --ids 1,2,3 --out "$work/logits" && [ "$(stat -c %s "$work/logits")" = 480 ]
    ok "--type $type, and it runs" $?
done

hearth debug logits "$work/tiny" --ids 1,2,3 --out "$work/a" && hearth convert "$work/tiny" "$out" -f &&
    hearth debug logits "$out" --ids 1,2,3 --out "$work/b" && cmp -s "$work/a" "$work/b"
ok "the folder and its file give the same logits" $?
hearth show "$work/tiny" && grep -q '^    architecture  *llama$' "$work/out" &&
    grep -q '^    format  *Hugging Face folder$' "$work/out"
ok "show takes a folder" $?
hearth show --json "$work/tiny" && is_json "$work/out" && grep -qF '"format": "Hugging Face folder"' "$work/out"
ok "also as JSON" $?
hearth debug logits "$work/tiny/" --ids 1 --out "$work/a"
ok "a slash at the end does not matter" $?
hearth bench "$work/tiny" -p 4 -n 2 -r 1 --pack-cache="$work/cache" && hearth bench "$work/tiny" -p 4 -n 2 -r 1 --pack-cache="$work/cache"
ok "packed weights of a folder are kept" $?

fails "no folder" 4 "no folder '$work/none'" convert "$work/none" "$work/x.gguf"
fails "a file is no folder" 64 "is a file" convert "$out" "$work/x.gguf"
fails "a type that is none" 64 "'q9' is no type" convert "$work/tiny" "$work/x.gguf" --type q9
fails "a type that is only read" 64 "IQ2_XXS can be read, not written" convert "$work/tiny" "$work/x.gguf" --type iq2_xxs
fails "a directory as the result" 64 "is no file" convert "$work/tiny" "$work"
fails "a place that cannot be written" 5 "none/x.gguf" convert "$work/tiny" "$work/none/x.gguf"
fails "a word too few" 64 "usage: hearth convert" convert "$work/tiny"
fails "a result that is a part of the folder" 64 "is a part of what is read" \
    convert "$work/tiny" "$work/tiny/config.json" --force
folder "$work/deep" 3
for command in show convert; do
    fails "$command: more layers than config.json says" 2 \
        "config.json: num_hidden_layers is 1, and there are weights of 3 layers" \
        $command "$work/deep" $([ $command = show ] || echo "$work/x.gguf")
done
sed -i 's/"intermediate_size": 256/"intermediate_size": 128/' "$work/tiny/config.json"
fails "shapes that config.json contradicts" 2 "blk.0.ffn_down.weight: shape [256, 64, 1, 1], the model's keys say [128, 64, 1]" \
    convert "$work/tiny" "$work/x.gguf"
hearth convert "$work/tiny" "$work/no.gguf" --force && grep -q '^warning: what is written will not open here: ' "$work/err" &&
    [ -s "$work/no.gguf" ]
ok "--force writes it" $?
hearth show "$work/tiny" && grep -q '^warning: it will not open: .*blk.0.ffn_down.weight: shape \[256, 64' "$work/err"
ok "show warns of them" $?
sed -i 's/"intermediate_size": 128/"intermediate_size": 256/; s/"num_hidden_layers": 1/"num_hidden_layers": 2/' "$work/tiny/config.json"
fails "fewer layers than config.json says" 2 "tensor blk.1.attn_norm.weight: missing" convert "$work/tiny" "$work/x.gguf"
sed -i 's/LlamaForCausalLM/NobodysForCausalLM/' "$work/tiny/config.json"
fails "an unknown class names itself and where the known are" 3 "is not supported; \`hearth debug list classes\` names" \
    convert "$work/tiny" "$work/x.gguf"
[ ! -e "$work/x.gguf" ]
ok "nothing is written after a failure" $?
finish

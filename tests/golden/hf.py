"""Hugging Face folders, against the GGUF files of ../shared/golden, and of build/fixtures where
tests/golden/make_fixtures could write them.

Each tiny GGUF is written back as the folder that its makers would publish: the inverse of what
a converter does, written here from the published models' names, not from ours. Then
`hearth convert` must give the same tensors and keys again, and `hearth debug logits` of the
folder the same bits as of the file. A family is a row of FAMILIES."""
import array
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hf_lib import *  # noqa: E402

HEARTH = os.environ.get('HEARTH', 'build/release/hearth')
MODELS = '../shared/golden/models'
FIXTURES = os.environ.get('FIXTURES', 'build/fixtures')

n_test = n_bad = 0


def ok(name, good, why=''):
    global n_test, n_bad
    n_test += 1
    n_bad += not good
    print('%sok %d - %s' % ('' if good else 'not ', n_test, name))
    if not good and why:
        print('\n'.join('# ' + line for line in str(why).split('\n')[:20]))
    sys.stdout.flush()


def skip(name, why):
    global n_test
    n_test += 1
    print('ok %d - %s # SKIP %s' % (n_test, name, why))


def hearth(*args):
    return subprocess.run([HEARTH, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True)


# -- what GGUF names are called by their makers --------------------------------------------------

PER_LAYER = {
    'attn_norm': 'input_layernorm', 'ffn_norm': 'post_attention_layernorm',
    'attn_q': 'self_attn.q_proj', 'attn_k': 'self_attn.k_proj', 'attn_v': 'self_attn.v_proj',
    'attn_output': 'self_attn.o_proj', 'attn_q_norm': 'self_attn.q_norm', 'attn_k_norm': 'self_attn.k_norm',
    'ffn_gate': 'mlp.gate_proj', 'ffn_up': 'mlp.up_proj', 'ffn_down': 'mlp.down_proj',
    'ffn_gate_inp': 'mlp.gate', 'ffn_gate_exps': 'mlp.experts.$.gate_proj',
    'ffn_up_exps': 'mlp.experts.$.up_proj', 'ffn_down_exps': 'mlp.experts.$.down_proj',
    'ffn_gate_inp_shexp': 'mlp.shared_expert_gate', 'ffn_gate_shexp': 'mlp.shared_expert.gate_proj',
    'ffn_up_shexp': 'mlp.shared_expert.up_proj', 'ffn_down_shexp': 'mlp.shared_expert.down_proj',
}
GLOBAL = {'token_embd': 'model.embed_tokens', 'output_norm': 'model.norm', 'output': 'lm_head'}


class Family:
    """names: what differs from PER_LAYER and GLOBAL; how: GGUF base name to a function that
    gives the folder's tensors, {name: T}, from the GGUF's; config: keys beside the usual ones, or
    a function of the GGUF; drop: what the folder does not have; made: tensors that follow from
    the config, {name: numbers}, a function of the GGUF; extra: further files, or tensors of a
    further safetensors, a function of the GGUF's; of: the GGUF's path, where it is not named like
    the family among the golden ones; change: makes another GGUF of it, in place; ahead: what
    stands before the names of the layers that predict further tokens. A name with / in front has
    nothing before it."""

    def __init__(self, cls, names=None, how=None, config=None, layer='model.layers.%d.', drop=(),
                 made=None, extra=None, of=None, change=None, ahead=None):
        self.of, self.change, self.ahead = of, change, ahead
        self.cls, self.how, self.config, self.layer = cls, how or {}, config or {}, layer
        self.made, self.extra = made, extra or {}
        self.names = dict(PER_LAYER, **GLOBAL)
        self.names.update(names or {})
        self.drop = drop


def arch_key(g, name, default=None):
    return g.keys.get(g.keys['general.architecture'] + '.' + name, default)


def n_layer(g):
    return arch_key(g, 'block_count') - arch_key(g, 'nextn_predict_layers', 0)


def base_config(g):
    k = lambda name, default=None: arch_key(g, name, default)
    c = {'num_hidden_layers': n_layer(g), 'max_position_embeddings': k('context_length'),
         'hidden_size': k('embedding_length'), 'intermediate_size': k('feed_forward_length'),
         'num_attention_heads': k('attention.head_count'),
         'num_key_value_heads': k('attention.head_count_kv'),
         'rms_norm_eps': k('attention.layer_norm_rms_epsilon'), 'rope_theta': k('rope.freq_base'),
         'head_dim': k('attention.key_length'), 'vocab_size': k('vocab_size'),
         'tie_word_embeddings': 'output.weight' not in g.tensors}
    return {a: b for a, b in c.items() if b is not None}


def folder_of(fam, g):
    """The folder's config and tensors."""
    config = dict(base_config(g), architectures=[fam.cls])
    config.update(fam.config(g) if callable(fam.config) else fam.config)
    config = {a: b for a, b in config.items() if b is not None}
    out = {}
    for name, (kind, ne, b) in sorted(g.tensors.items()):
        m = re.match(r'(?:blk\.(\d+)\.)?(.*?)(?:\.(weight|bias))?$', name)
        layer, base, end = m.groups()
        full = base + ('.' + end if end else '')
        front = fam.layer % int(layer) if layer is not None else ''
        if fam.ahead and layer is not None and int(layer) >= n_layer(g):
            front = fam.ahead
        if base in fam.drop or full in fam.drop:
            continue
        t = T(ne[::-1], b, 'raw') if kind not in (F32, F16) else T(ne[::-1], numbers(kind, b))
        how = fam.how.get(full) or fam.how.get(base)
        if how:
            made = how(t, g, int(layer or 0))
            if made is not None:
                if isinstance(made, T):
                    made = {fam.names[base]: made}
                for n, v in made.items():
                    bare = n.endswith('!')  # a name without .weight
                    put(out, front, n.rstrip('!'), '' if bare else end or 'weight', v)
                continue
        put(out, front, fam.names[base], end, t)
    return config, out


def put(out, front, name, end, t):
    tail = '.' + end if end else ''
    if name.startswith('/'):
        front, name = '', name[1:]
    if '$' in name:
        for e in range(t.shape[0]):
            out[front + name.replace('$', str(e)) + tail] = t.part(e)
    else:
        out[front + name + tail] = t


# -- ways back -------------------------------------------------------------------------------------

def unrope(heads):
    """Neighbours of a head become its halves again: row 2j + half was row half * d/2 + j."""
    def f(t, g, layer):
        n = arch_key(g, heads)
        d = t.shape[0] // n
        return t.pick([h * d + 2 * j + half for h in range(n) for half in (0, 1) for j in range(d // 2)])
    return f


LLAMA = {'attn_q': unrope('attention.head_count'), 'attn_k': unrope('attention.head_count_kv')}


LLAMA3 = {'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
          'original_max_position_embeddings': 64}


def llama3_factors(g):
    """Long waves are stretched by the factor, short ones not, those between in between."""
    n, base, out = arch_key(g, 'rope.dimension_count'), arch_key(g, 'rope.freq_base'), []
    for i in range(n // 2):
        wave = 2 * math.pi * base ** (2 * i / n)
        turns = 64 / wave
        part = min(1, max(0, (turns - 1.0) / (4.0 - 1.0)))
        out.append(1 / ((1 - part) / 8.0 + part))
    return {'rope_freqs.weight': out}


minus_one = lambda t, g, layer: t.map(lambda x: f32(x - 1))
log_minus = lambda t, g, layer: T([len(t.a)], array.array('f', (math.log(-x) for x in t.a)))
flat = lambda t, g, layer: t.reshape(len(t.a))
one_in = lambda t, g, layer: t.reshape(t.shape[0], 1, t.shape[-1])


def bare(name, f=None):
    """The folder has no .weight behind that name."""
    return lambda t, g, layer: {name + '!': f(t, g, layer) if f else t}


def halves(name, turned=False, mix=False):
    """Gate and up of all experts in one tensor: [E, 2F, D], [E, D, 2F] if turned; row by row if
    mix. Called for the gate; the up comes from the same file."""
    def f(t, g, layer):
        up = tensor(g, 'blk.%d.ffn_up_exps.weight' % layer)
        out = []
        for e in range(t.shape[0]):
            a, b = t.part(e), up.part(e)
            both = cat(a, b)
            if mix:
                n = a.shape[0]
                both = both.pick([i // 2 + i % 2 * n for i in range(2 * n)])
            out.append(both.transposed() if turned else both)
        return {name + '!': pile(out)}
    return f


def fused(name):
    """The same of a GGUF that has them fused."""
    return lambda t, g, layer: {name + '!': t}


def gone(t, g, layer):
    return {}


def split_experts(t, g, layer):
    """ffn_gate_up_exps becomes a gate and an up for each expert."""
    n = t.shape[1] // 2
    out = {}
    for e in range(t.shape[0]):
        p = t.part(e)
        out['mlp.experts.%d.gate_proj' % e] = T([n, p.shape[1]], p.a[:n * p.shape[1]])
        out['mlp.experts.%d.up_proj' % e] = T([n, p.shape[1]], p.a[n * p.shape[1]:])
    return out


def tensor(g, name):
    kind, ne, b = g.tensors[name]
    return T(ne[::-1], numbers(kind, b))


def key_list(g, name, n):
    v = arch_key(g, name)
    return v if isinstance(v, list) else [v] * n


def experts(g):
    k = lambda name: arch_key(g, name)
    return {'num_experts': k('expert_count'), 'num_experts_per_tok': k('expert_used_count'),
            'moe_intermediate_size': k('expert_feed_forward_length'),
            'shared_expert_intermediate_size': k('expert_shared_feed_forward_length')}


def mixtral(g):
    return {'num_local_experts': arch_key(g, 'expert_count'),
            'num_experts_per_tok': arch_key(g, 'expert_used_count')}


MIXTRAL = {'ffn_gate_inp': 'block_sparse_moe.gate', 'ffn_gate_exps': 'block_sparse_moe.experts.$.w1',
           'ffn_up_exps': 'block_sparse_moe.experts.$.w3', 'ffn_down_exps': 'block_sparse_moe.experts.$.w2'}

one_row = lambda t, g, layer: t.reshape(1, len(t.a))


def yarn(g, **more):
    k = lambda name: arch_key(g, 'rope.scaling.' + name)
    return {'rope_scaling': dict({'rope_type': 'yarn', 'factor': k('factor'),
                                  'original_max_position_embeddings': k('original_context_length')}, **more)}


FAMILIES = {
    'llama2': Family('LlamaForCausalLM', how=LLAMA),
    'mistral_small': Family('MistralForCausalLM', how=LLAMA),
    'falcon3': Family('LlamaForCausalLM', how=LLAMA),
    'mixtral': Family('MixtralForCausalLM', MIXTRAL, LLAMA, mixtral),
    'ministral3': Family('Ministral3ForCausalLM', how=LLAMA, config=lambda g: yarn(
        g, beta_fast=32.0, beta_slow=1.0, mscale_all_dim=1.0, llama_4_scaling_beta=0.1)),
    'llama3': Family('LlamaForCausalLM', how=dict(LLAMA, rope_freqs=lambda t, g, l: {}),
                     config={'rope_scaling': LLAMA3}, made=llama3_factors),
    'qwen2': Family('Qwen2ForCausalLM'),
    'qwen2moe': Family('Qwen2MoeForCausalLM', how={'ffn_gate_inp_shexp': one_row}, config=experts),
    'qwen3': Family('Qwen3ForCausalLM', drop=('cls.output',)),
    'qwen3moe': Family('Qwen3MoeForCausalLM', config=experts),
}

# -- Gemma -----------------------------------------------------------------------------------------

GEMMA = {'post_attention_norm': 'post_attention_layernorm', 'ffn_norm': 'pre_feedforward_layernorm',
         'post_ffw_norm': 'post_feedforward_layernorm'}
PLUS = {n: minus_one for n in ('attn_norm', 'post_attention_norm', 'ffn_norm', 'post_ffw_norm',
                               'attn_q_norm', 'attn_k_norm', 'output_norm')}


def gemma3(g):
    k = lambda name: arch_key(g, name)
    c = {'sliding_window': k('attention.sliding_window'), 'rope_local_base_freq': k('rope.freq_base_swa')}
    if k('rope.scaling.factor'):
        c['rope_scaling'] = {'rope_type': 'linear', 'factor': k('rope.scaling.factor')}
    return c


def gemma3n(g):
    c = dict(gemma3(g), num_kv_shared_layers=arch_key(g, 'attention.shared_kv_layers'),
             hidden_size_per_layer_input=arch_key(g, 'embedding_length_per_layer_input'))
    c['layer_types'] = ['full_attention' if i % 5 == 4 else 'sliding_attention'
                        for i in range(arch_key(g, 'block_count'))]
    return c


def gemma4(g):
    k = lambda name: arch_key(g, name)
    return {'sliding_window': k('attention.sliding_window'), 'head_dim': k('attention.key_length_swa'),
            'global_head_dim': k('attention.key_length'), 'final_logit_softcapping': 30.0,
            'num_kv_shared_layers': k('attention.shared_kv_layers'), 'rope_theta': None,
            'hidden_size_per_layer_input': k('embedding_length_per_layer_input'),
            'layer_types': ['sliding_attention' if w else 'full_attention'
                            for w in k('attention.sliding_window_pattern')],
            'rope_parameters': {'full_attention': {'rope_theta': k('rope.freq_base'),
                                                   'partial_rotary_factor': 0.25},
                                'sliding_attention': {'rope_theta': k('rope.freq_base_swa')}}}


PER_LAYER_INPUT = dict(GEMMA, inp_gate='per_layer_input_gate', proj='per_layer_projection',
                       post_norm='post_per_layer_input_norm',
                       per_layer_token_embd='model.embed_tokens_per_layer',
                       per_layer_model_proj='model.per_layer_model_projection',
                       per_layer_proj_norm='model.per_layer_projection_norm')

FAMILIES.update({
    'gemma2': Family('Gemma2ForCausalLM', GEMMA, PLUS, lambda g: {
        'sliding_window': 16, 'attn_logit_softcapping': 5.0, 'final_logit_softcapping': 6.0}),
    'gemma3': Family('Gemma3ForCausalLM', GEMMA, PLUS, gemma3),
    'gemma_embed': Family('Gemma3TextModel', GEMMA, PLUS, gemma3),
    'gemma3n': Family('Gemma3nForConditionalGeneration', dict(PER_LAYER_INPUT, **{
        'altup_predict_coef': 'altup.prediction_coefs', 'altup_correct_coef': 'altup.correction_coefs',
        'altup_router': 'altup.modality_router', 'altup_router_norm': 'altup.router_norm',
        'laurel_l': 'laurel.linear_left', 'laurel_r': 'laurel.linear_right',
        'laurel_post_norm': 'laurel.post_laurel_norm', 'altup_proj': 'model.altup_projections.$',
        'altup_unembd_proj': 'model.altup_unembed_projections.$'}),
        {'altup_correct_scale': bare('altup.correct_output_scale')}, gemma3n),
    'gemma4': Family('Gemma4ForConditionalGeneration', PER_LAYER_INPUT,
                     {'layer_output_scale': bare('layer_scalar'), 'rope_freqs': gone}, gemma4,
                     made=lambda g: {'rope_freqs.weight': [1.0] * 4 + [1e30] * 12}),
})

# -- others without recurrence ---------------------------------------------------------------------


def mxfp4_back(name):
    """GGUF's blocks back to neighbours in a byte and scales apart. t is raw, [E, rows, D]."""
    def split(t):
        blocks, scales = bytearray(), bytearray()
        b = bytes(t.a)
        for i in range(0, len(b), 17):
            scales.append(b[i])
            q = [x & 15 for x in b[i + 1:i + 17]] + [x >> 4 for x in b[i + 1:i + 17]]
            blocks += bytes(q[2 * j] | q[2 * j + 1] << 4 for j in range(16))
        return blocks, scales

    def f(t, g, layer):
        e, rows, d = t.shape
        blocks, scales = split(t)
        n = d // 32
        if name == 'gate_up_proj':
            kind, ne, b = g.tensors['blk.%d.ffn_up_exps.weight' % layer]
            more, more_s = split(T(ne[::-1], b))
            mix = lambda x, y, w: b''.join(bytes(z[i * w:i * w + w]) for i in range(e * rows) for z in (x, y))
            blocks, scales = mix(blocks, more, n * 16), mix(scales, more_s, n)
            rows *= 2
        return {'mlp.experts.%s_blocks!' % name: ('U8', [e, rows, n, 16], bytes(blocks)),
                'mlp.experts.%s_scales!' % name: ('U8', [e, rows, n], bytes(scales))}
    return f


def mixed_bias(t, g, layer):
    up = tensor(g, 'blk.%d.ffn_up_exps.bias' % layer)
    n = t.shape[1]
    rows = [array.array('f', (x for p in zip(a, b) for x in p)) for a, b in zip(t.rows(), up.rows())]
    return {'mlp.experts.gate_up_proj_bias!': T.of_rows([t.shape[0], 2 * n], rows)}


def gpt_oss(g):
    return {'num_local_experts': arch_key(g, 'expert_count'), 'num_experts_per_tok': arch_key(g, 'expert_used_count'),
            'intermediate_size': arch_key(g, 'expert_feed_forward_length'), 'sliding_window': 16,
            'quantization_config': {'quant_method': 'mxfp4'}}


def phi3_long(g):
    k = lambda name: arch_key(g, name)
    f = lambda n: list(tensor(g, 'rope_factors_%s.weight' % n).a)
    return {'partial_rotary_factor': 0.75, 'original_max_position_embeddings': 256,
            'rope_scaling': {'type': 'longrope', 'long_factor': f('long'), 'short_factor': f('short'),
                             'attention_factor': k('rope.scaling.attn_factor')}}


PHI3 = {'attn_qkv': 'self_attn.qkv_proj', 'ffn_up': 'mlp.gate_up_proj'}


def three(t, g, layer):
    n = t.shape[0] // 3
    w = t.width
    return {'self_attn.%s_proj' % c: T([n] + t.shape[1:], t.a[i * n * w:(i + 1) * n * w])
            for i, c in enumerate('qkv')}


BERT = {'token_embd': 'embeddings.word_embeddings', 'token_types': 'embeddings.token_type_embeddings',
        'position_embd': 'embeddings.position_embeddings', 'token_embd_norm': 'embeddings.LayerNorm',
        'attn_q': 'attention.self.query', 'attn_k': 'attention.self.key', 'attn_v': 'attention.self.value',
        'attn_output': 'attention.output.dense', 'attn_output_norm': 'attention.output.LayerNorm',
        'ffn_up': 'intermediate.dense', 'ffn_down': 'output.dense', 'layer_output_norm': 'output.LayerNorm'}
NOMIC = {'token_embd': 'embeddings.word_embeddings', 'token_types': 'embeddings.token_type_embeddings',
         'token_embd_norm': 'emb_ln', 'attn_qkv': 'attn.Wqkv', 'attn_output': 'attn.out_proj',
         'attn_output_norm': 'norm1', 'ffn_up': 'mlp.fc11', 'ffn_gate': 'mlp.fc12', 'ffn_down': 'mlp.fc2',
         'layer_output_norm': 'norm2'}


def llama4(g):
    k = lambda name: arch_key(g, name)
    return {'intermediate_size_mlp': k('feed_forward_length'), 'intermediate_size': k('expert_feed_forward_length'),
            'num_local_experts': k('expert_count'), 'num_experts_per_tok': k('expert_used_count'),
            'interleave_moe_layer_step': 2, 'attention_chunk_size': k('attention.sliding_window')}


FF4 = {'ffn_gate': 'feed_forward.gate_proj', 'ffn_up': 'feed_forward.up_proj', 'ffn_down': 'feed_forward.down_proj',
       'ffn_gate_inp': 'feed_forward.router', 'ffn_gate_shexp': 'feed_forward.shared_expert.gate_proj',
       'ffn_up_shexp': 'feed_forward.shared_expert.up_proj', 'ffn_down_shexp': 'feed_forward.shared_expert.down_proj'}

POST = {'post_attention_norm': 'post_attention_layernorm'}

FAMILIES.update({
    'gpt_oss': Family('GptOssForCausalLM', dict(POST, ffn_gate_inp='mlp.router'), {
        'attn_sinks': bare('self_attn.sinks'), 'ffn_gate_exps.weight': mxfp4_back('gate_up_proj'),
        'ffn_up_exps.weight': gone, 'ffn_down_exps.weight': mxfp4_back('down_proj'),
        'ffn_gate_exps.bias': mixed_bias, 'ffn_up_exps.bias': gone,
        'ffn_down_exps.bias': bare('mlp.experts.down_proj_bias')}, gpt_oss),
    'phi3': Family('Phi3ForCausalLM', PHI3),
    'phi3_long': Family('Phi3ForCausalLM', PHI3, {'rope_factors_long': gone, 'rope_factors_short': gone}, phi3_long),
    'phi2': Family('PhiForCausalLM', {'attn_output': 'self_attn.dense', 'ffn_up': 'mlp.fc1', 'ffn_down': 'mlp.fc2',
                                      'output_norm': 'model.final_layernorm'}, {'attn_qkv': three},
                   lambda g: {'partial_rotary_factor': 0.5, 'layer_norm_eps': arch_key(g, 'attention.layer_norm_epsilon')}),
    'starcoder2': Family('Starcoder2ForCausalLM', {'ffn_up': 'mlp.c_fc', 'ffn_down': 'mlp.c_proj'},
                         config=lambda g: {'norm_epsilon': arch_key(g, 'attention.layer_norm_epsilon')}),
    'olmo2': Family('Olmo2ForCausalLM', dict(POST, post_ffw_norm='post_feedforward_layernorm')),
    'bert': Family('BertModel', BERT, layer='encoder.layer.%d.', config=lambda g: {
        'layer_norm_eps': 1e-12, 'type_vocab_size': 2, 'rope_theta': None},
        extra={'1_Pooling/config.json': {'pooling_mode_cls_token': True}}),
    'nomic_bert': Family('NomicBertModel', NOMIC, layer='encoder.layers.%d.', config=lambda g: {
        'layer_norm_epsilon': 1e-12, 'type_vocab_size': 2, 'rope_theta': None, 'rotary_emb_base': 1000.0}),
    'llama4': Family('Llama4ForConditionalGeneration', FF4, {
        'ffn_gate_exps': halves('feed_forward.experts.gate_up_proj', turned=True), 'ffn_up_exps': gone,
        'ffn_down_exps': bare('feed_forward.experts.down_proj', lambda t, g, l: t.transposed())}, llama4),
})

# -- DeepSeek and GLM ------------------------------------------------------------------------------


def kv_b(t, g, layer):
    """Keys are turned back, head by head, and stand before the values of their head."""
    v = tensor(g, 'blk.%d.attn_v_b.weight' % layer)
    parts = []
    for head in range(t.shape[0]):
        parts += [t.part(head).transposed(), v.part(head)]
    return {'self_attn.kv_b_proj': cat(*parts)}


def router(g):
    k = lambda name, default=None: arch_key(g, name, default)
    c = {'n_routed_experts': k('expert_count'), 'num_experts_per_tok': k('expert_used_count'),
         'moe_intermediate_size': k('expert_feed_forward_length'), 'n_shared_experts': k('expert_shared_count'),
         'routed_scaling_factor': k('expert_weights_scale'), 'norm_topk_prob': k('expert_weights_norm'),
         'first_k_dense_replace': k('leading_dense_block_count'),
         'moe_shared_expert_intermediate_size': k('expert_shared_feed_forward_length'),
         'n_group': k('expert_group_count'), 'topk_group': k('expert_group_used_count'),
         'scoring_func': [None, 'softmax', 'sigmoid', None, 'sqrtsoftplus'][k('expert_gating_func', 0)]}
    return {a: b for a, b in c.items() if b is not None}


def mla(g):
    k = lambda name: arch_key(g, name)
    turned = k('rope.dimension_count')
    c = dict(router(g), q_lora_rank=k('attention.q_lora_rank') or None, kv_lora_rank=k('attention.kv_lora_rank'),
             qk_rope_head_dim=turned, qk_nope_head_dim=k('attention.key_length_mla') - turned,
             v_head_dim=k('attention.value_length_mla'), head_dim=None)
    if k('rope.scaling.factor'):
        c.update(yarn(g, mscale_all_dim=k('rope.scaling.yarn_log_multiplier') / 0.1))
    for a, b in (('index_n_heads', 'head_count'), ('index_head_dim', 'key_length'), ('index_topk', 'top_k')):
        c[a] = k('attention.indexer.' + b)
    return c


MLA = {'attn_q_a': 'self_attn.q_a_proj', 'attn_q_a_norm': 'self_attn.q_a_layernorm', 'attn_q_b': 'self_attn.q_b_proj',
       'attn_kv_a_mqa': 'self_attn.kv_a_proj_with_mqa', 'attn_kv_a_norm': 'self_attn.kv_a_layernorm',
       'ffn_gate_shexp': 'mlp.shared_experts.gate_proj', 'ffn_up_shexp': 'mlp.shared_experts.up_proj',
       'ffn_down_shexp': 'mlp.shared_experts.down_proj',
       'indexer.attn_q_b': 'self_attn.indexer.wq_b', 'indexer.attn_k': 'self_attn.indexer.wk',
       'indexer.k_norm': 'self_attn.indexer.k_norm', 'indexer.proj': 'self_attn.indexer.weights_proj'}
MLA_HOW = {'attn_k_b': kv_b, 'attn_v_b': gone, 'ffn_gate_up_exps': split_experts,
           'exp_probs_b': lambda t, g, l: {'mlp.gate.e_score_correction_bias!': t}}


def kimi(g):
    c = mla(g)
    c.update(num_experts=c.pop('n_routed_experts'), num_experts_per_token=c.pop('num_experts_per_tok'),
             num_shared_experts=c.pop('n_shared_experts'), moe_renormalize=c.pop('norm_topk_prob'),
             moe_router_activation_func=c.pop('scoring_func'), num_key_value_heads=4,
             linear_attn_config={'full_attn_layers': [i + 1 for i, n in enumerate(
                 arch_key(g, 'attention.head_count_kv')) if n], 'head_dim': arch_key(g, 'kda.head_dim'),
                 'short_conv_kernel_size': arch_key(g, 'ssm.conv_kernel')})
    return c


SPARSE = {'ffn_gate_inp': 'block_sparse_moe.gate', 'ffn_gate_exps': 'block_sparse_moe.experts.$.w1',
          'ffn_up_exps': 'block_sparse_moe.experts.$.w3', 'ffn_down_exps': 'block_sparse_moe.experts.$.w2',
          'ffn_gate_shexp': 'block_sparse_moe.shared_experts.gate_proj',
          'ffn_up_shexp': 'block_sparse_moe.shared_experts.up_proj',
          'ffn_down_shexp': 'block_sparse_moe.shared_experts.down_proj'}
KIMI = dict(MLA, **SPARSE, ssm_conv1d_q='self_attn.q_conv1d', ssm_conv1d_k='self_attn.k_conv1d',
            ssm_conv1d_v='self_attn.v_conv1d', ssm_f_a='self_attn.f_a_proj', ssm_f_b='self_attn.f_b_proj',
            ssm_beta='self_attn.b_proj', ssm_g_a='self_attn.g_a_proj', ssm_g_b='self_attn.g_b_proj',
            ssm_norm='self_attn.o_norm')


def v4(g):
    k = lambda name: arch_key(g, name)
    c = dict(router(g), qk_rope_head_dim=k('rope.dimension_count'), q_lora_rank=k('attention.q_lora_rank'),
             o_groups=k('attention.output_group_count'), o_lora_rank=k('attention.output_lora_rank'),
             sliding_window=k('attention.sliding_window'), compress_rope_theta=k('attention.compress_rope_freq_base'),
             hc_mult=4, hc_sinkhorn_iters=20, hc_eps=k('hyper_connection.epsilon'), swiglu_limit=10.0,
             num_hash_layers=k('hash_layer_count'), compress_ratios=k('attention.compress_ratios'))
    for a, b in (('index_n_heads', 'head_count'), ('index_head_dim', 'key_length'), ('index_topk', 'top_k')):
        c[a] = k('attention.indexer.' + b)
    return c


V4 = {'token_embd': 'embed', 'output_norm': 'norm', 'output': 'head', 'attn_norm': 'attn_norm', 'ffn_norm': 'ffn_norm',
      'attn_q_a': 'attn.wq_a', 'attn_q_a_norm': 'attn.q_norm', 'attn_q_b': 'attn.wq_b', 'attn_kv': 'attn.wkv',
      'attn_kv_a_norm': 'attn.kv_norm', 'attn_output_b': 'attn.wo_b', 'attn_compressor_kv': 'attn.compressor.wkv',
      'attn_compressor_gate': 'attn.compressor.wgate', 'attn_compressor_norm': 'attn.compressor.norm',
      'indexer.proj': 'attn.indexer.weights_proj', 'indexer.attn_q_b': 'attn.indexer.wq_b',
      'indexer_compressor_kv': 'attn.indexer.compressor.wkv', 'indexer_compressor_gate': 'attn.indexer.compressor.wgate',
      'indexer_compressor_norm': 'attn.indexer.compressor.norm', 'ffn_gate_inp': 'ffn.gate',
      'ffn_gate_exps': 'ffn.experts.$.w1', 'ffn_up_exps': 'ffn.experts.$.w3', 'ffn_down_exps': 'ffn.experts.$.w2',
      'ffn_gate_shexp': 'ffn.shared_experts.w1', 'ffn_up_shexp': 'ffn.shared_experts.w3',
      'ffn_down_shexp': 'ffn.shared_experts.w2'}
V4_HOW = dict({'hc_%s_%s' % (a, b): bare('hc_%s_%s' % (a, b)) for a in ('attn', 'ffn') for b in ('fn', 'base', 'scale')},
              **{'output_hc_' + b: bare('hc_head_' + b) for b in ('fn', 'base', 'scale')},
              attn_sinks=bare('attn.attn_sink'), attn_compressor_ape=bare('attn.compressor.ape'),
              indexer_compressor_ape=bare('attn.indexer.compressor.ape'),
              attn_output_a=lambda t, g, l: {'attn.wo_a': t.reshape(t.shape[0] * t.shape[1], t.shape[2])},
              exp_probs_b=lambda t, g, l: {'ffn.gate.bias!': t},
              ffn_gate_tid2eid=lambda t, g, l: {'ffn.gate.tid2eid!': ('I64', t.shape, array.array(
                  'q', array.array('i', bytes(t.a))).tobytes())})

GLM4 = dict(attn_output='self_attn.o_proj', post_attention_norm='post_self_attn_layernorm',
            post_ffw_norm='post_mlp_layernorm', ffn_up='mlp.gate_up_proj')
HALF = {'partial_rotary_factor': 0.5}

FAMILIES.update({
    'deepseek_v2lite': Family('DeepseekV2ForCausalLM', MLA, MLA_HOW, mla),
    'deepseek_v3': Family('DeepseekV3ForCausalLM', MLA, MLA_HOW, mla),
    'deepseek32': Family('DeepseekV32ForCausalLM', MLA, MLA_HOW, mla),
    'glm5_dsa': Family('GlmMoeDsaForCausalLM', MLA, MLA_HOW, mla),
    'deepseek_v4': Family('DeepseekV4ForCausalLM', V4, V4_HOW, v4, layer='layers.%d.'),
    'kimi_linear': Family('KimiLinearForCausalLM', KIMI, dict(
        MLA_HOW, ssm_a=bare('self_attn.A_log', lambda t, g, l: log_minus(t, g, l).reshape(1, 1, len(t.a), 1)),
        ssm_dt=lambda t, g, l: {'self_attn.dt_bias!': t}, ssm_conv1d_q=None,
        exp_probs_b=lambda t, g, l: {'block_sparse_moe.gate.e_score_correction_bias!': t}), kimi),
    'glm4': Family('Glm4ForCausalLM', GLM4, config=HALF),
    'glm4moe': Family('Glm4MoeForCausalLM', dict(MLA, **POST), MLA_HOW, lambda g: dict(router(g), **HALF)),
})

# -- recurrent -------------------------------------------------------------------------------------


def delta(g):
    k = lambda name: arch_key(g, name)
    c = {'linear_conv_kernel_dim': k('ssm.conv_kernel'), 'linear_key_head_dim': k('ssm.state_size'),
         'linear_num_value_heads': k('ssm.time_step_rank'), 'linear_num_key_heads': k('ssm.group_count'),
         'linear_value_head_dim': k('ssm.inner_size') // k('ssm.time_step_rank'),
         'full_attention_interval': k('full_attention_interval'), 'partial_rotary_factor': 0.5}
    if k('rope.dimension_sections'):
        c['rope_scaling'] = {'rope_type': 'default', 'mrope_section': k('rope.dimension_sections')[:3]}
    if k('expert_count'):
        c.update(experts(g))
    return c


def heads(g):
    nk, nv = arch_key(g, 'ssm.group_count'), arch_key(g, 'ssm.time_step_rank')
    return nk, nv // nk, arch_key(g, 'ssm.state_size'), arch_key(g, 'ssm.inner_size') // nv


def grouped(g, rows):
    """Where row i of the folder's order, key head by key head, is in GGUF's, round them."""
    nk, r, dk, dv = heads(g)
    return [(j * nk + k) * rows + i for k in range(nk) for j in range(r) for i in range(rows)]


def value_rows(rows):
    return lambda t, g, layer: t.pick(grouped(g, rows or heads(g)[3]))


def qkv_rows(t, g, layer):
    nk, r, dk, dv = heads(g)
    keys = 2 * nk * dk
    return t.pick(list(range(keys)) + [keys + i for i in grouped(g, dv)])


def named(name, f, is_bare=False):
    return lambda t, g, layer: {name + ('!' if is_bare else ''): f(t, g, layer)}


def qkvz(t, g, layer):
    """Query, key, values and gates of each key head together."""
    nk, r, dk, dv = heads(g)
    z = tensor(g, 'blk.%d.attn_gate.weight' % layer)
    q, k, v = 0, nk * dk, 2 * nk * dk
    rows, zs, out = t.rows(), z.rows(), []
    for i in range(nk):
        out += rows[q + i * dk:q + (i + 1) * dk] + rows[k + i * dk:k + (i + 1) * dk]
        out += rows[v + i * r * dv:v + (i + 1) * r * dv] + zs[i * r * dv:(i + 1) * r * dv]
    return {'linear_attn.in_proj_qkvz': T.of_rows([len(out), t.width], out)}


NEXT = dict(POST, ssm_norm='linear_attn.norm', ssm_ba='linear_attn.in_proj_ba', ssm_out='linear_attn.out_proj')
NEXT_HOW = dict({n: minus_one for n in ('attn_norm', 'post_attention_norm', 'attn_q_norm', 'attn_k_norm', 'output_norm')},
                ffn_gate_up_exps=split_experts, ffn_gate_inp_shexp=one_row,
                ssm_conv1d=named('linear_attn.conv1d', one_in), ssm_a=named('linear_attn.A_log', log_minus, True),
                ssm_dt=lambda t, g, l: {'linear_attn.dt_bias!': t}, attn_qkv=qkvz, attn_gate=gone)
Q35 = dict(NEXT_HOW,
           ssm_conv1d=named('linear_attn.conv1d', lambda t, g, l: one_in(qkv_rows(t, g, l), g, l)),
           ssm_a=named('linear_attn.A_log', lambda t, g, l: value_rows(1)(log_minus(t, g, l), g, l), True),
           ssm_dt=named('linear_attn.dt_bias', value_rows(1), True),
           attn_qkv=named('linear_attn.in_proj_qkv', qkv_rows), attn_gate=named('linear_attn.in_proj_z', value_rows(0)),
           ssm_beta=named('linear_attn.in_proj_b', value_rows(1)), ssm_alpha=named('linear_attn.in_proj_a', value_rows(1)),
           ssm_out=named('linear_attn.out_proj', lambda t, g, l: t.pick_columns(grouped(g, heads(g)[3]))))
Q35MOE = dict(Q35, ffn_gate_up_exps=fused('mlp.experts.gate_up_proj'), ffn_down_exps=bare('mlp.experts.down_proj'))


def mamba(at):
    return dict(ssm_conv1d_w=None, ssm_dt=lambda t, g, l: {at + 'dt_bias!': t}, ssm_a=bare(at + 'A_log', log_minus),
                ssm_d=bare(at + 'D', flat), ssm_norm=named(at + 'norm', flat),
                **{'ssm_conv1d.weight': named(at + 'conv1d', one_in)})


def mamba_names(at):
    return {'ssm_in': at + 'in_proj', 'ssm_conv1d': at + 'conv1d', 'ssm_out': at + 'out_proj'}


def ssm(g, *names):
    k = lambda name: arch_key(g, 'ssm.' + name)
    return dict(zip(names, (k('conv_kernel'), k('state_size'), k('time_step_rank'), k('inner_size') // k('time_step_rank'),
                            k('group_count'))))


def nemotron(g):
    n = arch_key(g, 'block_count')
    kv, ff = key_list(g, 'attention.head_count_kv', n), key_list(g, 'feed_forward_length', n)
    letter = 'E' if arch_key(g, 'expert_count') else '-'
    c = dict(router(g), **ssm(g, 'conv_kernel', 'ssm_state_size', 'mamba_num_heads', 'mamba_head_dim', 'n_groups'))
    c.update(hybrid_override_pattern=''.join('*' if a else letter if b else 'M' for a, b in zip(kv, ff)),
             num_key_value_heads=max(kv), intermediate_size=max(ff), rms_norm_eps=None,
             layer_norm_epsilon=arch_key(g, 'attention.layer_norm_rms_epsilon'))
    return c


MIXER = dict(mamba_names('mixer.'), token_embd='backbone.embeddings', output_norm='backbone.norm_f', attn_norm='norm',
             attn_q='mixer.q_proj', attn_k='mixer.k_proj', attn_v='mixer.v_proj', attn_output='mixer.o_proj',
             ffn_up='mixer.up_proj', ffn_down='mixer.down_proj', ffn_gate_inp='mixer.gate',
             ffn_up_exps='mixer.experts.$.up_proj', ffn_down_exps='mixer.experts.$.down_proj',
             ffn_up_shexp='mixer.shared_experts.up_proj', ffn_down_shexp='mixer.shared_experts.down_proj',
             ffn_latent_down='mixer.fc1_latent_proj', ffn_latent_up='mixer.fc2_latent_proj')
MIXER_HOW = dict(mamba('mixer.'), exp_probs_b=lambda t, g, l: {'mixer.gate.e_score_correction_bias!': t})


def granite(g):
    k = lambda name: arch_key(g, name)
    kv = k('attention.head_count_kv')
    c = ssm(g, 'mamba_d_conv', 'mamba_d_state', 'mamba_n_heads', 'mamba_d_head', 'mamba_n_groups')
    c.update(embedding_multiplier=k('embedding_scale'), residual_multiplier=k('residual_scale'),
             attention_multiplier=k('attention.scale'), logits_scaling=k('logit_scale'), num_key_value_heads=max(kv),
             layer_types=['attention' if n else 'mamba' for n in kv], shared_intermediate_size=k('feed_forward_length'))
    return c


def granite_heads(t, g, layer):
    return T.pick(t, unrope_order(t, len(t.a) // t.width // 16))


def unrope_order(t, n):
    d = t.shape[0] // n
    return [h * d + 2 * j + half for h in range(n) for half in (0, 1) for j in range(d // 2)]


def gate_and_up(t, g, layer):
    return {'shared_mlp.input_linear': cat(t, tensor(g, 'blk.%d.ffn_up.weight' % layer))}


# Factors that are powers of two, so that dividing by them and multiplying again is exact.
FALCON_MUL = {'embedding_multiplier': 4.0, 'lm_head_multiplier': 0.5, 'attention_in_multiplier': 2.0,
              'key_multiplier': 0.25, 'attention_out_multiplier': 8.0, 'ssm_out_multiplier': 0.125,
              'ssm_in_multiplier': 2.0, 'mlp_multipliers': [4.0, 0.5], 'ssm_multipliers': [1.0, 2.0, 0.5, 4.0, 0.25]}


def over(name, *muls):
    m = math.prod(muls)
    return lambda t, g, layer: {name: t.map(lambda x: x / m)}


def falcon_in(t, g, layer):
    k = lambda name: arch_key(g, 'ssm.' + name)
    di, n, nh, gr = k('inner_size'), k('state_size'), k('time_step_rank'), k('group_count')
    muls = [2.0 * m for m, c in zip(FALCON_MUL['ssm_multipliers'], (di, di, n * gr, n * gr, nh)) for _ in range(c)]
    return {'mamba.in_proj': T.of_rows(t.shape, [array.array('f', (x / m for x in r)) for r, m in zip(t.rows(), muls)])}


M = FALCON_MUL
FALCON = dict(mamba('mamba.'), ffn_norm=lambda t, g, l: {'pre_ff_layernorm': t}, ssm_in=falcon_in,
              token_embd=over('model.embed_tokens', 4.0), output=over('lm_head', 0.5),
              attn_q=over('self_attn.q_proj', 2.0), attn_k=over('self_attn.k_proj', 2.0, 0.25),
              attn_v=over('self_attn.v_proj', 2.0), attn_output=over('self_attn.o_proj', 8.0),
              ffn_gate=over('feed_forward.gate_proj', 4.0), ffn_down=over('feed_forward.down_proj', 0.5),
              ssm_out=over('mamba.out_proj', 0.125))

FAMILIES.update({
    'qwen3next': Family('Qwen3NextForCausalLM', NEXT, NEXT_HOW, delta, drop=('ssm_in',)),
    'qwen35': Family('Qwen3_5ForConditionalGeneration', NEXT, Q35, delta),
    'qwen35moe': Family('Qwen3_5MoeForConditionalGeneration', NEXT, Q35MOE, delta),
    'mamba2': Family('Mamba2ForCausalLM', MIXER, MIXER_HOW, lambda g: dict(
        ssm(g, 'conv_kernel', 'state_size', 'num_heads', 'head_dim', 'n_groups'), num_attention_heads=None,
        intermediate_size=None, rms_norm_eps=None, layer_norm_epsilon=arch_key(g, 'attention.layer_norm_rms_epsilon')),
        layer='backbone.layers.%d.'),
    'nemotron_h': Family('NemotronHForCausalLM', MIXER, MIXER_HOW, nemotron, layer='backbone.layers.%d.'),
    'nemotron3': Family('NemotronHForCausalLM', MIXER, MIXER_HOW, nemotron, layer='backbone.layers.%d.'),
    'granite4h': Family('GraniteMoeHybridForCausalLM', dict(mamba_names('mamba.'), ffn_down='shared_mlp.output_linear'),
                        dict(mamba('mamba.'), attn_q=granite_heads, attn_k=granite_heads, ffn_gate=gate_and_up,
                             ffn_up=gone), granite),
    'falcon_h1': Family('FalconH1ForCausalLM', dict(mamba_names('mamba.'), output_norm='model.final_layernorm',
                                                    ffn_up='feed_forward.up_proj'), FALCON,
                        lambda g: dict(FALCON_MUL, **ssm(g, 'mamba_d_conv', 'mamba_d_state', 'mamba_n_heads',
                                                         'mamba_d_head', 'mamba_n_groups'))),
})

# -- of the fixtures, or made of another family's file -----------------------------------------------


def fixture(name):
    return '%s/%s.gguf' % (FIXTURES, name)


def golden(name):
    return '%s/%s.gguf' % (MODELS, name)


def becomes(arch, keys=None, without=()):
    """The same numbers as a file of another architecture, with more keys or fewer tensors."""
    def f(g):
        old = g.keys['general.architecture']
        g.keys = {(arch + n[len(old):] if n.startswith(old + '.') else n): v for n, v in g.keys.items()}
        g.keys['general.architecture'] = arch
        g.keys.update({arch + '.' + n: v for n, v in (keys or {}).items()})
        g.tensors = {n: t for n, t in g.tensors.items() if not any(('.' + n).endswith('.' + w) for w in without)}
    return f


def phimoe(g):
    f = lambda n: list(tensor(g, 'rope_factors_%s.weight' % n).a)
    return dict(mixtral(g), rope_theta=10000.0, sliding_window=512, rope_scaling={
        'type': 'longrope', 'long_factor': f('long'), 'short_factor': f('short'), 'long_mscale': 1.25,
        'short_mscale': 1.25, 'original_max_position_embeddings': 1024})


def falcon_qkv(t, g, layer):
    """Queries of a key head, the key, the value, for each key head."""
    n, kv = arch_key(g, 'attention.head_count'), arch_key(g, 'attention.head_count_kv')
    d = arch_key(g, 'embedding_length') // n
    q = [list(range(i * d, i * d + d)) for i in range(n + 2 * kv)]
    order = []
    for i in range(kv):
        for head in range(i * (n // kv), (i + 1) * (n // kv)):
            order += q[head]
        order += q[n + i] + q[n + kv + i]
    return t.pick(order)


def one_key_head(g):
    """Falcon 7B has one; the fixture has two."""
    arch = g.keys['general.architecture']
    d = arch_key(g, 'embedding_length') // arch_key(g, 'attention.head_count')
    g.keys[arch + '.attention.head_count_kv'] = 1
    for name, (kind, ne, b) in list(g.tensors.items()):
        if name.endswith('attn_qkv.weight'):
            g.tensors[name] = (kind, [ne[0], ne[1] - 2 * d], b[:len(b) // ne[1] * (ne[1] - 2 * d)])


def falcon(**more):
    def f(g):
        return dict({'num_key_value_heads': None, 'intermediate_size': None, 'rope_theta': 10000.0,
                     'layer_norm_epsilon': arch_key(g, 'attention.layer_norm_epsilon'), 'alibi': False,
                     'parallel_attn': True, 'bias': False}, **more)
    return f


FALCON40 = {'token_embd': 'transformer.word_embeddings', 'output_norm': 'transformer.ln_f',
            'attn_qkv': 'self_attention.query_key_value', 'attn_output': 'self_attention.dense',
            'ffn_up': 'mlp.dense_h_to_4h', 'ffn_down': 'mlp.dense_4h_to_h', 'attn_norm': 'ln_mlp', 'attn_norm_2': 'ln_attn'}


def vision(kind, n_deep=0):
    """The text's part of the config stands apart; names begin as in newer folders."""
    def f(g):
        c = base_config(g)
        c.update(rope_scaling={'type': kind, 'rope_type': 'default',
                               'mrope_section': arch_key(g, 'rope.dimension_sections')[:3]})
        if arch_key(g, 'expert_count'):
            c.update(experts(g))
        out = {n: None for n in base_config(g)}
        out.update(text_config=c, vision_config={'hidden_size': 32, 'deepstack_visual_indexes': [8, 16, 24][:n_deep]},
                   tie_word_embeddings=c['tie_word_embeddings'])
        return out
    return f


VISION = {'token_embd': 'model.language_model.embed_tokens', 'output_norm': 'model.language_model.norm'}
VISION_LAYER = 'model.language_model.layers.%d.'


def dense(g):
    """2_Dense and 3_Dense: folders with a matrix each."""
    out = {}
    for i in (2, 3):
        out['%d_Dense/config.json' % i] = {'bias': False, 'activation_function': 'torch.nn.modules.linear.Identity'}
        out['%d_Dense/model.safetensors' % i] = {'linear.weight': tensor(g, 'dense_%d.weight' % i)}
    return out


NEXTN = {'nextn.eh_proj': 'eh_proj', 'nextn.enorm': 'enorm', 'nextn.hnorm': 'hnorm', 'nextn.embed_tokens': 'embed_tokens',
         'nextn.shared_head_head': 'shared_head.head', 'nextn.shared_head_norm': 'shared_head.norm'}
MTP = {'nextn.eh_proj': '/mtp.fc', 'nextn.enorm': '/mtp.pre_fc_norm_embedding', 'nextn.hnorm': '/mtp.pre_fc_norm_hidden',
       'nextn.shared_head_norm': '/mtp.norm'}
MTP_HOW = {n: minus_one for n in ('nextn.enorm', 'nextn.hnorm', 'nextn.shared_head_norm')}
OWN = ('nextn.embed_tokens.weight', 'nextn.shared_head_head.weight')  # Qwen has none


def mtp(arch):
    return dict(of=fixture('mtp-%s-own' % arch), change=becomes(arch, without=OWN), ahead='mtp.layers.0.')


def delta_mtp(g):
    return dict(delta(g), partial_rotary_factor=0.25)


GRANITE = {'embedding_scale': 12.0, 'residual_scale': 0.25, 'attention.scale': 0.0625, 'logit_scale': 8.0}


def granite_dense(g):
    c = mixtral(g) if arch_key(g, 'expert_count') else {}
    return dict(c, embedding_multiplier=12.0, residual_multiplier=0.25, attention_multiplier=0.0625, logits_scaling=8.0)


FAMILIES.update({
    'phimoe': Family('PhiMoEForCausalLM', MIXTRAL, {'rope_factors_long': gone, 'rope_factors_short': gone}, phimoe,
                     of=fixture('phimoe'), change=becomes('phimoe', {
                         'attention.layer_norm_epsilon': f32(1e-5), 'rope.scaling.attn_factor': 1.25,
                         'attention.sliding_window': 512, 'rope.freq_base': 10000.0})),
    'falcon7': Family('FalconForCausalLM', dict(FALCON40, attn_norm='input_layernorm'), {'attn_qkv': falcon_qkv},
                      falcon(multi_query=True, num_kv_heads=4), layer='transformer.h.%d.', of=fixture('falcon7'),
                      change=one_key_head),
    'falcon40': Family('FalconForCausalLM', FALCON40, {'attn_qkv': falcon_qkv},
                       falcon(new_decoder_architecture=True, num_kv_heads=2, multi_query=True),
                       layer='transformer.h.%d.', of=fixture('falcon40')),
    'qwen2vl': Family('Qwen2_5_VLForConditionalGeneration', VISION, config=vision('mrope'), layer=VISION_LAYER,
                      of=fixture('qwen2vl')),
    'qwen3vl': Family('Qwen3VLForConditionalGeneration', VISION, config=vision('default', 2), layer=VISION_LAYER,
                      of=fixture('qwen3vl')),
    'qwen3vlmoe': Family('Qwen3VLMoeForConditionalGeneration', VISION, {
        'ffn_gate_exps': halves('mlp.experts.gate_up_proj', turned=True), 'ffn_up_exps': gone,
        'ffn_down_exps': bare('mlp.experts.down_proj', lambda t, g, l: t.transposed())}, vision('default', 2),
        layer=VISION_LAYER, of=fixture('qwen3vlmoe')),
    'gemma_embed_dense': Family('Gemma3TextModel', GEMMA, dict(PLUS, dense_2=gone, dense_3=gone), gemma3,
                                of=fixture('gemma-embedding'), extra=dense,
                                change=lambda g: None),  # norms less 1 and 1 more are off by a bit
    'qwen3vlmoe_turned': Family('Qwen3VLMoeForConditionalGeneration', VISION, {
        'ffn_gate_exps': halves('mlp.experts.gate_up_proj'), 'ffn_up_exps': gone,
        'ffn_down_exps': bare('mlp.experts.down_proj')}, vision('default', 2), layer=VISION_LAYER,
        of=fixture('qwen3vlmoe')),
    'deepseek_mtp': Family('DeepseekV3ForCausalLM', dict(MLA, **NEXTN), MLA_HOW, mla, of=fixture('mtp-deepseek2-own')),
    'deepseek32_mtp': Family('DeepseekV32ForCausalLM', dict(MLA, **NEXTN), MLA_HOW, mla,
                             of=fixture('mtp-deepseek32-own')),
    'qwen35_mtp': Family('Qwen3_5ForConditionalGeneration', dict(NEXT, **MTP), dict(Q35, **MTP_HOW), delta_mtp,
                         **mtp('qwen35')),
    'qwen35moe_mtp': Family('Qwen3_5MoeForConditionalGeneration', dict(NEXT, **MTP), dict(
        Q35MOE, ffn_gate_exps=halves('mlp.experts.gate_up_proj'), ffn_up_exps=gone, **MTP_HOW), delta_mtp,
        **mtp('qwen35moe')),
    'gemma': Family('GemmaForCausalLM', how=PLUS, of=golden('falcon3'), change=becomes(
        'gemma', without=('output.weight',))),
    'smollm3': Family('SmolLM3ForCausalLM', how=LLAMA, config={'no_rope_layers': [1, 1, 1, 0] * 8},
                      of=golden('llama2'), change=becomes('smollm3')),
    'granite': Family('GraniteForCausalLM', how=LLAMA, config=granite_dense, of=golden('llama2'),
                      change=becomes('granite', GRANITE)),
    'granitemoe': Family('GraniteMoeForCausalLM', {'ffn_gate_inp': 'block_sparse_moe.router.layer'}, dict(
        LLAMA, ffn_gate_exps=lambda t, g, l: {n.replace('!', ''): v for n, v in halves(
            'block_sparse_moe.input_linear')(t, g, l).items()}, ffn_up_exps=gone,
        ffn_down_exps=lambda t, g, l: {'block_sparse_moe.output_linear': t}), granite_dense,
        of=golden('mixtral'), change=becomes('granitemoe', GRANITE)),
})

# Keys that a folder cannot tell again, and why.
NOT_TOLD = {
    'deepseek_v2lite': {'deepseek2.attention.q_lora_rank'},  # null in the config
    'gpt_oss': {'gpt-oss.feed_forward_length'},  # one number is both widths
    'qwen3next': {'qwen3next.feed_forward_length'}, 'qwen35moe': {'qwen35moe.feed_forward_length'},
    'mamba2': {'mamba2.context_length'},  # it has none
    'nomic_bert': set(), 'bert': set(),
}


# -- checks ----------------------------------------------------------------------------------------

def same_keys(want, got, ignore=()):
    bad = []
    for name, v in want.keys.items():
        if name.startswith('general.') or name.startswith('tokenizer.') or name in ignore:
            continue
        w = got.keys.get(name)
        if isinstance(v, float) and isinstance(w, float):
            v, w = f32(v), f32(w)
        if v != w:
            bad.append('key %s: %r, want %r' % (name, w, v))
    return bad


def same_tensors(want, got, drop=(), dtype='F32'):
    """Every tensor has the numbers of the original, rounded to BF16 where the folder was."""
    bad = []
    tensors = {}
    for name, (kind, ne, b) in want.tensors.items():
        if '.ffn_gate_up_exps.' in name:  # read here as two
            t = T(ne[::-1], numbers(kind, b))
            n = t.shape[1] // 2 * t.shape[2]
            for i, part in enumerate(('gate', 'up')):
                a = array.array('f')
                for e in range(t.shape[0]):
                    a.extend(t.part(e).a[i * n:(i + 1) * n])
                tensors[name.replace('gate_up', part)] = (F32, [ne[0], ne[1] // 2, ne[2]], a.tobytes())
        elif not any(name.split('.weight')[0].endswith('.' + d) or name.startswith(d) for d in drop):
            tensors[name] = (kind, ne, b)
    names = list(tensors)
    for name in names:
        kind, ne, b = tensors[name]
        if name not in got.tensors:
            bad.append('tensor %s is missing' % name)
            continue
        kind2, ne2, b2 = got.tensors[name]
        if ne != ne2:
            bad.append('tensor %s: shape %s, want %s' % (name, ne2, ne))
        elif kind not in (F32, F16):
            if (kind, b) != (kind2, b2):
                bad.append('tensor %s: other bytes' % name)
        else:
            a, c = numbers(kind, b), numbers(kind2, b2)
            if dtype == 'BF16':
                a = of_bf16(to_bf16(a))
            far = max(map(lambda x, y: abs(x - y) / (abs(x) + 1e-6), a, c))
            if far > (1e-6 if dtype == 'F32' else 2 ** -7):
                bad.append('tensor %s: a number is off by %g' % (name, far))
            elif dtype == 'F32' and a != c and not re.search(r'norm|ssm_a|rope', name):
                bad.append('tensor %s: other bits' % name)
    extra = set(got.tensors) - set(names)
    return bad + ['tensor %s is too much' % n for n in sorted(extra)]


IDS = '3,14,15,72,65,35,69,79,32,38'


def logits(path, out):
    """The logits of a model that has some, else the embedding."""
    r = hearth('debug', 'logits', path, '--ids', IDS, '--out', out, '-t', '1')
    if 'it gives embeddings, no logits' in r.stderr:
        r = hearth('debug', 'embd', path, '--ids', IDS, '--out', out, '-t', '1')
    return r.returncode, r.stderr, open(out, 'rb').read() if r.returncode == 0 else b''


def runs(file, work):
    return logits(file, work + '/file.f32')[0] == 0


def check_logits(name, file, folder, work):
    a, b = logits(file, work + '/a.f32'), logits(folder, work + '/b.f32')
    ok(name, a[0] == 0 and b[0] == 0 and a[2] == b[2] and a[2], a[1] + b[1])


not_run = []


def check_family(name, fam, work):
    path = fam.of or golden(name)
    folder, out = work + '/folder', work + '/out.gguf'
    if not os.path.exists(path):
        skip(name, '%s is missing: tests/golden/make_fixtures writes it' % path)
        return
    g = Gguf(path)
    if fam.change:
        fam.change(g)
    config, tensors = folder_of(fam, g)
    extra = fam.extra(g) if callable(fam.extra) else fam.extra
    differs = fam.made or fam.change  # from the file that is there
    for made, a in (fam.made(g) if fam.made else {}).items():
        g.tensors[made] = (F32, [len(a)], array.array('f', a).tobytes())
    write_folder(folder, config, tensors, extra=extra)
    r = hearth('convert', folder, out, '--force')
    ok(name + ': converts', r.returncode == 0, r.stderr)
    if r.returncode:
        return
    got = Gguf(out)
    bad = same_keys(g, got, NOT_TOLD.get(name, ())) + same_tensors(g, got, fam.drop)
    ok(name + ': keys and tensors of the file again', not bad, '\n'.join(bad))
    if runs(out if differs else path, work):
        check_logits(name + ': the folder gives the bits of the file', out if differs else path, folder, work)
    else:
        not_run.append(name)
    # In BF16 and over three files; the folder and what is made of it are one model.
    write_folder(folder, config, tensors, 'BF16', shards=3, extra=extra)
    r = hearth('convert', folder, out, '--force')
    bad = [r.stderr] if r.returncode else same_tensors(g, Gguf(out), fam.drop, 'BF16')
    ok(name + ': BF16 in three files', not bad, '\n'.join(bad))
    if r.returncode == 0 and runs(out, work):
        check_logits(name + ': BF16 as a folder and as a file', out, folder, work)


# -- what is not a family --------------------------------------------------------------------------

def spread(n, seed):
    """Numbers of many sizes, the same for a seed."""
    import random
    r = random.Random(seed)
    return array.array('f', (r.gauss(0, 1) * 2 ** r.randint(-6, 2) for _ in range(n)))


def check_fp8(work):
    """FP8 with scales in blocks, in rows and as a whole; also of experts, which are piled up."""
    folder, out = work + '/folder', work + '/out.gguf'
    config = {'architectures': ['Qwen3MoeForCausalLM'], 'num_hidden_layers': 1, 'hidden_size': 300,
              'intermediate_size': 200, 'num_attention_heads': 3, 'head_dim': 100, 'max_position_embeddings': 64,
              'rms_norm_eps': 1e-6, 'num_experts': 2, 'num_experts_per_tok': 1,
              'quantization_config': {'quant_method': 'fp8', 'weight_block_size': [128, 128]}}
    tensors, want = {'model.embed_tokens.weight': T([4, 300], spread(1200, 1))}, {}
    front = 'model.layers.0.'
    for whole, name, gguf in ((True, 'self_attn.q_proj', 'attn_q'), (False, 'self_attn.k_proj', 'attn_k')):
        q, s, back = fp8(T([200, 300], spread(60000, name)), whole)
        tensors[front + name + '.weight'] = ('F8_E4M3', [200, 300], q)
        tensors[front + name + '.weight_scale_inv'] = s
        want['blk.0.%s.weight' % gguf] = (BF16 if whole else F32, back.a)
    piled = array.array('f')
    for e in range(2):
        q, s, back = fp8(T([200, 300], spread(60000, e)), False)
        tensors[front + 'mlp.experts.%d.up_proj.weight' % e] = ('F8_E4M3', [200, 300], q)
        tensors[front + 'mlp.experts.%d.up_proj.weight_scale_inv' % e] = s
        piled.extend(back.a)
    want['blk.0.ffn_up_exps.weight'] = (F32, piled)
    q = bytes(b for b in range(256) if b & 127 != 127) + bytes(46)  # all numbers there are
    rows = T([3, 1], array.array('f', (1.5, 0.25, 3.0)))
    tensors[front + 'self_attn.v_proj.weight'] = ('F8_E4M3', [3, 300], q * 3)
    tensors[front + 'self_attn.v_proj.weight_scale'] = rows
    want['blk.0.attn_v.weight'] = (F32, array.array('f', (f32(e4m3(b) * s) for s in rows.a for b in q)))
    tensors[front + 'self_attn.o_proj.weight'] = ('F8_E4M3', [1, 300], q)
    tensors[front + 'self_attn.o_proj.weight_scale'] = T([], array.array('f', (0.5,)))
    want['blk.0.attn_output.weight'] = (F32, array.array('f', (e4m3(b) * 0.5 for b in q)))
    write_folder(folder, config, tensors, 'F32')
    r = hearth('convert', folder, out, '--force')
    bad = [r.stderr] if r.returncode else []
    got = {} if bad else Gguf(out).tensors
    for name, (kind, a) in want.items():
        if name not in got or got[name][0] != kind or numbers(kind, got[name][2]) != a:
            bad.append('%s: type %s, want %s, or other numbers' % (name, got.get(name, '?')[0], kind))
    ok('FP8: the numbers, and BF16 where that holds them', not bad, '\n'.join(bad))
    tensors[front + 'self_attn.q_proj.weight_scale_inv'] = T([3, 3], array.array('f', [1.0] * 9))
    write_folder(folder, config, tensors, 'F32')
    r = hearth('convert', folder, out, '--force')
    ok('FP8: scales that do not fit', r.returncode == 3 and 'scales of shape [3, 3]' in r.stderr, r.stderr)


def check_fp8_runs(work):
    fam, g = FAMILIES['llama2'], Gguf(MODELS + '/llama2.gguf')
    config, tensors = folder_of(fam, g)
    for name in [n for n in tensors if 'proj' in n]:
        q, s, back = fp8(tensors[name], 'q_proj' in name)
        tensors[name], tensors[name + '_scale_inv'] = ('F8_E4M3', back.shape, q), s
    config['quantization_config'] = {'quant_method': 'fp8'}
    write_folder(work + '/folder', config, tensors)
    r = hearth('convert', work + '/folder', work + '/out.gguf', '--force')
    ok('FP8: converts', r.returncode == 0, r.stderr)
    check_logits('FP8: as a folder and as a file', work + '/out.gguf', work + '/folder', work)


def check_askew(work):
    """Data at odd addresses are used, too."""
    fam, path = FAMILIES['llama2'], MODELS + '/llama2.gguf'
    config, tensors = folder_of(fam, Gguf(path))
    write_folder(work + '/folder', config, tensors)
    encoded = {name: encode(t, 'F32') for name, t in tensors.items()}
    write_safetensors(work + '/folder/model.safetensors', dict(
        {'model.layers.9.pad': ('U8', [1], b'x')}, **encoded))
    check_logits('data at odd places', path, work + '/folder', work)


def check_v4_mxfp4(work):
    """DeepSeek V4's experts in MXFP4: bytes of neighbours, and a power of two for each 32."""
    fam, g = FAMILIES['deepseek_v4'], Gguf(MODELS + '/deepseek_v4.gguf')
    config, tensors = folder_of(fam, g)
    want = {}
    for w, part in (('w1', 'gate'), ('w3', 'up'), ('w2', 'down')):
        for e in range(8):
            name = 'layers.0.ffn.experts.%d.%s.' % (e, w)
            rows, cols = tensors[name + 'weight'].shape
            b = bytes((i * 37 + e * 11 + len(part)) % 256 for i in range(rows * cols // 2))
            s = bytes((i * 5 + e) % 20 + 115 for i in range(rows * cols // 32))
            tensors[name + 'weight'] = ('I8', [rows, cols // 2], b)
            tensors[name + 'scale'] = ('F8_E8M0', [rows, cols // 32], s)
            q = [x for y in b for x in (y & 15, y >> 4)]
            for i in range(len(s)):
                z = q[i * 32:i * 32 + 32]
                want.setdefault(part, bytearray()).extend(
                    bytes([s[i]]) + bytes(z[j] | z[j + 16] << 4 for j in range(16)))
    write_folder(work + '/folder', config, tensors)
    r = hearth('convert', work + '/folder', work + '/out.gguf', '--force')
    bad = [r.stderr] if r.returncode else []
    for part in want if not bad else ():
        kind, ne, b = Gguf(work + '/out.gguf').tensors['blk.0.ffn_%s_exps.weight' % part]
        if kind != MXFP4 or b != bytes(want[part]):
            bad.append(part)
    ok('deepseek_v4: MXFP4 experts', not bad, '\n'.join(bad))


def check_gpt_oss_bf16(work):
    """GPT-OSS with experts as matrices of [in, out], gate and up in turns."""
    fam, g = FAMILIES['gpt_oss'], Gguf(MODELS + '/gpt_oss.gguf')
    config, tensors = folder_of(fam, g)
    del config['quantization_config']
    e, f, d = 4, 64, 64
    for layer in range(4):
        at = 'model.layers.%d.mlp.experts.' % layer
        for name, n in (('gate_up_proj', 2 * f), ('down_proj', d)):
            del tensors[at + name + '_blocks'], tensors[at + name + '_scales']
            tensors[at + name] = T([e, d, n], spread(e * d * n, at + name))
    write_folder(work + '/folder', config, tensors)
    r = hearth('convert', work + '/folder', work + '/out.gguf', '--force')
    bad = [r.stderr] if r.returncode else []
    for layer in range(0 if bad else 4):
        got = Gguf(work + '/out.gguf').tensors
        both = tensors['model.layers.%d.mlp.experts.gate_up_proj' % layer].transposed()
        down = tensors['model.layers.%d.mlp.experts.down_proj' % layer].transposed()
        for i, part in enumerate(('gate', 'up')):
            want = pile([both.part(k).pick(range(i, 2 * f, 2)) for k in range(e)])
            if floats(got['blk.%d.ffn_%s_exps.weight' % (layer, part)][2]) != want.a:
                bad.append('%s of layer %d' % (part, layer))
        if floats(got['blk.%d.ffn_down_exps.weight' % layer][2]) != down.a:
            bad.append('down of layer %d' % layer)
    ok('gpt_oss: BF16 experts', not bad, '\n'.join(bad))


def convert_changed(name, work, change=None, extra=None):
    """What hearth says of a family's folder whose config was changed."""
    fam = FAMILIES[name]
    g = Gguf(fam.of or golden(name))
    if fam.change:
        fam.change(g)
    config, tensors = folder_of(fam, g)
    write_folder(work + '/folder', dict(config, **(change or {})), tensors, extra=extra)
    return hearth('convert', work + '/folder', work + '/out.gguf', '--force')


def check_truncate(work):
    """GPT-OSS: YaRN's borders between dimensions are not rounded."""
    g = Gguf(golden('gpt_oss'))
    for said, want in ((None, None), (True, None), (False, False)):
        scaling = yarn(g)['rope_scaling']
        if said is not None:
            scaling['truncate'] = said
        r = convert_changed('gpt_oss', work, {'rope_scaling': scaling})
        got = Gguf(work + '/out.gguf').keys.get('gpt-oss.rope.scaling.yarn_truncate') if r.returncode == 0 else '?'
        ok('gpt_oss: truncate %s' % said, got is want, r.stderr + str(got))


def check_refused(work):
    """What a table cannot say is refused by name."""
    tanh = {'activation_function': 'torch.nn.modules.activation.Tanh'}
    w = T([4, 4], spread(16, 1))
    two = lambda config, tensors: {'2_Dense/config.json': config, '2_Dense/model.safetensors': tensors}
    for name, change, extra, rc, words in (
            ('smollm3', {'no_rope_layers': [0] * 8}, None, 3, 'no_rope_layers'),
            ('smollm3', {'no_rope_layers': None, 'no_rope_layer_interval': 2}, None, 3, 'no_rope_layers'),
            ('falcon40', {'alibi': True}, None, 3, 'alibi true'),
            ('falcon40', {'parallel_attn': False}, None, 3, 'parallel_attn false'),
            ('falcon40', {'num_kv_heads': 4}, None, 2, 'query_key_value.weight: its shape'),
            ('falcon40', {'num_kv_heads': 3}, None, 2, 'query_key_value.weight: its shape'),
            ('gemma_embed_dense', None, two(tanh, {'linear.weight': w}), 3, '2_Dense: it has a bias or an activation'),
            ('gemma_embed_dense', None, two({}, {'linear.weight': w, 'linear.bias': w.part(0)}), 3,
             '2_Dense: it has a bias or an activation'),
            ('gemma_embed_dense', None, two({}, {'weight': w}), 2, '2_Dense: no matrix linear.weight'),
            ('gemma_embed_dense', None, None, 0, 'the two products behind the pooling (2_Dense, 3_Dense) are not')):
        what = '%s: %s' % (name, words)
        if not os.path.exists(FAMILIES[name].of):
            skip(what, '%s is missing: tests/golden/make_fixtures writes it' % FAMILIES[name].of)
            continue
        r = convert_changed(name, work, change, extra)
        ok(what, r.returncode == rc and words in r.stderr, '%d %s' % (r.returncode, r.stderr))


def main():
    if not os.path.isdir(MODELS):
        print('1..0 # SKIP %s is missing' % MODELS)
        return 0
    work = tempfile.mkdtemp()
    only = sys.argv[1:]
    try:
        for name, fam in FAMILIES.items():
            if not only or name in only:
                check_family(name, fam, work)
        for check in () if only else (check_fp8, check_fp8_runs, check_askew, check_v4_mxfp4,
                                        check_gpt_oss_bf16, check_truncate, check_refused):
            check(work)
    finally:
        shutil.rmtree(work)
    if not_run:
        skip('logits of %s' % ', '.join(not_run), 'this build has no architecture for them')
    print('1..%d' % n_test)
    return n_bad != 0


if __name__ == '__main__':
    sys.exit(main())

"""Hugging Face folders, against the GGUF files of ../shared/golden.

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
    a function of the GGUF."""

    def __init__(self, cls, names=None, how=None, config=None, layer='model.layers.%d.', drop=()):
        self.cls, self.how, self.config, self.layer = cls, how or {}, config or {}, layer
        self.names = dict(PER_LAYER, **GLOBAL)
        self.names.update(names or {})
        self.drop = drop


def arch_key(g, name, default=None):
    return g.keys.get(g.keys['general.architecture'] + '.' + name, default)


def base_config(g):
    k = lambda name, default=None: arch_key(g, name, default)
    c = {'num_hidden_layers': k('block_count'), 'max_position_embeddings': k('context_length'),
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
    for name, (kind, ne, b) in g.tensors.items():
        m = re.match(r'(?:blk\.(\d+)\.)?(.*?)(?:\.(weight|bias))?$', name)
        layer, base, end = m.groups()
        full = base + ('.' + end if end else '')
        front = fam.layer % int(layer) if layer is not None else ''
        if base in fam.drop or full in fam.drop:
            continue
        t = T(ne[::-1], b, 'raw') if kind not in (F32, F16) else T(ne[::-1], numbers(kind, b))
        how = fam.how.get(full, fam.how.get(base))
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


def llama3(g):
    """The factors of rope_freqs come from these; they are compared with a little tolerance."""
    return {}


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
    'qwen2': Family('Qwen2ForCausalLM'),
    'qwen2moe': Family('Qwen2MoeForCausalLM', how={'ffn_gate_inp_shexp': one_row}, config=experts),
    'qwen3': Family('Qwen3ForCausalLM', drop=('cls.output',)),
    'qwen3moe': Family('Qwen3MoeForCausalLM', config=experts),
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
    names = [n for n in want.tensors if not any(n.split('.weight')[0].endswith(d) for d in drop)]
    for name in names:
        kind, ne, b = want.tensors[name]
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


IDS = '3,14,15,92,65,35,89,79,32,38'


def logits(path, out):
    r = hearth('debug', 'logits', path, '--ids', IDS, '--out', out, '-t', '1')
    return r.returncode, r.stderr, open(out, 'rb').read() if r.returncode == 0 else b''


def runs(file, work):
    return logits(file, work + '/file.f32')[0] == 0


def check_logits(name, file, folder, work):
    a, b = logits(file, work + '/a.f32'), logits(folder, work + '/b.f32')
    ok(name, a[0] == 0 and b[0] == 0 and a[2] == b[2] and a[2], a[1] + b[1])


def check_family(name, fam, work):
    path = '%s/%s.gguf' % (MODELS, name)
    folder, out = work + '/folder', work + '/out.gguf'
    g = Gguf(path)
    config, tensors = folder_of(fam, g)
    write_folder(folder, config, tensors)
    r = hearth('convert', folder, out, '--force')
    ok(name + ': converts', r.returncode == 0, r.stderr)
    if r.returncode:
        return
    got = Gguf(out)
    bad = same_keys(g, got) + same_tensors(g, got, fam.drop)
    ok(name + ': keys and tensors of the file again', not bad, '\n'.join(bad))
    if runs(path, work):
        check_logits(name + ': the folder gives the bits of the file', path, folder, work)
    else:
        r = hearth('debug', 'logits', path, '--ids', IDS, '--out', work + '/x.f32')
        skip(name + ': logits', 'this build does not run it: ' + r.stderr.strip().split(': ')[-1][:60])
    # In BF16 and over three files; the folder and what is made of it are one model.
    write_folder(folder, config, tensors, 'BF16', shards=3)
    r = hearth('convert', folder, out, '--force')
    bad = [r.stderr] if r.returncode else same_tensors(g, Gguf(out), fam.drop, 'BF16')
    ok(name + ': BF16 in three files', not bad, '\n'.join(bad))
    if r.returncode == 0 and runs(path, work):
        check_logits(name + ': BF16 as a folder and as a file', out, folder, work)


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
    finally:
        shutil.rmtree(work)
    print('1..%d' % n_test)
    return n_bad != 0


if __name__ == '__main__':
    sys.exit(main())

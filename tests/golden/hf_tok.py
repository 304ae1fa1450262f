"""Tokenizers of Hugging Face folders, against other programs and the vocabularies of ../shared/vocab.

tests/data/hf_tok has small folders of every kind, with the ids that the makers' programs give.
A vocabulary that is known with the ids of the original tokenizer for many texts is written as its
makers publish it: tokenizer.json with either notation of merges, or SentencePiece's
tokenizer.model. The folder must give the keys, and the ids."""
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from hf_lib import *  # noqa: E402

HEARTH = os.environ.get('HEARTH', 'build/release/hearth')
VOCAB = '../shared/vocab'
SPLIT = lambda x: {'type': 'Split', 'pattern': {'Regex': x}, 'behavior': 'Isolated', 'invert': False}
BYTES = lambda use: {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True, 'use_regex': use}
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
DIGITS = lambda each: {'type': 'Digits', 'individual_digits': each}

# What a vocabulary's tokenizer.json has for its pre-tokenizer; bos before every text by a template.
BPE = {
    'llama-bpe': ([SPLIT(LLAMA3), BYTES(False)], True),
    'gpt-2': ([BYTES(True)], False),
    'starcoder': ([DIGITS(True), BYTES(True)], False),
    'falcon': ([{'type': 'Punctuation', 'behavior': 'Contiguous'}, BYTES(True), DIGITS(False),
                SPLIT('[0-9][0-9][0-9]')], False),
    'deepseek-coder': ([SPLIT(r'[\r\n]'), SPLIT(r'\s?\p{L}+'), SPLIT(r'\s?\p{P}+'),
                        SPLIT('[一-龥ࠀ-一가-\ud7ff]+'), DIGITS(True), BYTES(False)], False),
}

n_test = n_bad = 0


def ok(name, good, why=''):
    global n_test, n_bad
    n_test += 1
    n_bad += not good
    print('%sok %d - %s' % ('' if good else 'not ', n_test, name))
    if not good:
        print('\n'.join('# ' + line for line in str(why)[:2000].split('\n')))
    sys.stdout.flush()


def skip(name, why):
    global n_test
    n_test += 1
    print('ok %d - %s # SKIP %s' % (n_test, name, why))


def folder(path, n_vocab, extra, raw=None):
    config = {'architectures': ['LlamaForCausalLM'], 'num_hidden_layers': 1, 'hidden_size': 8,
              'intermediate_size': 8, 'num_attention_heads': 1, 'max_position_embeddings': 64,
              'rms_norm_eps': 1e-5}
    shapes = {'embed_tokens': [n_vocab, 8], 'norm': [8], 'layers.0.input_layernorm': [8],
              'layers.0.post_attention_layernorm': [8]}
    shapes.update({'layers.0.self_attn.%s_proj' % c: [8, 8] for c in 'qkvo'})
    shapes.update({'layers.0.mlp.%s_proj' % c: [8, 8] for c in ('gate', 'up', 'down')})
    write_folder(path, config, {'model.%s.weight' % name: ('F16', s, bytes(math.prod(s) * 2))
                                for name, s in shapes.items()}, extra=extra)
    for name, b in (raw or {}).items():
        with open(os.path.join(path, name), 'wb') as f:
            f.write(b)


def specials(g):
    """Tokens with a meaning, as tokenizer_config.json names them."""
    names = {'bos': 'bos_token', 'eos': 'eos_token', 'padding': 'pad_token'}
    tokens = g.keys['tokenizer.ggml.tokens']
    out = {}
    for key, name in names.items():
        i = g.keys.get('tokenizer.ggml.%s_token_id' % key)
        if i is not None:
            out[name] = {'content': tokens[i]} if key == 'bos' else tokens[i]
    return out


def tokens_of(path, text, *options):
    r = subprocess.run([HEARTH, 'debug', 'tokens', path, *options], input=text.encode(), capture_output=True)
    return json.loads(r.stdout) if r.returncode == 0 else r.stderr.decode()


def check_texts(name, path, n=10):
    cases = json.load(open('%s/%s.tokens.json' % (VOCAB, name)))
    bad = []
    for case in sorted(cases, key=lambda c: -len(c['text'].encode()))[:n]:
        got = tokens_of(path, case['text'])
        if got != case['plain']:
            bad.append('%r: %r, want %r' % (case['text'][:60], got, case['plain']))
    return bad


def check_keys(g, path, out, names):
    r = subprocess.run([HEARTH, 'convert', path, out, '--force'], capture_output=True, text=True)
    if r.returncode:
        return [r.stderr]
    got, bad = Gguf(out), []
    for name in names:
        key = 'tokenizer.ggml.' + name
        a, b = g.keys.get(key), got.keys.get(key)
        if a != b:
            where = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), '') if isinstance(a, list) and b else ''
            bad.append('%s: %s %r, want %r' % (key, where, b[where] if where != '' else str(b)[:80],
                                               a[where] if where != '' else str(a)[:80]))
    return bad


def check_bpe(name, work):
    g = Gguf('%s/%s.gguf' % (VOCAB, name))
    pre, bos = BPE[name]
    tokens, types = g.keys['tokenizer.ggml.tokens'], g.keys['tokenizer.ggml.token_type']
    merges = g.keys['tokenizer.ggml.merges']
    added = [{'id': i, 'content': t, 'special': k == 3} for i, (t, k) in enumerate(zip(tokens, types))
             if k in (3, 4)]
    ids = {a['id'] for a in added}
    pads = {i for i, k in enumerate(types) if k == 5}
    one = {'TemplateProcessing': [{'SpecialToken': {'id': 'x', 'type_id': 0}}, {'Sequence': {'id': 'A'}}]}
    t = {'version': '1.0', 'added_tokens': added, 'normalizer': None,
         'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': pre} if len(pre) > 1 else pre[0],
         'post_processor': {'type': 'Sequence', 'processors': [
             {'type': 'ByteLevel'}, {'type': 'TemplateProcessing', 'single': one['TemplateProcessing']}]}
         if bos else None,
         'decoder': {'type': 'ByteLevel'},
         'model': {'type': 'BPE', 'ignore_merges': name == 'llama-bpe', 'byte_fallback': False,
                   'vocab': {w: i for i, w in enumerate(tokens) if i not in ids and i not in pads},
                   'merges': merges if name != 'starcoder' else [m.split(' ', 1) for m in merges]}}
    folder(work + '/tok', len(tokens), {'tokenizer.json': t, 'tokenizer_config.json': specials(g)})
    names = ['model', 'tokens', 'token_type', 'merges', 'bos_token_id', 'eos_token_id']
    if name == 'llama-bpe':
        names += ['pre', 'add_bos_token']
    bad = check_keys(g, work + '/tok', work + '/tok.gguf', names)
    ok(name + ': tokenizer.json, keys', not bad, '\n'.join(bad))
    bad = check_texts(name, work + '/tok.gguf')
    ok(name + ': tokenizer.json, ids', not bad, '\n'.join(bad))


def spm_merges(tokens, scores, types):
    """As they are made from SentencePiece's scores: every way to join two pieces, best first, of
    equal ones (runs of spaces) that with the lower id."""
    known = {w: (-s, i) for i, (w, s, k) in enumerate(zip(tokens, scores, types)) if k == 1}
    out = []
    for w, s in known.items():
        for i in range(1, len(w)):
            if w[:i] in known and w[i:] in known:
                out.append((s, w[:i], w[i:]))
    return [[a, b] for s, a, b in sorted(out)]


def check_spm_json(work):
    g = Gguf(VOCAB + '/llama-spm.gguf')
    tokens, types, scores = (g.keys['tokenizer.ggml.' + n] for n in ('tokens', 'token_type', 'scores'))
    added = [{'id': i, 'content': tokens[i], 'special': True} for i in range(3)]
    t = {'added_tokens': added, 'pre_tokenizer': None, 'post_processor': None,
         'normalizer': {'type': 'Sequence', 'normalizers': [
             {'type': 'Prepend', 'prepend': '\u2581'},
             {'type': 'Replace', 'pattern': {'String': ' '}, 'content': '\u2581'}]},
         'decoder': {'type': 'Sequence', 'decoders': [{'type': 'ByteFallback'}, {'type': 'Fuse'}]},
         'model': {'type': 'BPE', 'byte_fallback': True, 'unk_token': '<unk>',
                   'vocab': {w: i for i, w in enumerate(tokens)},
                   'merges': spm_merges(tokens, scores, types)}}
    folder(work + '/tok', len(tokens), {'tokenizer.json': t, 'tokenizer_config.json': dict(
        specials(g), chat_template='{{ messages }}')})
    names = ['model', 'tokens', 'token_type', 'bos_token_id', 'eos_token_id', 'unknown_token_id',
             'add_bos_token', 'add_eos_token']
    bad = check_keys(g, work + '/tok', work + '/tok.gguf', names)
    if not bad and Gguf(work + '/tok.gguf').keys.get('tokenizer.chat_template') != '{{ messages }}':
        bad = ['no chat template']
    ok('llama-spm: tokenizer.json, keys', not bad, '\n'.join(bad))
    bad = check_texts('llama-spm', work + '/tok', 30)
    ok('llama-spm: tokenizer.json, ids', not bad, '\n'.join(bad))


def varint(v):
    out = b''
    while v > 127:
        out, v = out + bytes([v & 127 | 128]), v >> 7
    return out + bytes([v])


def field(no, b):
    return varint(no << 3 | 2) + varint(len(b)) + b


def check_spm_model(work):
    g = Gguf(VOCAB + '/llama-spm.gguf')
    tokens, types, scores = (g.keys['tokenizer.ggml.' + n] for n in ('tokens', 'token_type', 'scores'))
    b = b''
    for w, k, s in zip(tokens, types, scores):
        piece = field(1, w.encode()) + varint(2 << 3 | 5) + struct.pack('<f', s)
        b += field(1, piece + (varint(3 << 3) + varint(k) if k != 1 else b''))
    b += field(2, varint(3 << 3) + varint(2)) + field(3, field(1, b'identity') + varint(3 << 3) + varint(1))
    more = {'added_tokens_decoder': {'32000': {'content': '<|end|>', 'special': True}}}
    folder(work + '/tok', len(tokens) + 2, {'tokenizer_config.json': dict(specials(g), **more),
                                            'chat_template.json': {'chat_template': 'T'},
                                            'generation_config.json': {'eos_token_id': [2, 32000]}},
           {'tokenizer.model': b})
    names = ['model', 'bos_token_id', 'eos_token_id', 'unknown_token_id', 'add_bos_token']
    bad = check_keys(g, work + '/tok', work + '/tok.gguf', names)
    if not bad:
        k = Gguf(work + '/tok.gguf').keys
        want = {'tokens': tokens + ['<|end|>', '[PAD32001]'], 'token_type': types + [3, 5],
                'scores': scores + [0.0, 0.0], 'eot_token_id': 32000}
        bad = [n for n, v in want.items() if k.get('tokenizer.ggml.' + n) != v]
        bad += ['chat template'] * (k.get('tokenizer.chat_template') != 'T')
    ok('llama-spm: tokenizer.model, keys', not bad, '\n'.join(bad))
    bad = check_texts('llama-spm', work + '/tok', 30)
    ok('llama-spm: tokenizer.model, ids', not bad, '\n'.join(bad))


DATA = 'tests/data/hf_tok'


def check_small(name, work):
    """A folder of tests/data, with weights of zeros."""
    path = os.path.join(DATA, name)
    want = json.load(open(path + '/ids.json'))
    about = json.load(open(path + '/config.json'))
    sizes = {'num_hidden_layers': 1, 'hidden_size': 8, 'intermediate_size': 8, 'num_attention_heads': 1,
             'max_position_embeddings': 64, 'rms_norm_eps': 1e-5, 'type_vocab_size': 2}
    embd = 'embeddings.word_embeddings.weight' if 'Bert' in about['architectures'][0] else 'model.embed_tokens.weight'
    write_folder(work + '/small', dict(sizes, **about), {embd: ('F16', [want['tokens'], 8], bytes(want['tokens'] * 16))})
    for file in os.listdir(path):
        if file not in ('config.json', 'ids.json'):
            shutil.copy(os.path.join(path, file), work + '/small')
    bad = []
    for text, ids in zip(json.load(open(DATA + '/texts.json')), want['ids']):
        got = tokens_of(work + '/small', text, '--special')
        if got != ids:
            bad.append('%r: %r, want %r' % (text[:60], got, ids))
            if isinstance(got, str):
                break
    ok(name + ': ids', not bad, '\n'.join(bad))
    shutil.rmtree(work + '/small')


def main():
    work = tempfile.mkdtemp()
    try:
        for name in sorted(os.listdir(DATA)):
            if os.path.isdir(os.path.join(DATA, name)):
                check_small(name, work)
        if os.path.isdir(VOCAB):
            check_spm_json(work)
            check_spm_model(work)
            for name in BPE:
                check_bpe(name, work)
        else:
            skip('known vocabularies', VOCAB + ' is missing')
    finally:
        shutil.rmtree(work)
    print('1..%d' % n_test)
    return n_bad != 0


if __name__ == '__main__':
    sys.exit(main())

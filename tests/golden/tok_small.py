"""Makes the small vocabularies of tests/data/tok, and their recorded ids.

    tests/golden/tok_small.py TEXT OUT

Trains on the file TEXT with PyPI's sentencepiece, tokenizers and tiktoken, none of which a test
needs: tests/unit/text/test_tok_vocab.c reads what this wrote. The ids are those of the libraries."""
import io
import json
import os
import random
import sys
import unicodedata

import sentencepiece as spm
import tiktoken
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, '../shared/ref/models_ref')
import gg  # noqa: E402
from tok_random import WORDS, texts  # noqa: E402

NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6
CON = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
U, L = r'[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}', r'[\p{Ll}\p{Lm}\p{Lo}\p{M}'
KIMI = '|'.join([r'[\p{Han}]+', r'[^\r\n\p{L}\p{N}]?' + U + r'&&[^\p{Han}]]*' + L + r'&&[^\p{Han}]]+' + CON + '?',
                 r'[^\r\n\p{L}\p{N}]?' + U + r'&&[^\p{Han}]]+' + L + r'&&[^\p{Han}]]*' + CON + '?', r'\p{N}{1,3}',
                 r' ?[^\s\p{L}\p{N}]+[\r\n]*', r'\s*[\r\n]+', r'\s+(?!\S)', r'\s+'])
QWEN35 = CON + (r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus(path):
    r = random.Random(1)
    lines = open(path, encoding='utf-8').read().split('\n')[:6000]
    return lines + [' '.join(r.choice(WORDS) for _ in range(12)) for _ in range(3000)]


def write(out, name, kind, pre, tokens, types, more, encode, detok, cases, special):
    key = lambda k: 'tokenizer.ggml.' + k
    kv = {'general.architecture': (8, b'llama'), key('model'): (8, kind.encode()),
          key('tokens'): (9, (8, [t.encode() for t in tokens])), key('token_type'): (9, (5, types))}
    if pre:
        kv[key('pre')] = (8, pre.encode())
    kv.update({key(k): v for k, v in more.items()})
    gg.write('%s/%s.gguf' % (out, name), kv)
    rows = []
    for s in cases:
        ids = encode(s)
        rows.append({'text': s, 'plain': ids, 'special': special(ids), 'detok_hex': detok(s, ids).encode().hex()})
    with open('%s/%s.tokens.json' % (out, name), 'w') as f:
        f.write('[\n' + ',\n'.join(json.dumps(r, separators=(',', ':')) for r in rows) + '\n]\n')


def rules(path):
    """Compatibility forms, compositions, odd spaces: enough to meet every branch."""
    pairs = {}
    for a, b in ((0xff01, 0xff5f), (0x2460, 0x2474), (0xfb00, 0xfb07), (0x3371, 0x3378), (0xbc, 0xbf), (0x2150, 0x2180),
                 (0x2000, 0x200b), (0xfdfa, 0xfdfb), (0xc0, 0x180)):
        for c in range(a, b):
            for form in (chr(c), unicodedata.normalize('NFD', chr(c))):
                to = unicodedata.normalize('NFKC', chr(c))
                if form != to:
                    pairs[form] = to
    for c in '\t\n\r\u00a0\u3000\u2028\x85':
        pairs[c] = ' '
    for c in '\u200d\u200b\ufe0f\x00'[:3]:
        pairs[c] = ''
    with open(path, 'w') as f:
        for a, b in sorted(pairs.items()):
            f.write(' '.join('%X' % ord(c) for c in a) + '\t' + ' '.join('%X' % ord(c) for c in b) + '\n')
    return path


def unigram(out, lines, cases, name='unigram', rule=None, extra=True):
    model = io.BytesIO()
    how = {'normalization_rule_tsv': rule} if rule else {'normalization_rule_name': 'nmt_nfkc'}
    spm.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, vocab_size=1200, model_type='unigram',
                                   pad_id=0, eos_id=1, unk_id=2, bos_id=-1, remove_extra_whitespaces=extra,
                                   max_sentence_length=100000, minloglevel=2, num_threads=1, **how)
    s = spm.SentencePieceProcessor(model_proto=model.getvalue())
    n = s.get_piece_size()
    tokens = [s.id_to_piece(i) for i in range(n)]
    types = [UNKNOWN if s.is_unknown(i) else CONTROL if s.is_control(i) else NORMAL for i in range(n)]
    from sentencepiece import sentencepiece_model_pb2 as pb
    m = pb.ModelProto.FromString(model.getvalue())
    more = {'scores': (9, (6, [s.get_score(i) for i in range(n)])), 'eos_token_id': (4, 1), 'unknown_token_id': (4, 2),
            'padding_token_id': (4, 0), 'add_space_prefix': (7, True), 'remove_extra_whitespaces': (7, extra),
            'precompiled_charsmap': (9, (0, list(m.normalizer_spec.precompiled_charsmap)))}
    clean = lambda t: t[1:] if t.startswith(' ') else t
    write(out, name, 't5', None, tokens, types, more, s.encode,
          lambda t, ids: clean(''.join(tokens[i].replace('\u2581', ' ') for i in ids if types[i] == NORMAL)), cases,
          lambda ids: ids + [1])


def byte_level(lines, size):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.train_from_iterator(lines, trainers.BpeTrainer(vocab_size=size, show_progress=False,
                                                     initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    j = json.loads(t.to_str())['model']
    return [k for k, _ in sorted(j['vocab'].items(), key=lambda x: x[1])], [tuple(m) for m in j['merges']]


def kimi(out, tokens, cases):
    b2u = {}
    for b in range(256):
        b2u[chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b else chr(256 + sum(1 for x in b2u.values() if not (
            33 <= x <= 126 or 161 <= x <= 172 or 174 <= x)))] = b
    ranks = {bytes(b2u[c] for c in t): i for i, t in enumerate(tokens)}
    e = tiktoken.Encoding('kimi', pat_str=KIMI, mergeable_ranks=ranks, special_tokens={})
    write(out, 'kimi', 'gpt2', 'kimi-k2', tokens, [NORMAL] * len(tokens), {}, e.encode_ordinary, lambda t, ids: t, cases,
          lambda ids: ids)


def qwen35(out, tokens, merges, cases):
    t = Tokenizer(models.BPE({k: i for i, k in enumerate(tokens)}, merges))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN35), 'isolated'),
                                               pre_tokenizers.ByteLevel(False, False, False)])
    more = {'merges': (9, (8, [' '.join(m).encode() for m in merges]))}
    write(out, 'qwen35', 'gpt2', 'qwen35', tokens, [NORMAL] * len(tokens), more, lambda s: t.encode(s).ids,
          lambda s, ids: s, cases, lambda ids: ids)


def gemma4(out, lines, cases):
    t = Tokenizer(models.BPE(byte_fallback=True, unk_token='<unk>'))
    t.normalizer = normalizers.Replace(' ', '\u2581')
    t.pre_tokenizer = pre_tokenizers.Split(Regex('\u2581?[^\u2581\n]+|\u2581+|\n+'), 'isolated')
    special = ['<pad>', '<eos>', '<bos>', '<unk>'] + ['<0x%02X>' % i for i in range(256)]
    t.train_from_iterator(lines + ['a\n\n\nb  c   d'] * 50,
                          trainers.BpeTrainer(vocab_size=1200, show_progress=False, special_tokens=special))
    j = json.loads(t.to_str())['model']
    tokens = [k for k, _ in sorted(j['vocab'].items(), key=lambda x: x[1])]
    merges = [tuple(m) for m in j['merges']]
    t = Tokenizer(models.BPE(j['vocab'], merges, byte_fallback=True, unk_token='<unk>', fuse_unk=True))
    t.normalizer = normalizers.Replace(' ', '\u2581')
    t.pre_tokenizer = pre_tokenizers.Split(Regex(r'[^\n]+|\n+'), 'isolated')
    types = [CONTROL] * 3 + [UNKNOWN] + [BYTE] * 256 + [NORMAL] * (len(tokens) - 260)
    more = {'merges': (9, (8, [' '.join(m).encode() for m in merges])), 'bos_token_id': (4, 2), 'eos_token_id': (4, 1)}
    write(out, 'gemma4', 'gemma4', None, tokens, types, more, lambda s: t.encode(s, add_special_tokens=False).ids,
          lambda s, ids: s.replace('\u2581', ' '), cases, lambda ids: [2] + ids)


def main(path, out):
    lines = corpus(path)
    cases = ['', ' ', 'Hello world', '  two  spaces ', '\n', 'a\n\n\n\nb', "WE'LL don't"] + texts(60, 3, [])
    tokens, merges = byte_level(lines, 1500)
    kimi(out, tokens, cases)
    qwen35(out, tokens, merges, cases)
    gemma4(out, lines, cases)
    unigram(out, [x for x in lines if x], cases, rule=rules('/tmp/rules.tsv'))
    # Of spaces alone the library makes one more token than the engines that read GGUF.
    cases = [c for c in cases if c == '' or c.strip()]
    unigram(out, [x for x in lines if x], cases, 'unigram-spaces', rules('/tmp/rules.tsv'), False)


if __name__ == '__main__':
    main(*sys.argv[1:])

"""Writes the folders beside it: a small tokenizer of every kind, in the files that models are
published with, and for some texts the ids that the makers' own programs give.

    python3 make.py TEXT    # a long text to learn words from, such as a novel

wants the packages tokenizers, sentencepiece (with protobuf) and tiktoken. Their versions change
what is learned, so the folders are made rarely; what they hold is data, and no test needs this."""
import base64
import io
import json
import os
import random
import shutil
import sys
import tempfile
import unicodedata

import sentencepiece
import tiktoken
from sentencepiece import sentencepiece_model_pb2 as protobuf
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
SIZE = 380  # tokens
MANY = [
    'Съешь же ещё этих мягких французских булок.', '我能吞下玻璃而不傷身體。今天天气', '私はガラスを食べられます。カタカナ',
    '나는 유리를 먹을 수 있어요', 'Zażółć gęślą jaźń. Příliš žluťoučký', 'أنا قادر على أكل الزجاج', 'मैं काँच खा सकता हूँ',
    'Größe, Übermut, ÄÖÜ', 'def f(x):\n\treturn x + 12345  # 67.89\n\n\nfor i in x:\n    pass', "I'm you're WE'LL don't it'S 'tis",
    'ﬁ ﬂ ① ½ ² Ａｂｃ １２３ ｶﾅ', '😀 👩‍👩‍👧 🇩🇪 naïve cafe\u0301', 'a  b   c\t\te\r\n\r\nf\n \n g', 'ὀδός Ẑ ǅ ʰ',
    '!!??...,;:-_()[]{}<>/\\|@#$%^&*~`+="\'', '１２ ٣٤٥ 1234567890 000', 'http://example.com/a?b=c&d=e#f']


def scrambled(r):
    """Characters of three kinds, as no text has them."""
    kinds = [(32, 127), (0x20, 0x250), (0x370, 0x530), (0x4e00, 0x4f00), (0x3040, 0x3100), (0xac00, 0xad00), (0x900, 0x980),
             (32, 33), (9, 11), (0x1f300, 0x1f600), (0x300, 0x340), (48, 58), (0x2000, 0x2010)]
    some = r.sample(kinds, 3)
    text = ''.join(chr(r.randrange(*r.choice(some))) for _ in range(r.randrange(4, 24)))
    return ''.join(c for c in text if unicodedata.category(c) not in ('Cn', 'Co') and c not in '\x0b\x0c\x85')


def texts(novel):
    r = random.Random(5)
    return ['', '\n', 'a', ' Hello  world ', '  two in front', 'a \n<m> b <|r|>  c<m>d'] + MANY + [novel[i:i + 60] for i in (900, 2100, 3300)] + [
        scrambled(r) for _ in range(20)]


LLAMA = {'architectures': ['LlamaForCausalLM']}
BERT = {'architectures': ['BertModel']}
CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r'| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+'
LLAMA3 = CONTRACTIONS + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}' + REST
QWEN2 = LLAMA3.replace('{1,3}', '')
UPPER, LOWER = r'[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]', r'[\p{Ll}\p{Lm}\p{Lo}\p{M}]'


def cased(digits, end, upper=UPPER, lower=LOWER, rest=REST.replace(r'[\r\n]*', r'[\r\n/]*')):
    front = r'[^\r\n\p{L}\p{N}]?'
    return front + upper + '*' + lower + '+' + end + '|' + front + upper + '+' + lower + '*' + end + '|' + digits + rest


TEKKEN = cased(r'\p{N}', '')
HAN = [x[:-1] + r'&&[^\p{Han}]]' for x in (UPPER, LOWER)]
KIMI = r'[\p{Han}]+|' + cased(r'\p{N}{1,3}', CONTRACTIONS + '?', *HAN, REST)
CJK = '[一-龥ࠀ-一가-\ud7ff]+'


def split(x):
    return pre_tokenizers.Split(Regex(x), 'isolated')


def mapped(gpt2=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=gpt2)


DIGITS = pre_tokenizers.Digits(True)
BYTES = {  # byte-level BPE by the steps that cut words
    'llama3': [split(LLAMA3), mapped()],
    'qwen2': [pre_tokenizers.Split(Regex(QWEN2), 'removed', invert=True), mapped()],
    'qwen35': [split(CONTRACTIONS + r'|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*'
                     r'|\s*[\r\n]+|\s+(?!\S)|\s+'), mapped()],
    'gpt4o': [split(cased(r'\p{N}{1,3}', CONTRACTIONS + '?')), mapped()],
    'deepseek3': [split(r'\p{N}{1,3}'), split('[一-龥\u3040-ゟ゠-ヿ]+'),
                  split(r'[!"#$%&' + r"'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
                        r'| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+'), mapped()],
    'deepseek-coder': [split('[\r\n]'), split(r'\s?\p{L}+'), split(r'\s?\p{P}+'), split(CJK), DIGITS, mapped()],
    'starcoder': [DIGITS, mapped(True)],
    'falcon': [pre_tokenizers.Punctuation('contiguous'), mapped(True), pre_tokenizers.Digits(False),
               split('[0-9][0-9][0-9]')],
    'roberta': [mapped(True)],
}


def rules():
    """A normaliser's rules, some of those that are usual: all of them take 240 kB."""
    pairs = [(chr(0xff01 + i), chr(0x21 + i)) for i in range(94)] + [('ﬁ', 'fi'), ('①', '1'), ('½', '1/2'), ('e\u0301', 'é')]
    pairs += [(c, ' ') for c in '\t\n\r\u00a0\u2003\u3000'] + [('\u200d', '')]
    path = tempfile.mkstemp()[1]
    with open(path, 'w') as f:
        f.writelines('%s\t%s\n' % tuple(' '.join('%X' % ord(c) for c in x) for x in p) for p in pairs)
    return path


class Maker:
    def __init__(self, novel):
        self.lines = novel[:60000].split('\n') + MANY * 3
        self.texts = texts(novel)
        json.dump(self.texts, open(HERE + '/texts.json', 'w'), ensure_ascii=True, indent=0)

    def folder(self, name, n, ids, files, config=LLAMA):
        """ids: of a text, with what stands around it. files: JSON, or bytes."""
        path = os.path.join(HERE, name)
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        for file, what in dict(files, **{'config.json': config}).items():
            with open(os.path.join(path, file), 'wb') as f:
                f.write(what if isinstance(what, bytes) else json.dumps(what, ensure_ascii=False).encode())
        with open(os.path.join(path, 'ids.json'), 'w') as f:
            json.dump({'tokens': n, 'ids': [ids(t) for t in self.texts]}, f, separators=(',', ':'))

    def fast(self, name, t, files=(), config=LLAMA):
        """A tokenizer of the package tokenizers."""
        self.folder(name, t.get_vocab_size(), lambda x: t.encode(x).ids, dict(files, **{'tokenizer.json': json.loads(t.to_str())}),
                    config)

    def bytes_bpe(self, steps, special=('<|b|>', '<|e|>'), whole=False):
        t = Tokenizer(models.BPE(ignore_merges=whole))
        t.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
        t.decoder = decoders.ByteLevel()
        t.train_from_iterator(self.lines, trainers.BpeTrainer(vocab_size=SIZE, special_tokens=list(special), show_progress=False,
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
        return t

    def all_bytes(self):
        for name, steps in BYTES.items():
            t = self.bytes_bpe(steps, ('<s>', '</s>') if name == 'roberta' else ('<|b|>', '<|e|>'), name == 'llama3')
            if name == 'llama3':  # as it is published
                t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
                    single='<|b|> $A', special_tokens=[('<|b|>', 0)])])
            if name == 'qwen2':  # as for embeddings
                t.post_processor = processors.TemplateProcessing(single='$A <|e|>', special_tokens=[('<|e|>', 1)])
            if name == 'roberta':
                t.add_special_tokens([AddedToken('<m>', lstrip=True), AddedToken('<|r|>', rstrip=True)])
                t.post_processor = processors.RobertaProcessing(('</s>', 1), ('<s>', 0), add_prefix_space=False)
            self.fast('bytes-' + name, t, {'tokenizer_config.json': {'eos_token': '<|b|>'}} if name == 'qwen2' else {})

    def piece(self, name, file, around=((), ()), config=LLAMA, files=(), **how):
        """A model of SentencePiece."""
        b = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter([x for x in self.lines if x.strip()]), model_writer=b,
                                                 minloglevel=2, hard_vocab_limit=False, **dict(
                                                     {'vocab_size': SIZE, 'num_threads': 1, 'character_coverage': 0.98}, **how))
        b = b.getvalue()
        sp = sentencepiece.SentencePieceProcessor(model_proto=b)
        if name:
            self.folder(name, sp.get_piece_size(), lambda x: list(around[0]) + sp.encode(x) + list(around[1]),
                        dict(files, **{file: b}), config)
        return sp, protobuf.ModelProto.FromString(b)

    def all_pieces(self):
        plain = {'model_type': 'bpe', 'byte_fallback': True, 'normalization_rule_name': 'identity',
                 'remove_extra_whitespaces': False, 'vocab_size': 640}
        sp, m = self.piece('piece-bpe', 'tokenizer.model', ((1,), ()), user_defined_symbols=['<|u|>'], split_digits=True, **plain)
        self.piece('piece-unigram', 'tokenizer.model', ((1,), ()), **dict(plain, model_type='unigram'))
        self.piece('piece-bpe-bare', 'tokenizer.model', files={'tokenizer_config.json': {'add_bos_token': False}},
                   add_dummy_prefix=False, **plain)
        self.llama_json(m)
        sp, m = self.piece('piece-t5', 'spiece.model', ((), (1,)), pad_id=0, eos_id=1, unk_id=2, bos_id=-1, config=BERT,
                           normalization_rule_tsv=rules())
        t = Tokenizer(models.Unigram([(p.piece, p.score) for p in m.pieces], unk_id=2))
        t.normalizer = normalizers.Sequence([normalizers.Precompiled(m.normalizer_spec.precompiled_charsmap),
                                             normalizers.Strip(True, True), normalizers.Replace(Regex(' {2,}'), ' ')])
        t.pre_tokenizer = pre_tokenizers.Metaspace()
        t.add_special_tokens(['<pad>', '</s>', '<unk>'])
        t.post_processor = processors.TemplateProcessing(single='$A </s>', special_tokens=[('</s>', 1)])
        # The package normalises characters with their accents as one, SentencePiece does not.
        self.folder('json-unigram', len(m.pieces), lambda x: sp.encode(x) + [1], {'tokenizer.json': json.loads(t.to_str())}, BERT)
        sp, m = self.piece(None, None, normalization_rule_tsv=rules())
        b = m.SerializeToString()
        self.folder('piece-xlmr', len(m.pieces) + 2, lambda x: [0] + [i + 1 if i else 3 for i in sp.encode(x)] + [2],
                    {'sentencepiece.bpe.model': b}, BERT)

    def llama_json(self, m):
        """The same as tokenizer.json, with all ways to join two pieces as merges."""
        at = {p.piece: (-p.score, i) for i, p in enumerate(m.pieces) if p.type == 1}
        merges = sorted((at[w][0], at[w[:i]][1], w[:i], w[i:]) for w in at for i in range(1, len(w)) if w[:i] in at and w[i:] in at)
        t = Tokenizer(models.BPE({p.piece: i for i, p in enumerate(m.pieces)}, [x[2:] for x in merges], unk_token='<unk>',
                                 fuse_unk=True, byte_fallback=True))
        t.normalizer = normalizers.Sequence([normalizers.Prepend('\u2581'), normalizers.Replace(' ', '\u2581')])
        t.decoder = decoders.Sequence([decoders.Replace('\u2581', ' '), decoders.ByteFallback(), decoders.Fuse()])
        t.add_special_tokens(['<unk>', '<s>', '</s>'])
        t.post_processor = processors.TemplateProcessing(single='<s> $A', special_tokens=[('<s>', 1)])
        self.fast('json-llama', t)

    def all_words(self):
        for name, lower in (('uncased', True), ('cased', False)):
            t = Tokenizer(models.WordPiece(unk_token='[UNK]', max_input_chars_per_word=100))
            t.normalizer = normalizers.BertNormalizer(lowercase=lower)
            t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            t.train_from_iterator(self.lines, trainers.WordPieceTrainer(
                vocab_size=SIZE, special_tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'], show_progress=False))
            if lower:
                t.post_processor = processors.BertProcessing(('[SEP]', 3), ('[CLS]', 2))
            else:
                t.post_processor = processors.TemplateProcessing(single='[CLS] $A [SEP]', special_tokens=[('[CLS]', 2), ('[SEP]', 3)])
            self.fast('words-' + name, t, config=BERT)

    def ranks(self, x):
        """Bytes by rank, as tiktoken has them."""
        alphabet, n = {}, 0
        for i in range(256):
            plain = 33 <= i <= 126 or 161 <= i <= 172 or i >= 174
            alphabet[chr(i if plain else 256 + n)] = i
            n += not plain
        vocab = self.bytes_bpe([split(x), mapped()], ()).get_vocab()
        return {bytes(alphabet[c] for c in w): i for w, i in vocab.items()}

    def all_ranks(self):
        deepseek = {'architectures': ['DeepseekV3ForCausalLM'], 'kv_lora_rank': 4, 'q_lora_rank': 4, 'qk_nope_head_dim': 4,
                    'qk_rope_head_dim': 4, 'v_head_dim': 4, 'n_routed_experts': 2, 'num_experts_per_tok': 1,
                    'moe_intermediate_size': 4, 'first_k_dense_replace': 1, 'n_shared_experts': 1, 'rope_theta': 10000}
        for name, x, file, config in (('llama3', LLAMA3, 'tokenizer.model', LLAMA), ('kimi', KIMI, 'tiktoken.model', deepseek),
                                      ('qwen', QWEN2, 'qwen.tiktoken', {'architectures': ['Qwen2ForCausalLM']})):
            r = self.ranks(x)
            n = len(r)
            e = tiktoken.Encoding(name, pat_str=x, mergeable_ranks=r, special_tokens={})
            lines = b''.join(base64.b64encode(b) + b' %d\n' % i for b, i in sorted(r.items(), key=lambda p: p[1]))
            about = {'bos_token': '<|b|>', 'eos_token': '<|e|>', 'add_bos_token': True, 'added_tokens_decoder': {
                str(n + i): {'content': w, 'special': True} for i, w in enumerate(('<|b|>', '<|e|>'))}}
            self.folder('ranks-' + name, n + 2, lambda t: [n] + e.encode_ordinary(t),
                        {file: lines, 'tokenizer_config.json': about}, config)
        r = self.ranks(TEKKEN)
        e = tiktoken.Encoding('tekken', pat_str=TEKKEN, mergeable_ranks=r, special_tokens={})
        special = ['<unk>', '<s>', '</s>', '[INST]', '[/INST]']
        t = {'config': {'pattern': TEKKEN, 'num_vocab_tokens': len(r), 'default_vocab_size': len(r) + 8, 'version': 'v7',
                        'default_num_special_tokens': 8},
             'special_tokens': [{'rank': i, 'token_str': w, 'is_control': True} for i, w in enumerate(special)],
             'vocab': [{'rank': i, 'token_bytes': base64.b64encode(b).decode(), 'token_str': b.decode('utf-8', 'replace')}
                       for b, i in sorted(r.items(), key=lambda p: p[1])]}
        self.folder('ranks-tekken', len(r) + 8, lambda t: [1] + [i + 8 for i in e.encode_ordinary(t)], {'tekken.json': t},
                    {'architectures': ['MistralForCausalLM']})


if __name__ == '__main__':
    maker = Maker(open(sys.argv[1], encoding='utf-8').read())
    for part in ('bytes', 'pieces', 'words', 'ranks'):
        getattr(maker, 'all_' + part)()

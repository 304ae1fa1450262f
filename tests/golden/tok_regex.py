"""Scanners of pre-tokenizers against the published expressions, run by PyPI's regex.

    tests/golden/tok_regex.py [-n COUNT] [-s SEED] [-w FILE]

By hand: no test needs that package. -w writes cases for tests/unit/text/test_pre_cases.c."""
import argparse
import json
import os
import struct
import subprocess
import sys

import regex

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from tok_random import AID, texts  # noqa: E402

CON = r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CON + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + REST
QWEN2 = CON + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + REST
QWEN35 = CON + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
UP, LOW = r'\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}', r'\p{Ll}\p{Lm}\p{Lo}\p{M}'


def cased(con, num, up='[%s]' % UP, low='[%s]' % LOW, rest=REST.replace(r'[\r\n]*|', r'[\r\n/]*|')):
    pre = r'[^\r\n\p{L}\p{N}]?'
    return pre + up + '*' + low + '+' + con + '|' + pre + up + '+' + low + '*' + con + '|' + num + '|' + rest


KIMI = r'\p{Han}+|' + cased(CON + '?', r'\p{N}{1,3}', r'[[%s]--\p{Han}]' % UP, r'[[%s]--\p{Han}]' % LOW, REST)
PUN = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]"""
DSV3 = [r'\p{N}{1,3}', '[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+',
        PUN + r'[A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+']
CJK = '[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+'
EXPRESSIONS = {
    'gpt-2': [GPT2], 'llama-bpe': [LLAMA3], 'qwen2': [QWEN2], 'qwen35': [QWEN35],
    'gpt-4o': [cased(CON + '?', r'\p{N}{1,3}')], 'minimax-m2': [cased(CON + '?', r'\p{N}{1,3}')],
    'tekken': [cased('', r'\p{N}')], 'kimi-k2': [KIMI],
    'deepseek-v3': DSV3, 'starcoder': [r'\p{N}', GPT2],
    'deepseek-llm': [r'[\r\n]', r'\s?[\p{Lu}\p{Ll}\p{Lt}]+',
                     '\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+', r'\s+$', CJK, r'\p{N}+'],
    'deepseek-coder': [r'[\r\n]', r'\s?\p{L}+', r'\s?\p{P}+', CJK, r'\p{N}'],
    'falcon': [r'[\p{P}$+<=>^~|`]+', GPT2, '[0-9][0-9][0-9]'],
    'default': [r'[\p{P}$+<=>^~|]+', GPT2, r'\p{N}+', '[0-9][0-9][0-9]'],
    'seed-coder': [CON + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+'],
    'minicpm5': [r'\p{N}{1,3}', CON + r'|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+|' + REST],
    'laguna': [r'[^\n]+|[\n]+', QWEN2],
}


def split(expressions, text):
    parts = [text]
    for x in expressions:
        more = []
        for p in parts:
            at = 0
            for m in x.finditer(p):
                if m.start() > at:
                    more.append(p[at:m.start()])
                more.append(m.group())
                at = m.end()
            if at < len(p):
                more.append(p[at:])
        parts = [p for p in more if p]
    return [len(p.encode()) for p in parts]


def scan(pre, cases):
    data = b''.join(struct.pack('<II', 0, len(c.encode())) + c.encode() for c in cases)
    p = subprocess.run([AID, 'pre:' + pre], input=data, capture_output=True, check=True)
    return [[int(x) for x in line.split()] for line in p.stdout.decode().split('\n')[:-1]]


def main():
    a = argparse.ArgumentParser()
    a.add_argument('-n', type=int, default=2000)
    a.add_argument('-s', type=int, default=1)
    a.add_argument('-w')
    a = a.parse_args()
    cases, kept, bad = texts(a.n, a.s, []), [], 0
    for pre, expressions in EXPRESSIONS.items():
        compiled = [regex.compile(x, regex.V1) for x in expressions]
        want = [split(compiled, c) for c in cases]
        wrong = [(c, w, g) for c, w, g in zip(cases, want, scan(pre, cases)) if w != g]
        bad += bool(wrong)
        print('%sok - %s, %d texts, %d differ' % ('not ' if wrong else '', pre, len(cases), len(wrong)))
        for c, w, g in wrong[:2]:
            print('# %r: %s, not %s' % (c, g, w))
        kept += [{'pre': pre, 'text': c, 'words': w} for c, w in list(zip(cases, want))[:20]]
    if a.w:
        with open(a.w, 'w') as f:
            f.write('[\n' + ',\n'.join(json.dumps(k, separators=(',', ':')) for k in kept) + '\n]\n')
    sys.exit(bad > 0)


main()

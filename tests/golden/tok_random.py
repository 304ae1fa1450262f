"""Random Unicode texts: our ids against those of the reference tokenizer of ../shared.

    tests/golden/tok_random.py [-n COUNT] [-s SEED] [VOCABULARY ...]

Each vocabulary encodes COUNT texts, plain and with special tokens."""
import argparse
import glob
import os
import random
import struct
import subprocess
import sys
import unicodedata

REF = '../shared/ref/models_ref'
AID = os.path.join(os.path.dirname(os.environ.get('HEARTH', 'build/release/hearth')), 'tests/golden/tok_ids')
SMALL = ('gemma4', 'qwen35', 'unigram', 'unigram-spaces')  # the reference has no Kimi
ADD_SPECIAL, PARSE_SPECIAL = 1, 2

# Characters that both have in their tables; the separators of files and groups are white space
# for Python only.
ALL = [chr(c) for c in range(0x110000)
       if unicodedata.category(chr(c)) not in ('Cn', 'Cs', 'Co') and not 0x1c <= c <= 0x1f]
WORDS = ("the The THE don't I'LL we've it'S hello HelloWorld camelCase 1234 12 7 3.14 1,000 x2 straße ĲSSEL ǅ "
         "naïve e\u0301 привет Мир日本語 カタカナ ひらがな 한국어 中文字符 العربية עברית हिन्दी ไทย 👩\u200d👩\u200d👧 🇫🇷 👍🏽 \ufe0f "
         "½ ² Ⅷ ٣٤ ``` == -> ### /path/to https://a.b/c?d=e \\n {\"a\":[1]} __init__ ~^|$+<=>` 。、！").split(' ')
GAPS = [' ', ' ', ' ', ' ', '  ', '   ', '\n', '\n\n', '\r\n', '\t', '\u00a0', '\u3000', '\u2028', '\x0b', '\x85', '', '']


def texts(n, seed, special):
    r = random.Random(seed)
    out = []
    for _ in range(n):
        s = ''
        for _ in range(r.randint(1, 10)):
            kind = r.random()
            if kind < .45:
                s += r.choice(WORDS)
            elif kind < .70:
                s += ''.join(r.choice(ALL) for _ in range(r.randint(1, 4)))
            elif kind < .80:
                s += ''.join(chr(r.randint(32, 126)) for _ in range(r.randint(1, 6)))
            elif kind < .88:
                s += r.choice(ALL + ['a', ' ', '\n', '0', '!'] * 20000) * r.randint(2, 9)
            elif kind < .94 and special:
                s += r.choice(special)
            s += r.choice(GAPS)
        out.append(s)
    return out


def ours(path, work):
    data = b''.join(struct.pack('<II', flags, len(b)) + b for flags, b in work)
    p = subprocess.run([AID, path], input=data, capture_output=True)
    if p.returncode:
        sys.exit(p.stderr.decode())
    return [[int(x) for x in line.split()] for line in p.stdout.decode().split('\n')[:-1]]


def compare(path, n, seed):
    import tok
    tok.struct = struct
    t = tok.Tok(path)
    plain = texts(n, seed, [t.tok[i] for i in t.special][:500])
    cases = [(s, f) for s in plain for f in (0, ADD_SPECIAL | PARSE_SPECIAL)]
    got = ours(path, [(f, s.encode()) for s, f in cases])
    for (s, f), ids in zip(cases, got):
        want = t.encode(s, special=bool(f & ADD_SPECIAL), ps=bool(f & PARSE_SPECIAL))
        if ids != want:
            return '%r, flags %d: %s, not %s' % (s, f, ids, want)
    return '' if len(got) == len(cases) else 'ids of %d texts of %d' % (len(got), len(cases))


def main():
    a = argparse.ArgumentParser()
    a.add_argument('-n', type=int, default=200)
    a.add_argument('-s', type=int, default=1)
    a.add_argument('vocabularies', nargs='*')
    a = a.parse_args()
    files = a.vocabularies or sorted(glob.glob('../shared/vocab/*.gguf')) + ['tests/data/tok/%s.gguf' % x for x in SMALL]
    if not os.path.exists(REF + '/tok.py'):
        print('1..0 # SKIP no %s/tok.py' % REF)
        return
    sys.path.insert(0, REF)
    bad = 0
    for i, path in enumerate(files):
        why = compare(path, a.n, a.s)
        bad += bool(why)
        print('%sok %d - %d random texts of %s' % ('not ' if why else '', i + 1, a.n, os.path.basename(path)))
        if why:
            print('# ' + why.replace('\n', '\\n'))
        sys.stdout.flush()
    print('1..%d' % len(files))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()

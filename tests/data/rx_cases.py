#!/usr/bin/env python3
"""Random patterns and texts, and whether they match by Python's regex module (PyPI), as JSON:

    rx_cases.py SEED COUNT >cases.json
    RX_CASES=cases.json build/release/tests/unit/text/gram/test_rx_cases

The small file beside this was made so: rx_cases.py 7 150.
"""
import json
import random
import sys

import regex

rnd = random.Random(int(sys.argv[1]))
ATOM = ["a", "b", "c", "ab", ".", "[ab]", "[^a]", "[^ab]", "\\d", "\\w", "\\s", "\\S", "\\W", "\\D",
        "é", "\\u00e9", "[a-c]", "[\\w-]", "\\n", "\\p{L}", "\\P{Lu}", "[^\\s]", "-", "1", " "]
TIMES = ["*", "+", "?", "{2}", "{1,2}", "{0,3}", "{2,}", "*?", "+?", "{1,3}?", "{0}"]
LETTERS = "aaabbbc1 -é\nA\u2028\u0661_"
SPACE = "\\t\\n\\v\\f\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff"
# What means something else to Python, outside of classes and in them.
OUTSIDE = {"\\d": "[0-9]", "\\D": "[^0-9]", "\\w": "[A-Za-z0-9_]", "\\W": "[^A-Za-z0-9_]",
           "\\s": f"[{SPACE}]", "\\S": f"[^{SPACE}]",
           ".": "[^\\n\\r\\u2028\\u2029]", "^": "\\A", "$": "\\Z"}
INSIDE = {"\\w": "A-Za-z0-9_", "\\s": SPACE, "\\d": "0-9"}


def make(depth, anchors):
    k = rnd.random()
    if depth == 0 or k < 0.25:
        return rnd.choice(ATOM)
    if anchors and k < 0.35:
        return rnd.choice("^$")
    if k < 0.55:
        return "".join(make(depth - 1, anchors) for _ in range(rnd.randint(1, 4)))
    if k < 0.72:
        ways = [make(depth - 1, anchors) if rnd.random() < 0.92 else ""
                for _ in range(rnd.randint(1, 4))]
        return rnd.choice(["(", "(?:"]) + "|".join(ways) + ")"
    return "(?:" + make(depth - 1, anchors) + ")" + rnd.choice(TIMES)


def for_python(pattern):
    out, i, in_class = "", 0, False
    while i < len(pattern):
        c = pattern[i:i + 2] if pattern[i] == "\\" else pattern[i]
        i += len(c)
        if c in "[]":
            in_class = c == "["
        out += (INSIDE if in_class else OUTSIDE).get(c, c)
    return out


def text():
    letters = LETTERS[:6] if rnd.random() < 0.5 else LETTERS
    return "".join(rnd.choice(letters) for _ in range(rnd.randint(0, 9)))


cases = []
while len(cases) < int(sys.argv[2]):
    pattern, search = make(rnd.randint(1, 4), rnd.random() < 0.5), rnd.randint(0, 1)
    if len(pattern) > 80:
        continue
    case = {"pattern": pattern, "search": search, "yes": [], "no": []}
    compiled = regex.compile(for_python(pattern), regex.V0)
    try:
        for t in sorted({text() for _ in range(12)}):
            look = compiled.search if search else compiled.fullmatch
            case["yes" if look(t, timeout=1) else "no"].append(t)
    except TimeoutError:
        continue
    cases.append(case)
print("[")
print(",\n".join(json.dumps(c) for c in cases))
print("]")

#!/usr/bin/env python3
"""Another opinion on JSON Schema, by hand: `jsonschema` of PyPI beside hearth's grammars.

    tests/golden/schema_peer.py data            tests/data/schema: values, and texts by chance
    tests/golden/schema_peer.py random [N]      N schemas and values by chance (default 2000)
    tests/golden/schema_peer.py suite DIR...    files of the JSON-Schema-Test-Suite

Needs `pip install jsonschema`, and build/release/tests/golden/schema_check (`make unit`).
A value that hearth accepts and the other does not is printed as WRONG and fails; one that
hearth does not accept, as missed; schemas that hearth refuses are counted."""
import collections
import decimal
import glob
import json
import os
import random
import subprocess
import sys

from jsonschema import Draft7Validator, Draft202012Validator

CHECK = os.environ.get("SCHEMA_CHECK", "build/release/tests/golden/schema_check")


class Hearth:
    def __init__(self):
        self.p = None

    def ask(self, schema, texts, generate=0, seed=1):
        if self.p is None:
            self.p = subprocess.Popen([CHECK], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True)
        question = {"schema": schema, "texts": texts, "generate": generate, "seed": seed}
        self.p.stdin.write(json.dumps(question) + "\n")
        self.p.stdin.flush()
        line = self.p.stdout.readline()
        if not line:
            sys.exit(f"it died of {json.dumps(schema)}")
        return json.loads(line)


decimal.getcontext().prec = 1000


def exact(v):
    """Numbers as decimals, so that 0.07 is a multiple of 0.01."""
    if isinstance(v, float):
        return int(v) if v == int(v) else decimal.Decimal(repr(v))
    if isinstance(v, dict):
        return {k: exact(x) for k, x in v.items()}
    return [exact(x) for x in v] if isinstance(v, list) else v


def peer(schema, value):
    old = isinstance(schema, dict) and "draft-07" in str(schema.get("$schema", ""))
    return (Draft7Validator if old else Draft202012Validator)(exact(schema)).is_valid(exact(value))


class Count(collections.Counter):
    def verdict(self, schema, text, accepted, valid):
        if accepted is valid:
            self["right"] += 1
        elif accepted is True:
            self["WRONG"] += 1
            print("WRONG", json.dumps(schema), text)
        else:
            self["missed"] += 1
            print("missed", json.dumps(schema), text, accepted)

    def generated(self, schema, answer, judge=True):
        for key in ("stuck", "write_error"):
            if key in answer:
                self["STUCK"] += 1
                print(key, json.dumps(schema), answer[key][-200:])
        for text in answer["generated"]:
            if text is None:
                self["endless"] += 1
                continue
            value = json.loads(text, parse_float=lambda t: exact(float(t)))
            if judge and not peer(schema, value):
                self["WRONG"] += 1
                print("WRONG generated", json.dumps(schema), text)
            else:
                self["generated"] += 1


def run_data(h, count, rounds=1000):
    for path in sorted(glob.glob("tests/data/schema/*.json")):
        for i, c in enumerate(json.load(open(path))):
            if "refused" in c:
                continue
            values = [(v, True) for v in c.get("valid", [])]
            values += [(v, False) for v in c.get("invalid", [])]
            huge = any(c["schema"].get(k, 0) > 10000 for k in ("minLength", "minItems")
                       ) if isinstance(c["schema"], dict) else False
            answer = h.ask(c["schema"], [json.dumps(v) for v, _ in values],
                           0 if huge else rounds, i + 1)
            judge = not any(w in json.dumps(c["schema"]) for w in ("\\\\p", "\"format\""))
            for (v, want), accepted in zip(values, answer["accepts"]):
                count.verdict(c["schema"], json.dumps(v), accepted, want)
            count.generated(c["schema"], answer, judge)


# -- by chance ---------------------------------------------------------------------------

KEYS = ["a", "b", "c", "ab"]


def any_value(r, depth=2):
    kind = r.randrange(10 if depth else 7)
    if kind < 7:
        return [None, True, False, r.randrange(-3, 8), r.choice([0.5, 1.5, -2.5, 1.0, 3.0]),
                r.choice(["", "a", "ab", "b", "xyz"]), r.choice(["a", 1])][kind]
    if kind < 8:
        return [any_value(r, depth - 1) for _ in range(r.randrange(4))]
    return {k: any_value(r, depth - 1) for k in r.sample(KEYS, r.randrange(4))}


def any_schema(r, depth=3):
    if depth == 0 or r.random() < 0.08:
        return r.choice([True, True, False, {}, {"type": "integer"}, {"type": "string"},
                         {"const": any_value(r, 1)}])
    sub = lambda: any_schema(r, depth - 1)
    subs = lambda: [sub() for _ in range(r.randrange(1, 4))]
    keys = lambda: r.sample(KEYS, r.randrange(1, 3))
    maker = {
        "type": lambda: r.choice(["object", "array", "integer", "number", "string",
                                  ["object", "null"], ["string", "array", "integer"]]),
        "enum": lambda: [any_value(r) for _ in range(r.randrange(1, 5))],
        "const": lambda: any_value(r),
        "minimum": lambda: r.randrange(-3, 4), "maximum": lambda: r.randrange(0, 8),
        "exclusiveMinimum": lambda: r.choice([-1, 0.5, 2]),
        "multipleOf": lambda: r.choice([1, 2, 0.5, 3]),
        "minLength": lambda: r.randrange(3), "maxLength": lambda: r.randrange(3),
        "pattern": lambda: r.choice(["^a", "b$", "x|y", "^[a-c]*$"]),
        "items": sub, "prefixItems": subs, "minItems": lambda: r.randrange(3),
        "maxItems": lambda: r.randrange(4), "contains": sub,
        "properties": lambda: {k: sub() for k in keys()}, "required": keys,
        "additionalProperties": sub,
        "patternProperties": lambda: {r.choice(["^a", "b$", "c"]): sub()},
        "propertyNames": sub, "minProperties": lambda: r.randrange(3),
        "maxProperties": lambda: r.randrange(4),
        "dependentRequired": lambda: {r.choice(KEYS): keys()},
        "dependentSchemas": lambda: {r.choice(KEYS): sub()},
        "allOf": subs, "anyOf": subs, "oneOf": subs, "not": sub, "if": sub, "then": sub,
        "else": sub, "unevaluatedProperties": sub, "unevaluatedItems": sub,
    }
    chosen = r.sample(sorted(maker), r.choice([1, 2, 2, 3, 3, 4, 5]))
    schema = {k: maker[k]() for k in chosen}
    if "contains" in schema and r.random() < 0.5:
        schema[r.choice(["minContains", "maxContains"])] = r.randrange(3)
    return schema


def run_random(h, count, n):
    for seed in range(n):
        r = random.Random(seed)
        schema = any_schema(r)
        values = [any_value(r, 3) for _ in range(60)]
        answer = h.ask(schema, [json.dumps(v) for v in values], 10, seed)
        if "error" in answer:
            nothing = "nothing can be valid" in answer["message"]
            count["nothing" if nothing else answer["error"]] += 1
            for v in values if nothing else []:
                count.verdict(schema, json.dumps(v), False, peer(schema, v))
            continue
        for v, accepted in zip(values, answer["accepts"]):
            count.verdict(schema, json.dumps(v), accepted, peer(schema, v))
        count.generated(schema, answer)


def run_suite(h, count, paths):
    for path in paths:
        for group in json.load(open(path)):
            texts = [json.dumps(t["data"]) for t in group["tests"]]
            answer = h.ask(group["schema"], texts)
            if "error" in answer:
                count["refused"] += len(texts)
                print("refused", len(texts), os.path.basename(path), group["description"],
                      answer["message"], sep=": ")
                continue
            for t, text, accepted in zip(group["tests"], texts, answer["accepts"]):
                count.verdict(group["schema"], text, accepted, t["valid"])


def main():
    h, count = Hearth(), Count()
    what = sys.argv[1] if len(sys.argv) > 1 else ""
    if what == "data":
        run_data(h, count)
    elif what == "random":
        run_random(h, count, int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
    elif what == "suite":
        run_suite(h, count, sys.argv[2:])
    else:
        sys.exit(__doc__)
    print(dict(count))
    return 1 if count["WRONG"] or count["STUCK"] else 0


sys.exit(main())

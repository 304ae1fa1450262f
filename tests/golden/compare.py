"""Compares `hearth debug` with expected results, as TAP.

    compare.py HEARTH DIR WORK

DIR has NAME.gguf, NAME.json (the ids and what is asked) and NAME.f32 (what is expected).
"""
import array
import glob
import json
import os
import subprocess
import sys

hearth, folder, work = sys.argv[1:4]
# Errors are sums of squares of the difference over those of what is expected.
LIMIT, TIER_LIMIT = 1e-6, 1e-5
# GELU from a table of half precision, as the golden vectors have it (gemma3n.c says why).
TABLE = {"gemma3n": 3e-5}


def floats(path):
    with open(path, "rb") as f:
        a = array.array("f")
        a.frombytes(f.read())
    return a


def error(got, want):
    if len(got) != len(want):
        return float("inf")
    diff = sum((a - b) ** 2 for a, b in zip(got, want))
    return diff / sum(b * b for b in want)


def command(name, case, out):
    mode = case["mode"]
    cmd = [hearth, "debug", "logits" if mode == "logits" else "embd",
           f"{folder}/{name}.gguf", "--kv", "f32", "--threads", "2", "--out", out,
           "--ids", ",".join(map(str, case["tokens"]))]
    if case.get("pos0"):
        cmd += ["--pos", str(case["pos0"])]
    if case.get("n_ctx"):
        cmd += ["--num-ctx", str(case["n_ctx"])]
    if "lora_scale" in case:
        cmd += ["--lora", f"{folder}/{name}.lora.gguf", "--lora-scale", str(case["lora_scale"])]
    if mode == "embd":
        cmd += ["--each"]
    if case.get("input", "").startswith("mtp"):
        cmd += ["--nextn", f"{folder}/{name}.embd"]
    return cmd


def run(cmd):
    p = subprocess.run(cmd, capture_output=True, text=True)
    return p.stderr.strip() or f"status {p.returncode}" if p.returncode else None


def check(name, case):
    """The lines to show when it fails; none when all is well."""
    out, bad = f"{work}/all.f32", []
    want = floats(f"{folder}/{name}.f32")
    for tier in ["--cpu", "ref"], []:
        why = run(command(name, case, out) + tier)
        if why:
            return [why]
        limit = TABLE.get(name, LIMIT if tier else TIER_LIMIT)
        e = error(floats(out), want)
        if not e < limit:
            bad.append(f"{tier[1] if tier else 'best tier'}: error {e:.3g}, limit {limit:g}")
        if case["mode"] != "logits" or "--nextn" in command(name, case, out):
            continue
        with open(out, "rb") as f:
            whole = f.read()
        for piece in "7", "1":
            why = run(command(name, case, out) + tier + ["--chunk", piece])
            with open(out, "rb") as f:
                if why or f.read() != whole:
                    bad.append(f"{tier}: other bits in pieces of {piece} {why or ''}")
    return bad


names = sorted(os.path.basename(f)[:-5] for f in glob.glob(f"{folder}/*.json"))
print(f"1..{len(names)}")
failed = 0
for n, name in enumerate(names, 1):
    with open(f"{folder}/{name}.json") as f:
        case = json.load(f)
    if case.get("input", "").startswith("embeddings"):
        print(f"ok {n} - {name} # SKIP its input is of images, which are not supported")
        continue
    bad = check(name, case)
    failed += bool(bad)
    print(f"{'not ok' if bad else 'ok'} {n} - {name}")
    for line in bad:
        print(f"# {line}")
sys.exit(failed > 0)

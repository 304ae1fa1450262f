"""Checks a Grafana dashboard and Prometheus rules against the metrics listed on standard input.

    hearth debug list metrics | python3 tests/tools/dashboard.py DASHBOARD.json RULES.yml
"""
import json
import re
import sys

done = []


def test(name, bad):
    bad = sorted(set(bad))
    done.append(not bad)
    print("%s %d - %s" % ("not ok" if bad else "ok", len(done), name))
    for line in bad:
        print("# " + line)


def uses(expr):
    """Metrics of an expression: (name as written, name in the table, the function around it)."""
    for m in re.finditer(r"(\w+)?\(?\b((?:hearth|process)_[a-z_]+)", expr):
        name = m.group(2)
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        yield name, base if kinds.get(base) == "histogram" else name, m.group(1)


def faults(where, expr):
    for name, base, function in uses(expr):
        kind = kinds.get(base)
        if kind is None:
            yield "%s: there is no metric %s" % (where, name)
        elif kind == "histogram" and name == base:
            yield "%s: %s is a histogram; _bucket, _sum or _count is meant" % (where, name)
        elif (function in ("rate", "increase")) != (kind != "gauge"):
            yield "%s: %s is a %s, used in %s()" % (where, name, kind, function)
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", expr):
            if label not in labels:
                yield "%s: there is no label %s" % (where, label)
    for by in re.findall(r"\b(?:by|on) *\(([^)]*)\)", expr):
        for label in re.split(r", *", by):
            if label not in labels | {"instance", "job"}:
                yield "%s: there is no label %s" % (where, label)
    if expr.count("(") != expr.count(")") or expr.count("{") != expr.count("}"):
        yield "%s: brackets of %s" % (where, expr)


def overlaps(panels):
    taken = {}
    for p in panels:
        g = p["gridPos"]
        if g["x"] + g["w"] > 24:
            yield "%s: wider than the page" % p["title"]
        for cell in ((x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])):
            if cell in taken:
                yield "%s lies over %s" % (p["title"], taken[cell])
            taken[cell] = p["title"]


rows = [line.split() for line in sys.stdin][1:]
kinds = {row[0]: row[1] for row in rows}
labels = {"model", "route", "le"} | {row[2] for row in rows}
with open(sys.argv[1], encoding="utf-8") as f:
    board = json.load(f)
with open(sys.argv[2], encoding="utf-8") as f:
    rules = f.read()

test("metrics are listed", [] if len(kinds) > 20 else ["only %d" % len(kinds)])
test("a dashboard", ["%s is missing" % k for k in ("title", "uid", "schemaVersion", "templating", "panels") if not board.get(k)]
     + ([] if board.get("schemaVersion", 0) >= 36 else ["an old schema"]))
panels = board["panels"]
graphs = [p for p in panels if p["type"] != "row"]
test("panels with queries", ["%s has none" % p["title"] for p in graphs
                             if not p.get("targets") or not all(t.get("expr") and t.get("refId") for t in p["targets"])])
test("panels have numbers of their own", ["%d twice" % p["id"] for i, p in enumerate(panels) if p["id"] in [q["id"] for q in panels[:i]]])
test("panels have places of their own", overlaps(panels))
test("queries name what there is",
     [bad for p in graphs for t in p["targets"] for bad in faults(p["title"], t["expr"])]
     + [bad for v in board["templating"]["list"] if v["type"] == "query"
        for name, base, _ in uses(v["query"]) if base not in kinds for bad in ["$%s: no metric %s" % (v["name"], name)]])
shown = {base for p in graphs for t in p["targets"] for _, base, _ in uses(t["expr"])}
test("each metric is shown", ["%s is not" % k for k in kinds if k not in shown])
exprs = re.findall(r"^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)", rules, re.M)
test("alerts name what there is",
     [bad for many, one in exprs for bad in faults("rules", " ".join((many or one).split()))]
     + ([] if len(exprs) == rules.count("alert:") else ["an alert without an expression"]))
print("1..%d" % len(done))
sys.exit(0 if all(done) else 1)

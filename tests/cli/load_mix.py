#!/usr/bin/env python3
"""What a server says, and what it holds afterwards, when everything comes at once.

    load_mix.py MODEL [ROUNDS [CLIENTS]]     speaks TAP

Every job is a request that always has the same answer. Each is asked alone first; then clients ask
all of them in their own orders, some leave in the middle and some read slowly, while models come
and go, the settings and keys are read again, and others look on. Whoever stays must hear the same
as alone, and its stream must end as its protocol has it. In the end nothing is held, and when the
server is stopped in the middle of it all, each stream still ends well."""
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from abuse_faults import drop, until
from abuse_server import Server, finish, ok, read_all

SLOW = "san/" in os.environ["HEARTH"]     # a sanitizer
CLIENTS = int(sys.argv[3]) if len(sys.argv) > 3 else 5 if SLOW else 8
PROMPTS = ["Once upon a time", "The little dog", "One day, Lily", "Tim and Sam went to the park because"]
TALE = "Once upon a time there was a little girl named Lily who loved to play outside in the sun. " * 6
SCHEMA = {"type": "object", "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "maximum": 99}},
          "required": ["name", "age"], "additionalProperties": False}
TOOL = {"name": "look", "description": "looks", "parameters": {"type": "object", "properties": {"at": {"type": "string", "maxLength": 6}}, "required": ["at"]}}
TEMPLATE = """{{ range .Tools }}{{ . }} {{ end }}{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ range .ToolCalls }}<tool_call>
{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}
</tool_call>{{ end }} {{ end }}assistant:"""
SETTINGS = """listen:
  keys: {home}/keys
limits:
  drain_timeout: 200s
models:
  kv_memory: {kv}
  kv_disk: {home}/pages
  keep_alive: {keep}
model:
  tiny:
    pin: true
    parallel: 8
  other:
    lookup: 8
  guess:
    lookup: 8
  draft:
    draft: tiny
"""


# -- jobs -------------------------------------------------------------------------------------
class Job:
    def __init__(self, name, path, body, end=None, then=None):
        self.name, self.path, self.body = name, path, body
        self.end = end      # of a stream: a pattern at its end; None: one JSON value
        self.then = then    # the body of a second request, made of the first one's answer
        self.alone = None


def user(text):
    return [{"role": "user", "content": text}]


def both(name, path, body, end, on={"stream": True}, off={"stream": False}, **kw):
    return [Job(name, path, {**body, **off}, **kw), Job(name + ", a stream", path, {**body, **on}, end=end, **kw)]


SSE, ITEMS, BLOCKS = rb"data: \[DONE\]\n\n$", rb"event: response\.(completed|incomplete)\ndata: .*\n\n$", rb"event: message_stop\ndata: .*\n\n$"
LINES, LLAMA = rb'"done":true.*\}\n$', rb'"stop":true.*\}\n\n$'


def jobs_of(model):
    chat, n = "/v1/chat/completions", 24
    rnd = {"seed": 5, "temperature": 0.9}
    rows = both("chat", chat, {"model": model, "messages": user(PROMPTS[0]), "max_tokens": n, **rnd}, SSE)
    rows += both("long prompt", "/v1/completions", {"model": model, "prompt": TALE, "max_tokens": n, **rnd}, SSE)
    rows += both("ollama chat", "/api/chat", {"model": model, "messages": user(PROMPTS[1]), "options": {"num_predict": n, **rnd}}, LINES)
    rows += both("llama", "/completion", {"model": model, "prompt": PROMPTS[2], "n_predict": n, "n_probs": 2, **rnd}, LLAMA)
    return rows


def more_jobs():
    chat, n = "/v1/chat/completions", 24
    talk = {"model": "tiny", "messages": user(PROMPTS[3]), "max_tokens": n, "seed": 3}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    tools = [{"type": "function", "function": TOOL}]
    rows = both("four choices with logprobs", chat, {**talk, "n": 4, "logprobs": True, "top_logprobs": 3}, SSE)
    rows += both("a form", chat, {**talk, "response_format": form, "max_tokens": 40}, SSE)
    rows += both("forms", chat, {**talk, "response_format": form, "max_tokens": 40, "n": 3}, SSE)
    rows += both("a tool", chat, {**talk, "model": "other", "tools": tools, "tool_choice": "required", "max_tokens": 40}, SSE)
    rows += both("stop words", "/v1/completions", {"model": "tiny", "prompt": PROMPTS[0], "max_tokens": 60, "temperature": 0, "stop": [" day", "."]}, SSE)
    rows += both("prompts", "/v1/completions", {"model": "tiny", "prompt": PROMPTS, "max_tokens": 12, "n": 2, "seed": 9}, SSE)
    rows += both("a response", "/v1/responses", {"model": "tiny", "input": PROMPTS[0], "max_output_tokens": n, "seed": 4}, ITEMS)
    rows += both("a response in a form", "/v1/responses", {"model": "tiny", "input": PROMPTS[2], "max_output_tokens": 40, "seed": 7,
                 "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}}, ITEMS)
    rows += both("prompts in a form", "/completion", {"model": "tiny", "prompt": PROMPTS[:3], "n_predict": 30, "seed": 8, "json_schema": SCHEMA}, LLAMA)
    rows.append(Job("a response and the next", "/v1/responses", {"model": "tiny", "input": PROMPTS[1], "max_output_tokens": 12, "seed": 4},
                    then=lambda j: {"model": "tiny", "input": "And then?", "previous_response_id": j["id"], "max_output_tokens": 12, "seed": 6}))
    rows += both("messages", "/v1/messages", {"model": "tiny", "messages": user(PROMPTS[2]), "max_tokens": n, "temperature": 0}, BLOCKS)
    rows += both("generate", "/api/generate", {"model": "tiny", "prompt": PROMPTS[3], "raw": True, "options": {"num_predict": n, "temperature": 0}}, LINES)
    rows += both("a format", "/api/generate", {"model": "tiny", "prompt": "x", "format": SCHEMA, "options": {"num_predict": 40, "seed": 1}}, LINES)
    rows += both("a grammar", "/completion", {"model": "tiny", "prompt": "x", "n_predict": 30, "seed": 2, "grammar": 'root ::= ("a" | "b")+ " end"'}, LLAMA)
    rows += both("no cache", "/completion", {"model": "tiny", "prompt": TALE, "n_predict": n, "seed": 5, "cache_prompt": False}, LLAMA)
    rows.append(Job("vectors", "/v1/embeddings", {"model": "tiny", "input": PROMPTS * 6}))
    rows.append(Job("ollama vectors", "/api/embed", {"model": "other", "input": PROMPTS}))
    rows.append(Job("tokens", "/tokenize", {"model": "tiny", "content": TALE}))
    rows.append(Job("a template", "/apply-template", {"model": "tiny", "messages": user("x")}))
    rows.append(Job("show", "/api/show", {"model": "other"}))
    rows.append(Job("count", "/v1/messages/count_tokens", {"model": "tiny", "messages": user(TALE)}))
    return rows


# -- one request ------------------------------------------------------------------------------
CHANGES = re.compile(r"(^|_)(id|created|created_at|completed_at|duration|timings|usage|fingerprint|cached|slot|details|speed)$|^prompt_eval_count$")


def steady(value):
    """A JSON value without what differs from one time to the next: ids, times, what was cached."""
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if not CHANGES.search(k)}
    return [steady(v) for v in value] if isinstance(value, list) else value


def texts(body):
    """What a stream says, choice by choice."""
    said = {}
    for line in body.decode().splitlines():
        line = line.removeprefix("data: ")
        if not line.startswith("{"):
            continue
        j = json.loads(line)
        kind, at = j.get("type", ""), j.get("index", 0)
        text = ""
        if j.get("choices"):
            c = j["choices"][0]
            at, d = c["index"], c.get("delta", {})
            text = (d.get("content") or "") + "".join(t["function"].get("arguments") or "" for t in d.get("tool_calls", [])) + (c.get("text") or "")
        elif kind == "content_block_delta":
            text = j["delta"].get("text", "")
        elif kind == "response.output_text.delta":
            text = j["delta"]
        elif "done" in j:
            text = j["message"]["content"] if "message" in j else j.get("response", "")
        elif "stop" in j:
            text = j["content"]
        said[at] = said.get(at, "") + text
    return said


class Fault(Exception):
    pass


def head_of(path, body, key):
    body = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer {key}\r\n"
            f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def unchunk(raw):
    out = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        n = int(size, 16)
        out, raw = out + raw[:n], raw[n + 2:]
        if n == 0:
            return out if not raw else None
    return None


def result(job, raw):
    """What a whole answer says. Fails when it does not end as it should."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status = head[9:12]
    if status != b"200":
        raise Fault(f"{job.name}: {raw[:400]!r}")
    if b"ransfer-" in head:
        body = unchunk(body)
        if body is None:
            raise Fault(f"{job.name}: the body has no end: {raw[-200:]!r}")
    if not job.end:
        return steady(json.loads(body))
    if not re.search(job.end, body):
        raise Fault(f"{job.name}: the stream has no end: {body[-200:]!r}")
    return texts(body)


class Client:
    def __init__(self, server, key):
        self.server, self.key, self.kept = server, key, None

    def send(self, job, body=None, small=False):
        s = socket.socket()
        if small:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.settimeout(300)
        s.connect(("127.0.0.1", self.server.port))
        s.sendall(head_of(job.path, body or job.body, self.key))
        return s

    def whole(self, job, body=None):
        s = self.send(job, body)
        raw = read_all(s)
        s.close()
        return raw

    def again(self, job):
        """On a connection that is kept; anew when it was left alone for so long that the server closed it."""
        for last in (False, True):
            fresh, self.kept = not self.kept, self.kept or http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=300)
            try:
                self.kept.request("POST", job.path, json.dumps(job.body), {"Content-Type": "application/json", "Authorization": "Bearer " + self.key})
                r = self.kept.getresponse()
                body = r.read()
                break
            except (ConnectionError, http.client.RemoteDisconnected):
                self.close()
                if fresh or last:
                    raise
        if r.status != 200:
            raise Fault(f"{job.name}: {r.status} {body[:300]!r}")
        return steady(json.loads(body))

    def slow(self, job):
        s = self.send(job, small=True)
        raw = b""
        for _ in range(8):
            raw += s.recv(64)
            time.sleep(0.02)
        raw += read_all(s)
        s.close()
        return result(job, raw)

    def leave(self, job, rng):
        s = self.send(job)
        if rng.random() < 0.7:
            s.recv(rng.choice((1, 300, 2000)))
        drop(s) if rng.random() < 0.5 else s.close()

    def ask(self, job):
        raw = self.whole(job)
        said = result(job, raw)
        if job.then:
            said = result(job, self.whole(job, job.then(json.loads(raw.partition(b"\r\n\r\n")[2]))))
        return said

    def close(self):
        if self.kept:
            self.kept.close()
            self.kept = None


# -- all at once ------------------------------------------------------------------------------
class Load:
    def __init__(self, server, jobs, keys):
        self.server, self.jobs, self.keys = server, jobs, keys
        self.faults, self.count, self.over = [], {}, threading.Event()
        self.lock = threading.Lock()

    def note(self, what, fault=None):
        with self.lock:
            self.count[what] = self.count.get(what, 0) + 1
            if fault:
                self.faults.append(fault)

    def one(self, client, job, rng):
        way = rng.random()
        if way < 0.2:
            client.leave(job, rng)
            return self.note("left")
        if way < 0.3 and job.end:
            said = client.slow(job)
        elif way < 0.6 and not job.end and not job.then:
            said = client.again(job)
        else:
            said = client.ask(job)
        self.note("answered", None if said == job.alone else f"{job.name}: {said!r:.600} and alone {job.alone!r:.600}")

    def client(self, number, rounds):
        rng, client = random.Random(number), Client(self.server, self.keys["all"])
        for _ in range(rounds):
            for job in rng.sample(self.jobs, len(self.jobs)):
                try:
                    self.one(client, job, rng)
                except Exception as e:
                    self.note("failed", f"{type(e).__name__}: {e}"[:600])
        client.close()

    def until_over(self, what, pause):
        """Repeats something while the clients are busy."""
        try:
            while not self.over.wait(pause):
                what()
        except Exception as e:
            self.note("failed", f"{what.__name__}: {type(e).__name__}: {e}")

    def get(self, path, key, want=(200,)):
        c = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=300)
        c.request("GET", path, headers={"Authorization": "Bearer " + key, "Connection": "close"})
        r = c.getresponse()
        body = r.read()
        c.close()
        self.note(path, None if r.status in want else f"{path}: {r.status} {body[:200]!r}")
        return body

    def look(self):
        for path in ("/slots?model=tiny", "/api/ps", "/api/tags", "/v1/models", "/v1/models/other", "/props?model=other", "/api/version"):
            self.get(path, self.keys["all"])
        self.get("/health", self.keys["all"], (200, 503))     # where a machine was stopped for a minute
        self.get("/metrics", self.keys["metrics"])
        self.get("/metrics", self.keys["infer"], (403,))
        self.get("/api/tags", "hearth-wrong", (401,))

    def churn(self):
        """Models go while others ask for them."""
        c = Client(self.server, self.keys["all"])
        for name in ("other", "guess", "draft"):
            raw = c.whole(Job("unload", "/api/generate", {"model": name, "keep_alive": 0}))
            self.note("unloaded", None if raw[9:12] == b"200" else repr(raw[:300]))

    def reload(self):
        n = self.count.get("reloaded", 0)
        settings(self.server.home, keep=("1s", "0", "5m")[n % 3])
        if n % 2:
            hearth_key(self.server, "remove", "passing")
        else:
            hearth_key(self.server, "add", "passing")
        self.server.p.send_signal(signal.SIGHUP)
        self.note("reloaded")

    def run(self, rounds):
        clients = [threading.Thread(target=self.client, args=(i, rounds)) for i in range(CLIENTS)]
        others = [threading.Thread(target=self.until_over, args=x) for x in ((self.look, 0.05), (self.churn, 0.1), (self.reload, 0.3))]
        for t in clients + others:
            t.start()
        for t in clients:
            t.join()
        self.over.set()
        for t in others:
            t.join()


# -- the server -------------------------------------------------------------------------------
def settings(home, keep="5m"):
    with open(home + "/new.yaml", "w") as f:
        f.write(SETTINGS.format(home=home, kv="4MiB", keep=keep))
    os.rename(home + "/new.yaml", home + "/hearth.yaml")


def hearth_key(server, *words):
    return subprocess.run([server.hearth, "key", *words, "-f", server.home + "/keys"], env=server.env, check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().split()[-1:]


def serve(model, home):
    """A server whose models are one file under several names; and its keys."""
    made = Server.__new__(Server)
    made.hearth, made.home = os.environ["HEARTH"], home
    made.env = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "OLLAMA_"))}
    made.env["HEARTH_MODELS"] = home + "/models"
    for name in ("tiny", "other", "guess", "draft"):
        with open(home + "/Modelfile", "w") as f:
            f.write(f"FROM {os.path.realpath(model)}\n" + (f'TEMPLATE """{TEMPLATE}"""\n' if name == "other" else ""))
        subprocess.run([made.hearth, "create", name, "-f", f.name], env=made.env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    keys = {"all": hearth_key(made, "add", "all", "-s", "infer", "-s", "manage", "-s", "metrics")[0]}
    for scope in ("infer", "metrics"):
        keys[scope] = hearth_key(made, "add", scope, "-s", scope)[0]
    settings(home)
    return Server(model, "-c", home + "/hearth.yaml", home=home), keys


HELD = ("hearth_requests_running", "hearth_requests_waiting", "hearth_kv_pages_used")


def gauges(load):
    text = load.get("/metrics", load.keys["metrics"]).decode()
    found = {m[1]: float(m[2]) for m in re.finditer(r"^([^#\s]\S*) (\S+)$", text, re.M) if m[1].split("{")[0] in HELD}
    return found or {"no gauges": 1}


def settle(load, before=None):
    """Nobody asks any more: what is held once it stands still, or is no more than before."""
    load.churn()
    loaded = lambda: [m["model"] for m in json.loads(load.get("/api/ps", load.keys["all"]))["models"]]
    ok("models that were sent away are gone", until(lambda: loaded() == ["tiny:latest"], 60), loaded())
    ok("no request runs or waits, and no page is held", until(lambda: not any(gauges(load).values()), 60), gauges(load))

    def still():
        now = load.server.held()
        time.sleep(0.3)
        return load.server.held()[:2] == now[:2] and (not before or fits(now, before))

    until(still, 20)
    return load.server.held()


def fits(now, before):
    return now[0] <= before[0] and now[1] <= before[1] and now[2] <= before[2] + (16 << 20)


def calm(load):
    """Each job alone. The first time this is what it must say for ever."""
    client = Client(load.server, load.keys["all"])
    for job in load.jobs:
        said = client.ask(job)
        if job.alone is None:
            job.alone = said
        load.note("alone", None if said == job.alone else f"{job.name} alone: {said!r:.600} and before {job.alone!r:.600}")


def stopped(load):
    """SIGTERM in the middle: what was begun ends, what comes later is refused or finds nobody."""
    faults = []

    def ask(number):
        rng, client = random.Random(number), Client(load.server, load.keys["all"])
        while True:
            job = rng.choice(load.jobs)
            try:
                raw = client.whole(job)
            except OSError:
                return  # it listens no more
            if raw[9:12] == b"503" or raw in (b"", b"[ConnectionResetError]"):
                continue
            try:
                said = result(job, raw)
                if said != job.alone and not job.then:
                    faults.append(f"{job.name}: {said!r:.300} and alone {job.alone!r:.300}")
            except (Fault, ValueError) as e:
                faults.append(f"{job.name}: {e}")

    clients = [threading.Thread(target=ask, args=(i,)) for i in range(CLIENTS)]
    for t in clients:
        t.start()
    time.sleep(0.5)
    load.server.p.send_signal(signal.SIGTERM)
    for t in clients:
        t.join()
    status = load.server.stop(0)
    ok("stopped in the middle: what was begun ends well, exit 0", status == 0 and not faults, [f"exit {status}"] + faults[:8])


def main(model, rounds):
    home = tempfile.mkdtemp()
    server, keys = serve(model, home)
    load = Load(server, jobs_of("tiny") + jobs_of("other") + jobs_of("guess") + jobs_of("draft") + more_jobs(), keys)
    calm(load)
    calm(load)
    ok(f"{len(load.jobs)} requests alone, and from the cache", not load.faults, load.faults[:8])
    load.run(1)
    before = settle(load)
    load.run(rounds)
    ok("all at once: each hears the same as alone", not load.faults, load.faults[:12] + [load.count])
    print("#", load.count)
    after = settle(load, before)
    ok("fds, threads and memory are as they were", fits(after, before), (before, after))
    print("#", before, after)
    del load.faults[:]
    calm(load)
    ok("and each alone again", not load.faults, load.faults[:8])
    stopped(load)
    said = re.sub(r"error: model .* has not ended a step for .*\n", "", server.said())
    ok("it says nothing of a sanitizer, and no error", not re.search(r"Sanitizer|error", said, re.I), said[-3000:])
    shutil.rmtree(home)
    finish()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1 if SLOW else 2)

"""Clients that go, that do not read, that are too many; and a server that is stopped or killed.

Used by abuse_cases.py. A long answer of the small model takes some tens of milliseconds, so
streams are met in the middle by reading their first bytes, never by waiting."""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time

from abuse_server import Answer, Server, ok, read_all, request

PROMPTS = ["Once upon a time", "The little dog", "One day, Lily", "Tim and Sam", "The sun was", "A big red", "Mom said", "In the park"]


def chat(text, **more):
    return {"model": "tiny", "messages": [{"role": "user", "content": text}], **more}


class Dialect:
    """How a long answer is asked for, and how its stream ends well or badly."""

    def __init__(self, name, path, body, end, error, refused):
        self.name, self.path, self.body = name, path, body
        self.end, self.error = end, error     # patterns within the last bytes of a stream
        self.refused = refused                # what an error's JSON must satisfy


N = 120
DIALECTS = [
    Dialect("openai chat", "/v1/chat/completions", lambda t, stream, seed=7, n=N: chat(t, max_tokens=n, seed=seed, stream=stream, ignore_eos=True),
            rb"data: \[DONE\]\n\n$", rb'data: \{"error":', lambda j: j["error"]["message"] and "param" in j["error"]),
    Dialect("openai completions", "/v1/completions", lambda t, stream, seed=7, n=N: {"model": "tiny", "prompt": t, "max_tokens": n, "seed": seed, "stream": stream, "ignore_eos": True},
            rb"data: \[DONE\]\n\n$", rb'data: \{"error":', lambda j: j["error"]["message"] and "param" in j["error"]),
    Dialect("openai responses", "/v1/responses", lambda t, stream, seed=7, n=N: {"model": "tiny", "input": t, "max_output_tokens": n, "seed": seed, "stream": stream, "ignore_eos": True},
            rb"event: response\.(completed|incomplete)\n", rb"event: (response\.failed|error)\n", lambda j: j["error"]["message"] and "param" in j["error"]),
    Dialect("anthropic", "/v1/messages", lambda t, stream, seed=7, n=N: chat(t, max_tokens=n, temperature=0, stream=stream),
            rb"event: message_stop\n", rb"event: error\n", lambda j: j["type"] == "error" and j["error"]["type"] == "overloaded_error"),
    Dialect("ollama chat", "/api/chat", lambda t, stream, seed=7, n=N: chat(t, stream=stream, options={"num_predict": n, "seed": seed, "ignore_eos": True}),
            rb'"done":true', rb'^\{"error":"', lambda j: isinstance(j["error"], str)),
    Dialect("llama", "/completion", lambda t, stream, seed=7, n=N: {"prompt": t, "n_predict": n, "seed": seed, "stream": stream, "ignore_eos": True},
            rb'"stop":true', rb'"error":', lambda j: j["error"]["code"] == 503),
]


def until(what, seconds=10):
    """Waits for something that must come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.01)
    return bool(what())


def idle(server):
    m = server.metrics()
    return not any(v for k, v in m.items() if k.split("{")[0] in ("hearth_requests_running", "hearth_requests_waiting", "hearth_kv_pages_used"))


def send(server, d, text, stream, close=True, **kw):
    s = server.connect()
    s.sendall(request(d.path, d.body(text, stream, **kw), close))
    return s


def drop(s):
    """Closes with a reset: what a killed client does."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def steady(answer):
    """A stream's or an answer's text without what differs between two runs: ids, times, tokens per event."""
    body = answer.partition(b"\r\n\r\n")[2]
    if b"ransfer-" in answer.partition(b"\r\n\r\n")[0]:
        whole, rest = b"", body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            try:
                n = int(size, 16)
            except ValueError:
                break
            whole, rest = whole + rest[:n], rest[n + 2:]
        body = whole
    pieces = []
    for line in body.decode().splitlines():
        line = line[6:] if line.startswith("data: ") else line
        if not line.startswith("{"):
            continue
        j = json.loads(line)
        kind = j.get("type", "")
        if j.get("choices"):
            c = j["choices"][0]
            pieces.append((c.get("delta") or c.get("message") or {}).get("content") or c.get("text") or "")
        elif kind == "content_block_delta":
            pieces.append(j["delta"].get("text", ""))
        elif kind == "response.output_text.delta":
            pieces.append(j["delta"])
        elif kind == "message":
            pieces.append(j["content"][0]["text"])
        elif j.get("object") == "response":
            pieces.append(j["output"][0]["content"][0]["text"])
        elif "message" in j and "done" in j:
            pieces.append(j["message"]["content"])
        elif "content" in j and (not pieces or not j.get("stop")):
            pieces.append(j["content"])
    return "".join(pieces)


def batch(server, d, stream, leave):
    """Eight at once, of which every other one leaves by `leave`; the survivors' texts."""
    lines = [send(server, d, t, stream, seed=i) for i, t in enumerate(PROMPTS)]
    for i, s in enumerate(lines):
        if i % 2 and leave:
            leave(s, i)
    return [steady(read_all(s)) if not (i % 2 and leave) else None for i, s in enumerate(lines)]


def after_some(s, i):
    s.recv(200)
    drop(s) if i % 4 == 1 else s.close()


def after_all(s, i):
    read_all(s)
    s.close()


def disconnects(server):
    ways = [("before the first byte", lambda s, i: drop(s) if i % 4 == 1 else s.close()), ("in the middle", after_some), ("behind the last", after_all)]
    for d in DIALECTS:
        for stream in (True, False):
            calm = batch(server, d, stream, None)
            good = all(calm) and len(set(calm)) > 4
            faults = [] if good else [f"undisturbed: {calm!r}"]
            for name, leave in ways[:3 if stream else 1]:
                got = batch(server, d, stream, leave)
                faults += [f"{name}, {i}: {g!r:.300} and not {c!r:.300}" for i, (g, c) in enumerate(zip(got, calm)) if g is not None and g != c]
            if not until(lambda: idle(server)):
                faults.append("something is still held: " + str({k: v for k, v in server.metrics().items() if "kv_pages" in k or "requests_r" in k or "requests_w" in k}))
            ok(f"F15 P19 clients that leave, {d.name}, {'streams' if stream else 'whole answers'}", not faults, faults[:4])
    s = server.connect()
    s.sendall(request(DIALECTS[0].path, DIALECTS[0].body("x", True))[:200])
    drop(s)
    ok("F15 H27 a client that leaves within its body", until(lambda: idle(server)))


def slow_reader(server):
    """One that takes a byte a second of a long stream: others get theirs, and the engine goes on."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    s.connect(("127.0.0.1", server.port))
    s.settimeout(20)
    s.sendall(request("/v1/chat/completions", chat("Once", max_tokens=450, seed=1, stream=True, n=8, ignore_eos=True, logprobs=True, top_logprobs=5), True))
    got, worst = b"", 0
    for _ in range(3):
        got += s.recv(1)
        t0 = time.monotonic()
        while time.monotonic() - t0 < 1:
            t1 = time.monotonic()
            a = server.ask("/completion", {"prompt": "Once", "n_predict": 8})
            worst = max(worst, time.monotonic() - t1)
            if a.status != 200:
                return ok("F16 others are answered beside a slow reader", False, a)
            time.sleep(0.1)
    ok("F16 others are answered beside a slow reader", worst < 15, worst)
    rss = server.held()[2]
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    rest = read_all(s)
    whole = got + rest
    ok("F16 and when it reads again the stream is whole", re.search(rb"data: \[DONE\]\n\n\r\n0\r\n\r\n$", whole), whole[-300:])
    s.close()
    ok("F16 nothing is held", until(lambda: idle(server)), rss)


def many(server):
    """Connections that are opened and dropped: with nothing, half a head, a whole request."""
    fds = server.held()[0]
    whole = request("/completion", {"prompt": "Once", "n_predict": 400, "stream": True, "ignore_eos": True})
    open_ = []
    for i in range(200):
        s = server.connect()
        if i % 4:
            s.sendall(b"" if i % 4 == 1 else whole[:40] if i % 4 == 2 else whole)
        open_.append(s)
    a = server.ask("/health")
    ok("P10 F17 200 connections and half heads stop nobody", a.status == 200, a)
    for i, s in enumerate(open_):
        drop(s) if i % 2 else s.close()
    ok("200 connections are dropped: no fds are left", until(lambda: server.ask("/health").status == 200 and server.held()[0] <= fds + 2), (fds, server.held()))
    ok("and no request", until(lambda: idle(server)), server.metrics())


def queue_full(model, home):
    server = Server(model, "--set", "limits.queue=4", "--set", "models.parallel=1", home=home)
    body = DIALECTS[1].body
    server.ask("/completion", {"prompt": "Once", "n_predict": 1})
    for d in DIALECTS:
        # Each of these writes eight texts, one after the other: the first ones fill the queue for a while.
        full = [server.connect() for _ in range(12)]
        for i, s in enumerate(full):
            s.sendall(request("/v1/completions", {**body(PROMPTS[i % 8], False, seed=i, n=300), "n": 8}, True))
        late = [server.connect() for _ in range(8)]
        for i, s in enumerate(late):
            s.sendall(request(d.path, d.body("x", i % 2 == 1, n=4), True))
        answers = [read_all(s) for s in full + late]
        for s in full + late:
            s.close()
        refused = [a for a in answers[12:] if a[9:12] == b"503" and b"queue is full" in a] or [a for a in answers[12:] if a[9:12] == b"503"]
        if not refused:
            ok(f"F19 a full queue, {d.name}: 503", False, [a[:100] for a in answers])
            continue
        head, _, text = refused[0].partition(b"\r\n\r\n")
        refused = Answer(503, [tuple(x.split(": ", 1)) for x in head.decode().split("\r\n")[1:]], text)
        try:
            shape = d.refused(refused.json())
        except (KeyError, TypeError):
            shape = False
        seen = {a[9:12] for a in answers}
        ok(f"F19 a full queue, {d.name}: 503, when to come again, in its words; the others 200 or 503",
           shape and refused.headers.get("retry-after", "").isdigit() and seen <= {b"200", b"503"} and b"200" in seen,
           (refused, refused.headers, seen))
    ok("F19 and then it goes on", until(lambda: idle(server)) and server.ask("/completion", {"prompt": "Once", "n_predict": 4}).status == 200)
    ok("F19 it ends well", server.stop() == 0, server.p.returncode)


def stopped(model, home, sig, drain):
    """SIGTERM, with time to drain or without: each stream ends in its protocol's way."""
    server = Server(model, "--set", f"limits.drain_timeout={drain}", home=home)
    lines = []
    for i in range(8):
        d = DIALECTS[i % len(DIALECTS)]
        s = server.connect()
        s.sendall(request(d.path, d.body(PROMPTS[i], True, seed=i, n=480)))
        lines.append((d, s))
    first = [s.recv(1000) for _, s in lines]
    os.kill(server.p.pid, sig)
    faults = []
    for (d, s), head in zip(lines, first):
        got = head + read_all(s)
        status = got[9:12]
        tail = got.partition(b"\r\n\r\n")[2]
        ends = re.search(d.end, re.sub(rb"\r\n[0-9a-f]*\r\n(\r\n)?", b"", tail)) or re.search(d.error, tail, re.M)
        if status == b"200" and (not ends or not got.endswith(b"0\r\n\r\n")) or status not in (b"200", b"503"):
            faults.append(f"{d.name}: {got[-300:]!r}")
        s.close()
    code = server.stop(0)
    ok(f"F25 SIGTERM with 8 streams, {drain} to drain: each ends as its protocol has it, exit 0", not faults and code == 0, faults + [f"exit {code}", server.said()[-300:]])


def killed(model, home):
    server = Server(model, home=home)
    lines = [send(server, d, "Once upon", True, n=480) for d in DIALECTS]
    for s in lines:
        s.recv(100)
    server.p.kill()
    ended = [read_all(s) for s in lines]
    ok("kill -9: the connections close", server.p.wait(10) == -9 and not any(b"timeout" in e for e in ended), ended)
    again = Server(model, home=home)
    a = again.ask("/v1/responses", {"model": "tiny", "input": "Once", "max_output_tokens": 4})
    ok("and it starts again", a.status == 200, a)
    ok("twice told, it ends at once", twice(again), again.said())


def twice(server):
    s = send(server, DIALECTS[0], "Once", True, n=480)
    s.recv(100)
    server.p.send_signal(signal.SIGTERM)
    server.p.send_signal(signal.SIGTERM)
    t0 = time.monotonic()
    status = server.p.wait(20)
    s.close()
    return status >= 0 and time.monotonic() - t0 < 60


def run(model):
    server = Server(model)
    # Once through all of it, so that what is kept for good is there.
    for d in DIALECTS:
        batch(server, d, True, None)
    until(lambda: idle(server))
    before = server.held()
    disconnects(server)
    slow_reader(server)
    many(server)
    until(lambda: idle(server))
    after = server.held()
    ok("fds, threads and memory are as before the faults", after[0] <= before[0] + 4 and after[1] <= before[1] + 2 and
       after[2] < before[2] + (64 << 20), (before, after))
    ok("SIGPIPE and SIGUSR harm nobody", [server.p.send_signal(s) for s in (signal.SIGPIPE,)] and server.ask("/health").status == 200)
    ok("it ends well", server.stop(keep=True) == 0)
    queue_full(model, server.home)
    stopped(model, server.home, signal.SIGTERM, "30s")
    stopped(model, server.home, signal.SIGTERM, "0")
    killed(model, server.home)
    subprocess.run(["rm", "-rf", server.home], check=False)


if __name__ == "__main__":
    import sys

    import abuse_server
    run(sys.argv[1])
    abuse_server.finish()

#!/usr/bin/env python3
"""What a server with a model says where no handler is reached, in each dialect: refusals of the
door, requests that its end cuts; and what of it all is in a log of JSON.

    door_cases.py MODEL       speaks TAP"""
import json
import re
import shutil
import signal
import sys

from abuse_faults import until
from abuse_server import Answer, Server, finish, ok, read_all, request

MODEL = sys.argv[1]
OPENAI, ANTHROPIC, LLAMA, OLLAMA = "openai", "anthropic", "llama", "ollama"
ENDS = [("/v1/chat/completions", OPENAI), ("/v1/responses", OPENAI), ("/v1/messages", ANTHROPIC), ("/completion", LLAMA), ("/api/chat", OLLAMA)]
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "Once"}], "max_tokens": 1}


def raw(server, data):
    """The one answer to these bytes."""
    s = server.connect()
    try:
        s.sendall(data)
    except OSError:
        pass
    got = read_all(s)
    s.close()
    head, _, body = got.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    return Answer(int((lines[0].split() + ["0", "0"])[1]), [tuple(x.split(": ", 1)) for x in lines[1:] if ": " in x], body)


def says(answer, dialect):
    """type, code and message of an error in the dialect's shape; None: it is none."""
    j = answer.json()
    try:
        if dialect == OLLAMA:
            return (None, None, j["error"]) if set(j) == {"error"} and isinstance(j["error"], str) else None
        e = j["error"]
        if dialect == ANTHROPIC:
            return (e["type"], None, e["message"]) if j["type"] == "error" and "request_id" in j and "code" not in e else None
        if dialect == LLAMA:
            return (e["type"], None, e["message"]) if e["code"] == answer.status else None
        return (e["type"], e["code"], e["message"]) if "param" in e and isinstance(e["code"], (str, type(None))) else None
    except (KeyError, TypeError):
        return None


def head(path, method="POST", *more):
    return ("\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", "Connection: close", *more]) + "\r\n\r\n").encode()


# -- refusals ---------------------------------------------------------------------------------
server = Server(MODEL, "--set", "log.level=info")
BAD = "invalid_request_error"
for path, dialect in ENDS:
    long_ = [f"A{i}: b" for i in range(120)]
    json_ = "Content-Type: application/json"
    rows = [
        ("fields", 431, "request_header_fields_too_large", head(path, "POST", *long_)),
        ("a query", 414, "uri_too_long", head(path + "?a=" + "b" * 9000)),
        ("a body", 413, "request_too_large", head(path, "POST", json_, "Content-Length: 100000000")),
        ("a method", 501, "not_implemented", head(path, "BREW")),
        ("a coding", 501, "not_implemented", head(path, "POST", "Transfer-Encoding: gzip")),
        ("a wrong method", 405, "method_not_allowed", head(path, "PATCH")),
        ("a type", 415, "unsupported_media_type", head(path, "POST", "Content-Type: text/plain", "Content-Length: 2") + b"{}"),
        ("a charset", 415, "unsupported_media_type", head(path, "POST", json_ + "; charset=latin1", "Content-Length: 2") + b"{}"),
        ("an origin", 403, "permission_denied", head(path, "POST", "Origin: http://evil.example", json_, "Content-Length: 2") + b"{}"),
        ("a host", 421, "misdirected_request", head(path).replace(b"localhost", b"evil.example")),
        ("an expectation", 417, "expectation_failed", head(path, "POST", "Expect: tea")),
    ]
    faults = []
    for name, status, code, data in rows:
        a = raw(server, data)
        got = says(a, dialect)
        if a.status != status or not got or "context" in str(got) or "prompt is too long" in str(got):
            faults.append(f"{name}: {a}")
        elif dialect == OPENAI and (got[0] not in (BAD, "permission_error") or got[1] != code):
            faults.append(f"{name}: {got}")
        elif dialect in (ANTHROPIC, LLAMA) and got[0] not in (BAD, "request_too_large", "not_supported_error", "permission_error"):
            faults.append(f"{name}: {got}")
    ok(f"{path}: refusals of the door are of the client's doing, with codes of their own", not faults, faults)

for path, dialect in [(f"/v1/{p}", OPENAI) for p in ("audio/speech", "images/generations", "files", "batches", "fine_tuning/jobs", "assistants",
                                                     "threads", "moderations", "heal", "")] + [("/v1/messages/batches", ANTHROPIC), ("/api/none", OLLAMA)]:
    a = server.ask(path, BODY)
    got = says(a, dialect)
    ok(f"{path} is unknown, in words of {dialect}", a.status == 404 and got and (dialect != OPENAI or got[:2] == (BAD, "not_found")), a)
a = server.ask("/metrics", BODY)
ok("/metrics speaks as OpenAI", a.status == 405 and says(a, OPENAI), a)

for charset, want in (("utf-8", 200), ("UTF-8", 200), ('"utf-8"', 200), ("us-ascii", 200), ("utf8", 200), ("latin1", 415), ("utf-16", 415), ('"iso-8859-1"', 415), ("", 200)):
    a = server.ask("/v1/chat/completions", BODY, Content_Type=f"application/json; charset={charset}")
    ok(f"charset {charset}: {want}", a.status == want, a)
a = server.ask("/api/chat", {**BODY, "stream": False}, Content_Type="application/json; x=y;charset=latin1")
ok("charset as a second parameter: 415", a.status == 415, a)
ok("it ends well", server.stop() == 0)


# -- what the server's own end cuts -------------------------------------------------------------
def long_text(stream, n, **more):
    """Several texts, one after the other: the only place is taken for a while."""
    return {"model": "tiny", "prompt": "Once", "max_tokens": n, "n": 8, "seed": 1, "ignore_eos": True, "stream": stream, **more}


def late(dialect, stream):
    if dialect == LLAMA:
        return {"prompt": "x", "n_predict": 4, "stream": stream}
    if dialect == OLLAMA:
        return {"model": "tiny", "messages": BODY["messages"], "options": {"num_predict": 4}, "stream": stream}
    return {"model": "tiny", "messages": BODY["messages"], "max_tokens": 4, "stream": stream}


server = Server(MODEL, "--set", "limits.drain_timeout=0", "--set", "models.parallel=1", "--set", "log.level=info", "--set", "log.json=true")
server.ask("/completion", {"prompt": "Once", "n_predict": 1})
begun = server.connect()
begun.sendall(request("/v1/completions", long_text(True, 400), True))
first = begun.recv(1000)
busy = [server.connect() for _ in range(10)]
for s in busy:
    s.sendall(request("/v1/completions", long_text(False, 400), True))
waiting = []
for path, dialect in ENDS:
    if path == "/v1/responses":
        continue
    for stream in (False, True):
        s = server.connect()
        s.sendall(request(path, late(dialect, stream), True))
        waiting.append((path, dialect, s))
until(lambda: server.gauge("hearth_requests_waiting") > 8 * len(busy))
server.p.send_signal(signal.SIGTERM)
tail = first + read_all(begun)
faults, n_cut = [], 0
for path, dialect, s in waiting + [("/v1/completions", OPENAI, s) for s in busy]:
    text_head, _, text = read_all(s).partition(b"\r\n\r\n")
    status = int(text_head[9:12] or 0)
    if status == 200:
        continue
    got = says(Answer(status, [], text), dialect)
    n_cut += 1
    if status != 503 or not got or "shutting down" not in got[2] or b"Retry-After: 1" not in text_head:
        faults.append(f"{path}: {text_head!r} {text!r}")
    elif dialect == ANTHROPIC and got[0] != "overloaded_error" or dialect == OPENAI and got[:2] != ("server_error", "overloaded"):
        faults.append(f"{path}: {got}")
ok("what the end of the drain cuts is the server's doing: 503, in each dialect", not faults and n_cut, faults + [n_cut])
ok("and so it is in a stream", b"shutting down" in tail and tail.endswith(b"0\r\n\r\n") or b"[DONE]" in tail, tail[-300:])
ok("it ends well", server.stop(0, keep=True) == 0)

# -- a log of JSON ------------------------------------------------------------------------------
lines, faults = [], []
for text in server.said().splitlines():
    try:
        j = json.loads(text)
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", j["time"]) or j["level"] not in ("error", "warn", "info", "debug") or not j["message"]:
            faults.append(text)
        lines.append(j)
    except (ValueError, KeyError):
        faults.append(text)
ok(f"each of {len(lines)} lines of the log is JSON with time, level and message", lines and not faults, faults)
asked = [j for j in lines if j.get("route") in ("openai.completions", "openai.chat", "anthropic.messages", "ollama.chat", "llama.completion")]
ok("those of requests say which model, and how it went", len(asked) > 10 and all(
    j["model"].startswith("tiny") and j["status"] in (200, 503) and j["id"].startswith("req_") and isinstance(j["whole"], bool) and j["ms"] >= 0 for j in asked), asked[:4] or lines)
ok("loading and ending are there", any("listens on" in j["message"] for j in lines) and any(j["level"] == "warn" and "are cancelled" in j["message"] for j in lines), lines[:4])
ok("nothing of what was said is", "Once" not in server.said(), server.said()[:600])
shutil.rmtree(server.home)
finish()

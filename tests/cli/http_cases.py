#!/usr/bin/env python3
"""What a server of HTTP must answer to bytes that are wrong, odd or hostile.

    http_cases.py PROGRAM      PROGRAM: tests/cli/http_server; speaks TAP

Each case opens a connection of its own, writes bytes as they stand, and looks at what comes."""
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

program = sys.argv[1]
n_test = n_bad = 0


def ok(name, good, said=""):
    global n_test, n_bad
    n_test += 1
    n_bad += not good
    print(("ok" if good else "not ok"), n_test, "-", name)
    if not good:
        print("#", repr(said)[:600])
    sys.stdout.flush()


class Server:
    def __init__(self, *settings):
        env = dict(os.environ)
        for name in list(env):
            if name.startswith(("HEARTH_", "OLLAMA_")):
                del env[name]
        self.p = subprocess.Popen([program, "listen.port=0", *settings], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        self.address = self.p.stdout.readline().decode().strip()
        at = re.match(r"https?://(.*):(\d+)$", self.address)
        self.port = int(at[2]) if at else 0

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port))
        s.settimeout(20)
        return s

    def stop(self):
        self.p.stdin.close()
        rest = self.p.stderr.read().decode()
        self.p.wait(30)
        return self.p.returncode, rest


def read_all(s):
    got = b""
    try:
        while True:
            some = s.recv(65536)
            if not some:
                return got
            got += some
    except (ConnectionResetError, socket.timeout) as e:
        return got + b"[" + type(e).__name__.encode() + b"]"


def status_of(answer):
    m = re.match(rb"HTTP/1\.[01] (\d\d\d) ", answer)
    return int(m[1]) if m else 0


def parse(answer):
    """Status, headers, body of one answer; a body in chunks put together."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        headers[name.strip().lower().decode()] = value.strip().decode()
    if headers.get("transfer-encoding") == "chunked":
        whole, rest = b"", body
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            n = int(size, 16)
            whole, rest = whole + rest[:n], rest[n + 2:]
            if n == 0:
                break
        body = whole
    return status_of(answer), headers, body


def ask(server, data, half_close=False):
    s = server.connect()
    try:
        s.sendall(data)
        if half_close:
            s.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass
    got = read_all(s)
    s.close()
    return got


def head(method="GET", path="/health", host="localhost", close=True, **more):
    lines = [f"{method} {path} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    if close:
        lines.append("Connection: close")
    for name, value in more.items():
        lines.append(name.replace("_", "-") + ": " + value)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(body=b"{}", path="/echo", length=None, host="localhost", type="application/json", **more):
    if type:
        more["Content_Type"] = type
    more["Content_Length"] = str(len(body) if length is None else length)
    return head("POST", path, host, **more) + body


def excess(data, status, headers, text):
    """What comes behind the one answer: bytes that its head does not announce."""
    if data.startswith(b"HEAD ") or status in (204, 304):
        return text
    if "content-length" in headers:
        return text[int(headers["content-length"]):]
    return b""


def gives(name, want, data, body=None, ours=False, **kw):
    """ours: the answer must have a request's id and be JSON."""
    answer = ask(server, data, **kw)
    status, headers, text = parse(answer)
    want = want if isinstance(want, tuple) else (want,)
    good = status in want and (body is None or body in text) and not excess(data, status, headers, text)
    if ours:
        good = good and headers.get("x-request-id", "").startswith("req_") and text.startswith(b'{"error":')
    ok(f"{name}: {want[0]}", good, answer)
    return headers, text


# -- a server as it comes ---------------------------------------------------------------------
server = Server()
ok("it listens on loopback", server.address.startswith("http://127.0.0.1:"), server.address)

h, text = gives("well", 200, head(), b'"ok"')
ok("every answer has a request id", re.fullmatch("req_[0-9a-z]{20}", h.get("x-request-id", "")), h)
h, text = gives("HEAD", 200, head("HEAD"))
ok("HEAD has the length and no body", h.get("content-length") == "15" and text == b"", (h, text))
gives("echo", 200, post(b'{"a":1}'), b'{"a":1}')
gives("no body", 200, post(b""))
gives("path and query are decoded", 200, head(path="/query/a%20b/c?v=x+y%26z&w=1"), b"/query/a b/c|x y&z")
h, text = gives("unknown path", 404, head(path="/none"), b"nothing at /none")
ok("refusals have a request id", "x-request-id" in h, h)

# -- H1 to H5, H19: whom it is for, how long it is
gives("H1 no Host", 400, head(host=None), ours=True)
gives("H1 no Host, with a body", 400, post(host=None), ours=True)
gives("H1 no Host, with chunks", 400, head("POST", "/echo", host=None, Transfer_Encoding="chunked") + b"2\r\n{}\r\n0\r\n\r\n", ours=True)
gives("H2 two Hosts", 400, head(Host="localhost"))
gives("H3 a foreign Host", 421, head(host="evil.example"))
for host in ("localhost", "LOCALHOST", "127.0.0.1", "127.0.0.1:11434", "[::1]", "[::1]:80", "localhost.", "127.1.2.3"):
    gives(f"Host {host}", 200, head(host=host))
for host in ("evil.example:11434", "localhost.evil.example", "127.0.0.1.nip.io", "192.168.1.1", "0.0.0.0",
             "localhost@evil.example", "localhost:99999999", "[::2]", "2130706433", ""):
    gives(f"Host '{host}' is another", 421, head(host=host))
gives("H4 two lengths", 400, post(b"{}", Transfer_Encoding="chunked"))
gives("H5 lengths that differ", 400, b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}")
gives("lengths that agree", 400, b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}")
for bad in ("-1", "+2", "2abc", "0x2", "2, 2", ""):
    gives(f"H6 length '{bad}'", 400, post(b"{}", length=bad), b"content-length", ours=True)
gives("H6 length 10^30", (413, 400), post(b"{}", length="1" + "0" * 30), ours=True)
gives("H6 a length that is none, and much behind it", 400, post(b"x" * 300000, length="-1"), ours=True)
s = server.connect()
for part in (b"POST /echo HTTP/1.1\r\nHost: loc", b"alhost\r\nContent-Length: -", b"1\r\n", b"\r\n{}"):
    s.sendall(part)
    time.sleep(0.05)
got = read_all(s)
ok("H6 in pieces: one answer", status_of(got) == 400 and got.count(b"HTTP/1.1") == 1 and b"req_" in got, got)
s = server.connect()
s.sendall(post(b"{}", close=False) + post(b"{}", length="+2"))
got = read_all(s)
ok("H6 behind a good one: its answer, and one more", [int(x) for x in re.findall(rb"HTTP/1.1 (\d+) ", got)] == [200, 400] and got.endswith(b"}"), got)
gives("H7 J10 a body over the limit", 413, post(b"", length=100 << 20))
gives("and when it comes all the same", 413, post(b"x" * (4 << 20), length=100 << 20))
gives("H19 absolute form", 200, head(path="http://localhost/health"))
gives("H19 absolute form of another", 400, head(path="http://evil.example/health"))

# -- chunks
def chunked(*pieces, end=b"0\r\n\r\n", **more):
    return head("POST", "/echo", Transfer_Encoding="chunked", Content_Type="application/json", **more) + b"".join(pieces) + end

gives("chunks", 200, chunked(b"2\r\n{}\r\n", b"3;a=b\r\n   \r\n"), b"{}   ")
for size in (b"-2", b"0x2", b"ffffffffffffffffff", b"", b"12345678901234567890", b"g"):
    gives(f"H8 chunk of size '{size.decode()}'", (400, 413), chunked(size + b"\r\n{}\r\n"))
gives("H8 a chunk of 2^64 - 1", 413, chunked(b"ffffffffffffffff\r\n" + b"x" * (33 << 20)))
te = dict(Transfer_Encoding="chunked", Content_Type="application/json")
huge = b"ffffffffffffffff\r\n"
lines = [("H8 a chunk of 2^64 - 1 and little in it", 400, head("POST", "/echo", **te) + huge + b'{"a":"}\\"\\\\"}\r\n0\r\n\r\n', b""),
         ("H8 and of another type", 415, head("POST", "/echo", **{**te, "Content_Type": "text/plain"}) + huge + b"{}\r\n0\r\n\r\n", b""),
         ("JSON that is whole, and its end later", 200, head("POST", "/echo", **te) + b"6\r\n{\"}\"}\r\n", b"2\r\n \n\r\n0\r\n\r\n"),
         ("half of it", 200, head("POST", "/echo", **te) + b"4\r\n{\"a\\\r\n", b"5\r\n\"\"}\r\n\r\n0\r\n\r\n"),
         ("no JSON, where any type is allowed", 200, head("POST", "/blob/x", **{**te, "Content_Type": "a/b"}) + b"4\r\n{}\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n")]
open_ = []
for name, want, data, rest in lines:
    s = server.connect()
    s.sendall(data)
    open_.append(s)
time.sleep(3.2)
for (name, want, data, rest), s in zip(lines, open_):
    t = time.time()
    try:
        s.sendall(rest)
    except OSError:
        pass
    got = read_all(s)
    ok(f"{name}: {want}", status_of(got) == want and time.time() - t < 10, (got, time.time() - t))
gives("too many chunks", 413, chunked(*[b"100000\r\n" + b"x" * 0x100000 + b"\r\n"] * 40))
gives("H10 an endless extension of a chunk", 400, chunked(b"2;" + b"a" * 200000 + b"\r\n{}\r\n"))
gives("H11 10,000 fields behind the last chunk", (400, 431), chunked(b"2\r\n{}\r\n", end=b"0\r\n" + b"".join(b"a%d: b\r\n" % i for i in range(10000)) + b"\r\n"))
gives("H12 unknown coding", 501, head("POST", "/echo", Transfer_Encoding="gzip"))
gives("H12 two codings", 501, head("POST", "/echo", Transfer_Encoding="chunked, chunked"))
gives("H12 xchunked", 501, head("POST", "/echo", Transfer_Encoding="xchunked"))

# -- heads
for fold in (b"Content-Leng: 13\r\n th", b"Content-Length:\r\n 2", b"Transfer-Encod: chunked\r\n ing", b"Transfer-Encoding:\r\n chunked",
             b"A: b\r\n c", b"A: b\r\n\t", b"A: b\r\n "):
    gives(f"H13 a folded line: {fold!r}", 400, b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + fold + b"\r\n\r\n{}", half_close=True)
gives("a NUL in the first line", 400, b"GET /health\0 x HTTP/1.1\r\nHost: localhost\r\n\r\n", half_close=True)
gives("a NUL in the target", 400, b"GET /health\0x HTTP/1.1\r\nHost: localhost\r\n\r\n", half_close=True)
gives("a blank in front of and behind a value", 200, b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: \t b \r\nC:\r\nD:e\r\nConnection: close\r\n\r\n")
gives("HTTP/1.2 without Host", 400, b"GET /health HTTP/1.2\r\n\r\n", half_close=True)
gives("H13 a blank before the first field", 400, b"GET /health HTTP/1.1\r\n X: y\r\nHost: localhost\r\n\r\n", ours=True)
gives("H13 a blank behind the Host", 400, b"GET /health HTTP/1.1\r\nHost: localhost\r\n X: y\r\n\r\n", half_close=True)
gives("P18 a space in the target", 400, b"GET /api/versi on HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", ours=True)
gives("P18 a space in the query", 400, b"GET /query/a?v=x y HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", ours=True)
gives("H13 a space before the colon", 400, b"GET /health HTTP/1.1\r\nHost: localhost\r\nA : b\r\n\r\n", half_close=True)
gives("H13 no colon", 400, b"GET /health HTTP/1.1\r\nHost: localhost\r\nAbc\r\n\r\n", half_close=True)
gives("H13 NUL", (400, 200), b"GET /health HTTP/1.1\r\nHost: localhost\r\nA: b\0c\r\n\r\n", half_close=True)
gives("H13 8 bits in a name", 400, b"GET /health HTTP/1.1\r\nHost: localhost\r\nA\xe4: b\r\n\r\n", half_close=True)
gives("H14 101 fields", 431, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 101 + b"\r\n")
gives("98 fields", 200, b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + b"a: b\r\n" * 98 + b"\r\n")
gives("H14 a head of 70 kB", 431, b"GET /health HTTP/1.1\r\nHost: localhost\r\na: " + b"b" * 70000 + b"\r\n\r\n")
gives("H14 a head of 300 kB", 431, b"GET /health HTTP/1.1\r\nHost: localhost\r\na: " + b"b" * 300000 + b"\r\n\r\n", half_close=True)
gives("a head of 60 kB", 200, head(A="b" * 60000))
gives("H15 a path of 9 kB", 414, head(path="/" + "a" * 9000))
gives("H15 a query of 9 kB", 414, head(path="/query/a?v=" + "a" * 9000))
gives("H15 a query of many parts", 414, head(path="/query/a?" + "&".join(f"a{i}={i}" for i in range(3000))))
gives("H15 more parts than fields may be", 414, head(path="/query/a?" + "&".join("a" for i in range(101))))
gives("H15 a query of 8 kB", 200, head(path="/query/a?v=" + "a" * 8000))
gives("H15 P18 a path of 200 kB", 414, head(path="/" + "a" * 200000), half_close=True)
gives("H16 HTTP/9.9", (505, 400), b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n", half_close=True)
gives("H16 HTTP/1.0", 200, b"GET /health HTTP/1.0\r\n\r\n", b'"ok"')
ask(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", half_close=True)
ok("H17 HTTP/2 ends", True)
for wait in (0.2, 0):
    s = server.connect()
    time.sleep(wait)
    t = time.time()
    s.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(1, 10)) + bytes(range(11, 200)))
    got = read_all(s)
    ok("H17 P17 TLS is turned away", got in (b"", b"[ConnectionResetError]") and time.time() - t < 8, (got, time.time() - t))
ask(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(1, 200)) + b"\n\r\n\r\n", half_close=True)
ok("H17 and with line ends in it", True)

# -- methods, paths
h, _ = gives("H18 a method that is not there", 405, head("DELETE", "/echo"))
ok("with what there is", h.get("allow") == "POST", h)
h, _ = gives("GET of a POST", 405, head("GET", "/echo"))
gives("H18 an unknown method", 501, head("BREW"))
gives("H18 TRACE", 405, head("TRACE"))
gives("H18 CONNECT", (405, 400), head("CONNECT", "localhost:80"))
for path in ("/../etc/passwd", "/query/%2e%2e/x", "/query/a/..", "/query/%00", "/query/%zz", "/query/%", "/query/%4",
             "/query/a\\b", "/query/%ff", "/query/%c0%ae", "/./health", "health"):
    gives(f"H20 path {path}", (400, 404), head(path=path))
gives("query that is none", 400, head(path="/query/a?v=%zz"))
s = server.connect()
s.sendall(post(b"", length=2, Expect="100-continue"))
got = s.recv(100)
s.sendall(b"{}")
ok("H21 100-continue", got.startswith(b"HTTP/1.1 100") and b"200 OK" in read_all(s), got)
gives("H21 another expectation", 417, post(b"{}", Expect="tea"))
gives("H21 refused before it comes", 413, post(b"", length=100 << 20, Expect="100-continue"))
for type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"):
    gives(f"H22 P13 {type}", 415, post(type=type))
form = "application/x-www-form-urlencoded"
gives("a form where curl -d may ask", 200, post(path="/curl", type=form))
gives("text where curl -d may ask", 415, post(path="/curl", type="text/plain"))
gives("a form from a page there", 415, post(path="/curl", type=form, host=f"localhost:{server.port}", Origin=f"http://localhost:{server.port}"))
gives("JSON with a charset", 200, post(type="application/json; charset=utf-8"))
gives("no type, no browser", 200, post(type=None))
gives("any type where it is allowed", 200, post(b"\0\1", path="/blob/x", type="application/octet-stream"))
gives("H23 gzip", 415, post(Content_Encoding="gzip"))

# -- pages of others
own = f"http://localhost:{server.port}"
h, _ = gives("H34 P12 a foreign page reads", 200, head(Origin="http://evil.example"))
ok("but may not see it", "access-control-allow-origin" not in h, h)
gives("H34 a foreign page posts", 403, post(Origin="http://evil.example"))
gives("a foreign page deletes", 403, head("DELETE", "/thing", Origin="http://evil.example"))
gives("origin null", 403, post(Origin="null"))
gives("no type, from a page", 415, post(type=None, host=f"localhost:{server.port}", Origin=own))
gives("our own page posts", 200, post(host=f"localhost:{server.port}", Origin=own))
gives("another port's page posts", 403, post(host=f"localhost:{server.port}", Origin="http://localhost:1"))
gives("cross-site without an origin", 403, head(Sec_Fetch_Site="cross-site"))
gives("same-origin", 200, head(Sec_Fetch_Site="same-origin"))
h, _ = gives("a preflight", 204, head("OPTIONS", "/echo", Origin="http://evil.example", Access_Control_Request_Method="POST"))
ok("allows nothing", not [k for k in h if k.startswith("access-control")], h)
gives("H33 Range and If-* change nothing", 200, head(Range="bytes=0-1", If_None_Match="*"), b'{"status":"ok"}')

# -- one connection, several requests
s = server.connect()
s.sendall(post(b"{1}", close=False) + post(b"{2}", close=False) + post(b"{3}"))
got = read_all(s)
ok("H24 pipelined ones are answered in order", re.findall(rb"\{(\d)\}", got) == [b"1", b"2", b"3"], got)
for one, many in (("quick ones", head(close=False)), ("others", post(b"{}", close=False))):
    s = server.connect()
    s.sendall(many * 40)
    got = read_all(s)
    ok(f"H24 after 16 {one} that were not waited for it closes", got.count(b"HTTP/1.1 200 OK") == 16 and got.count(b"Connection: close") == 1 and
       got.endswith(b"}"), (got.count(b"HTTP/1.1 200 OK"), got[-300:]))
s = server.connect()
for i in range(40):
    s.sendall(head(close=False))
    got = b""
    while not got.endswith(b"}"):
        got += s.recv(1000) or b"}"
ok("who waits for each of them may go on", got.startswith(b"HTTP/1.1 200") and b"close" not in got, got)
s.close()
s = server.connect()
s.sendall(post(b"{}GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", length=2, close=False))
got = read_all(s)
ok("H25 what follows a body is the next request", got.count(b"HTTP/1.1 200") == 2 and b'"ok"' in got, got)
s = server.connect()
s.sendall(post(b'{"a":1}', type="text/plain", close=False) + head())
got = read_all(s)
ok("after a refusal the connection goes on", [status_of(a) for a in re.findall(rb"HTTP/1.1 \d+ .*", got)] == [415, 200], got)
for path in ("/slow?ms=300", "/stream?n=3&ms=50", "/stream?n=2&before=300"):
    answer = ask(server, head("POST", path), half_close=True)
    ok(f"H26 a client that closed its half gets {path}", status_of(answer) == 200 and
       answer.endswith((b"slow", b"0\r\n\r\n")) and b"102" not in answer, answer)

# -- streams
def stream_times(path):
    s = server.connect()
    s.sendall(head("POST", path))
    times, got = [], b""
    while True:
        some = s.recv(65536)
        if not some:
            return times, got
        times.append(time.time())
        got += some

times, got = stream_times("/stream?n=30&ms=10")
gaps = sorted(b - a for a, b in zip(times, times[1:]))
ok("a stream in chunks, piece by piece", got.count(b"x\n") == 30 and len(times) >= 20 and
   got.endswith(b"0\r\n\r\n"), (len(times), got[-80:]))
print("# gaps of a stream of 10 ms: median %.1f ms, most %.1f ms" % (1e3 * gaps[len(gaps) // 2], 1e3 * gaps[-1]))
answer = ask(server, head("POST", "/stream?n=3&cut=1"))
ok("a cut stream has no end", b"x\n" in answer and not answer.endswith(b"0\r\n\r\n"), answer)
answer = ask(server, b"POST /stream?n=3 HTTP/1.0\r\nHost: localhost\r\n\r\n")
ok("HTTP/1.0 gets it without chunks", parse(answer)[2] == b"x" * 31 + b"\n" + (b"x" * 31 + b"\n") * 2, answer)
answer = ask(server, head("POST", "/stream?n=400&size=10000"))
ok("a long stream arrives whole", len(parse(answer)[2]) == 4000000, len(answer))
answer = ask(server, head("HEAD", "/stream?n=3"))
ok("HEAD of a stream", status_of(answer) == 200 and b"x\n" not in answer, answer)


# -- P19 F15: who leaves is noticed
def counts():
    return [int(x) for x in parse(ask(server, head(path="/counts")))[2].split()]


def leaves(name, path, how, read_first, method="POST"):
    gone = counts()[0]
    s = server.connect()
    s.sendall(head(method, path, close=False))
    if read_first:
        s.recv(1000)
    else:
        time.sleep(0.1)
    t = time.time()
    if how == "reset":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
    while time.time() - t < 15 and counts()[0] == gone:
        time.sleep(0.002)
    took = time.time() - t
    ok(f"F15 {name}", took < 15, took)
    print("# %.0f ms" % (took * 1e3))


leaves("closes before the first byte", "/slow?ms=20000", "close", False)
leaves("resets before the first byte", "/slow?ms=20000", "reset", False)
leaves("closes before the first byte of a stream", "/stream?before=20000", "close", False)
leaves("closes in the middle of a stream", "/stream?n=100000&ms=5", "close", True)
leaves("resets in the middle of a stream", "/stream?n=100000&ms=5", "reset", True)
leaves("closes while a stream says nothing", "/stream?n=2&ms=20000", "close", True)
leaves("closes while it has not read", "/stream?n=100000&size=10000", "close", True)
s = server.connect()
gone = counts()[0]
s.sendall(head("POST", "/slow?ms=20000"))
s.shutdown(socket.SHUT_WR)
time.sleep(0.3)
still = counts()[0] == gone
t = time.time()
s.close()
while time.time() - t < 15 and counts()[0] == gone:
    time.sleep(0.002)
ok("closes its half, later the other", still and time.time() - t < 15, time.time() - t)
s = server.connect()  # H27
s.sendall(post(b"{", length=1000, close=False))
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
s.close()
s = server.connect()
s.sendall(b"GET /hea")
s.close()
gives("H27 after a reset in the middle of a body all goes on", 200, head())
time.sleep(0.2)
ok("nothing is left running", counts()[1] == 0, counts())
code, said = server.stop()
ok("it ends well, and has said once that somebody spoke TLS", code == 0 and said.startswith("warning: TLS on a plain port") and said.count("\n") == 1, (code, said))

# -- F16: a slow reader
def rss_of(server):
    with open(f"/proc/{server.p.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


server = Server()
rss_before = rss_of(server)
s = server.connect()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
s.sendall(head("POST", "/stream?n=3000&size=10000"))
time.sleep(1)
rss = rss_of(server)
ok("F16 a reader that does not read costs little", rss < rss_before + 8000, (rss_before, rss))
n = 0
while True:
    some = s.recv(1 << 20)
    if not some:
        break
    n += len(some)
ok("and gets all in the end", n > 30000000, n)
s = server.connect()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
s.sendall(head("GET", "/eager"))
time.sleep(0.3)
got = b""
while True:
    some = s.recv(1 << 14)
    if not some or got.endswith(b"0\r\n\r\n"):
        break
    got = got[-20:] + some
    time.sleep(0.002)
    if got.endswith(b"0\r\n\r\n"):
        break
ok("who writes more than it should hears of the room all the same", b"heard" in got[-40:], got[-40:])
s.close()
server.stop()

# -- many long bodies at once
server = Server("limits.body=1MiB")
long = b'"' + b"x" * ((1 << 20) - 8) + b'"'
slow = [server.connect() for i in range(70)]
for s in slow:
    s.sendall(post(long[:-1], length=len(long)))
time.sleep(0.5)
h, _ = gives("bodies that are too much together", 503, post(long), b"too many long")
ok("and when to come back", h.get("retry-after") == "1", h)
for s in slow:
    s.close()
time.sleep(0.5)
gives("and when they are gone all goes on", 200, post(long))
server.stop()

# -- timeouts and limits
server = Server("limits.head_timeout=1s", "limits.idle_timeout=3s")
t = time.time()
s = server.connect()
s.sendall(b"GET /health HTTP/1.1\r\n")
for i in range(6):
    time.sleep(0.4)
    try:
        s.sendall(b"A: b\r\n")
    except OSError:
        break
got = read_all(s)
ok("H28 P10 a head that comes slowly: 408", status_of(got) == 408 and b"x-request-id: req_" in got and got.endswith(b"}"), got)
gone = server.connect()
gone.sendall(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost")
ok("a target is refused before its head is whole", status_of(gone.recv(4096)) == 414)
t = time.time()
try:
    while time.time() - t < 15:
        gone.sendall(b"x")
        time.sleep(0.1)
except OSError:
    pass
ok("and who goes on all the same is closed", time.time() - t < 15)
s = server.connect()
s.sendall(head(close=False))
s.recv(1000)
t = time.time()
got = read_all(s)
ok("H30 an idle connection is closed", got == b"" and time.time() - t > 1, (got, time.time() - t))
server.stop()
server = Server("limits.connections=20", "limits.connections_per_address=19", "limits.body=1MiB")
many = [server.connect() for i in range(19)]
time.sleep(0.2)
s = server.connect()
got = read_all(s)
ok("H32 one connection too many: 503", status_of(got) == 503 and b"Retry-After" in got, got)
for m in many:
    m.close()
time.sleep(0.2)
gives("then there is room again", 200, head())
gives("a limit of its own for bodies", 413, post(b"x" * (2 << 20)))
server.stop()

# -- slow heads do not hold up others (F17, P10)
server = Server()
many = []
for i in range(300):
    s = server.connect()
    s.sendall(b"GET / HTTP/1.1\r\nHost: loc")
    many.append(s)
gives("F17 300 half heads hold up nobody", 200, head())
server.p.stdin.write(b"q")
server.p.stdin.flush()
time.sleep(0.3)
try:
    ask(server, head())
    refused = False
except ConnectionRefusedError:
    refused = True
ok("quiesced: no new connections", refused)
server.stop()

# -- EMFILE
server_program, program_was = program, program
server = Server("limits.connections=1000")
subprocess.run(["prlimit", f"--pid={server.p.pid}", "--nofile=40:40"], check=False)
many = [server.connect() for i in range(60)]
time.sleep(0.5)
t0 = sum(os.times()[:4])
with open(f"/proc/{server.p.pid}/stat") as f:
    before = sum(int(x) for x in f.read().split()[13:15])
time.sleep(1)
with open(f"/proc/{server.p.pid}/stat") as f:
    used = sum(int(x) for x in f.read().split()[13:15]) - before
ok("F18 without file descriptors it does not spin", used < 30, used)
for m in many:
    m.close()
time.sleep(1.2)
gives("and goes on when there are some", 200, head())
server.stop()

# -- origins and hosts that are configured
server = Server("listen.origins=https://app.example,http://localhost:*", "listen.hosts=hearth.example,.lan")
for host in ("hearth.example", "hearth.example:80", "box.lan"):
    gives(f"configured Host {host}", 200, head(host=host))
gives("not a part of it", 421, head(host="xlan"))
h, _ = gives("an allowed origin posts", 200, post(Origin="https://app.example"))
ok("and sees it", h.get("access-control-allow-origin") == "https://app.example" and
   "access-control-allow-credentials" not in h, h)
gives("one by its pattern", 200, post(Origin="http://localhost:3000", Sec_Fetch_Site="cross-site"))
gives("one that is not", 403, post(Origin="https://app.example.evil"))
h, _ = gives("its preflight", 204, head("OPTIONS", "/echo", Origin="https://app.example", Access_Control_Request_Method="POST",
                                        Access_Control_Request_Headers="content-type,x-y"))
ok("allows", h.get("access-control-allow-headers") == "content-type,x-y" and "POST" in h.get("access-control-allow-methods", ""), h)
server.stop()

# -- keys
work = tempfile.mkdtemp()
keys = os.path.join(work, "keys")
hearth = os.environ.get("HEARTH", "")


def make_key(name, *more):
    import hashlib
    key, salt = "hearth-" + os.urandom(32).hex(), os.urandom(16)
    with open(keys, "a") as f:
        f.write(f"{name} {salt.hex()}:{hashlib.sha256(salt + key.encode()).hexdigest()} {' '.join(more)}\n")
    os.chmod(keys, 0o600)
    return key


alice, root, slowly = make_key("alice", "infer"), make_key("root", "infer,manage,metrics"), make_key("slow", "infer", "per_minute=3")
server = Server("listen.keys=" + keys)
gives("public without a key", 200, head())
h, _ = gives("Q27 without a key", 401, post())
ok("says which scheme", h.get("www-authenticate") == "Bearer", h)
gives("a wrong key", 401, post(Authorization="Bearer " + alice[:-1] + "x"))
gives("an empty key", 401, post(Authorization="Bearer "))
gives("a key in the URL", 401, post(path="/echo?key=" + alice))
gives("a key", 200, post(Authorization="Bearer " + alice))
gives("x-api-key", 200, post(x_api_key=alice))
gives("api-key", 200, post(api_key=alice))
gives("two keys", 400, post(Authorization="Bearer x") .replace(b"Host:", b"Authorization: Bearer " + alice.encode() + b"\r\nHost:"))
gives("another scope", 403, head("DELETE", "/thing", Authorization="Bearer " + alice))
gives("the right scope", 200, head("DELETE", "/thing", Authorization="Bearer " + root))
for i in range(3):
    gives("three a minute", 200, post(Authorization="Bearer " + slowly))
h, _ = gives("the fourth", 429, post(Authorization="Bearer " + slowly))
ok("says when", 1 <= int(h.get("retry-after", "0")) <= 21, h)
code, said = server.stop()
ok("keys are not in the log", alice not in said and root not in said, said)
os.chmod(keys, 0o644)
server = Server("listen.keys=" + keys)
code, said = server.stop()
ok("Y5 keys that others can read are refused", code == 64 and "chmod 600" in said, (code, said))
server = Server("listen.host=0.0.0.0")
code, said = server.stop()
ok("beyond loopback without keys: refused", code == 64 and "hearth key add" in said, (code, said))
server = Server("listen.host=0.0.0.0", "listen.allow_no_key=true")
gives("beyond loopback, by an address", 200, head(host="192.168.1.1"))
gives("beyond loopback, by a foreign name", 421, head(host="evil.example"))
other = Server(f"listen.port={server.port}", "listen.host=0.0.0.0", "listen.allow_no_key=true")
code, said = other.stop()
ok("Y10 a port in use", code == 5 and "in use" in said, (code, said))
server.stop()

# -- a unix socket, and sockets that are handed over
path = os.path.join(work, "s")
server = Server("listen.host=unix:" + path)
ok("a unix socket is its owner's", oct(os.stat(path).st_mode & 0o777) == "0o600", oct(os.stat(path).st_mode))
s = socket.socket(socket.AF_UNIX)
s.connect(path)
s.sendall(head(host="anything"))
ok("a unix socket answers", status_of(read_all(s)) == 200)
other = Server("listen.host=unix:" + path)
code, said = other.stop()
ok("a unix socket in use", code == 5 and "already" in said, (code, said))
server.stop()
ok("it is gone afterwards", not os.path.exists(path))
l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen(10)
os.set_inheritable(l.fileno(), True)
p = subprocess.Popen(["bash", "-c", f'exec 3<&{l.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "$0" "$@"', program],
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False)
p.stdout.readline()
s = socket.create_connection(l.getsockname())
s.sendall(head())
ok("a socket that systemd hands over", status_of(read_all(s)) == 200)
p.stdin.close()
p.wait(10)

print(f"1..{n_test}")
sys.exit(n_bad != 0)

"""TLS with real traffic, and clients that do it badly."""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from abuse_server import Server, finish, ok, read_all, request

home = tempfile.mkdtemp()
cert, key = home + "/cert.pem", home + "/key.pem"


def make_cert(cert, key):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)


make_cert(cert, key)
with open(home + "/Modelfile", "w") as f:
    f.write(f"FROM {os.path.realpath(sys.argv[1])}\n")
env = dict(os.environ, HEARTH_MODELS=home + "/models", XDG_DATA_HOME=home, XDG_CONFIG_HOME=home)
subprocess.run([os.environ["HEARTH"], "create", "tiny", "-f", home + "/Modelfile"], env=env, check=True,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
server = Server(sys.argv[1], "--set", f"listen.tls_cert={cert}", "--set", f"listen.tls_key={key}",
                "--set", "limits.head_timeout=1s", "--set", "log.level=info", home=home)
trusted = ssl.create_default_context(cafile=cert)


def connect(context=None):
    return (context or trusted).wrap_socket(server.connect(), server_hostname="localhost", suppress_ragged_eofs=False)


def chat(stream, n=40):
    return {"model": "tiny", "prompt": "Once upon a time", "max_tokens": n, "temperature": 0, "stream": stream}


def until(good, seconds=20):
    end = time.monotonic() + seconds
    while not good():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def get(path="/health"):
    """A whole exchange on a connection of its own: status and body."""
    s = connect()
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    head, _, body = read(s).partition(b"\r\n\r\n")
    return int(head[9:12] or 0), body


def read(s):
    got = b""
    try:
        while True:
            some = s.recv(65536)
            if not some:
                return got
            got += some
    except (OSError, ValueError) as e:  # also an end without a goodbye
        return got + b"[" + type(e).__name__.encode() + b"]"


def text_of(stream):
    events = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return events[-1:], "".join(json.loads(e)["choices"][0]["text"] for e in events[:-1] if json.loads(e)["choices"])


def unchunk(body):
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        n = int(size, 16)
        if n == 0:
            break
        out, body = out + body[:n], body[n + 2:]
    return out


def running():
    _, body = get("/metrics")
    return [line for line in body.decode().split("\n") if line.startswith("hearth_requests_running{") and not line.endswith(" 0")]


def survives(name):
    ok(name + ": the next request is answered", get()[0] == 200)


# -- answers
s = connect()
s.sendall(request("/v1/completions", chat(False)) + request("/v1/completions", chat(False), close=True))
answers = read(s).split(b"HTTP/1.1 200 OK")
whole = json.loads(answers[1].partition(b"\r\n\r\n")[2])["choices"][0]["text"] if len(answers) == 3 else None
ok("two requests on one connection", len(answers) == 3 and bool(whole), answers)
s = connect()
s.sendall(request("/v1/completions", chat(True), close=True))
got = read(s)
last, text = text_of(unchunk(got.partition(b"\r\n\r\n")[2]))
ok("a stream says the same, to its end and with a goodbye", last == [b"[DONE]"] and text == whole and not got.endswith(b"]"), (last, text, whole, got[-40:]))
if shutil.which("curl"):
    p = subprocess.run(["curl", "-sSN", "--max-time", "30", "--cacert", cert, f"https://localhost:{server.port}/v1/completions",
                        "-H", "Content-Type: application/json", "-d", json.dumps(chat(True))], capture_output=True)
    last, text = text_of(p.stdout)
    ok("curl reads the stream", p.returncode == 0 and last == [b"[DONE]"] and text == whole, (p.returncode, p.stderr, last))
else:
    ok("curl reads the stream # SKIP no curl", True)
try:
    connect(ssl.create_default_context())
    ok("a certificate that nobody vouches for is refused by the client", False)
except ssl.SSLError:
    ok("a certificate that nobody vouches for is refused by the client", True)
survives("a client that does not trust it")

# -- limits
s = connect()
s.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n{")
got = read(s)
ok("413", got.startswith(b"HTTP/1.1 413") and b'"error"' in got, got)
s = connect()
begun = time.monotonic()
s.sendall(b"GET /health HTTP/1.1\r\nHost: local")
got = read(s)
ok("a head that does not end: the connection does", b"200" not in got and time.monotonic() - begun < 15, got)
s = server.connect()
begun = time.monotonic()
s.sendall(bytes.fromhex("16030100f8010000f40303"))
got = read_all(s)
ok("nor does a handshake go on for ever", time.monotonic() - begun < 15 and not got.startswith(b"HTTP"), got)

# -- clients that do it badly
for name, junk in (("HTTP", b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"), ("zeros", bytes(4096)), ("a cut hello", bytes.fromhex("1603010005010000")),
                   ("a record that is too long", bytes.fromhex("160301ffff") + b"x" * 70000)):
    s = server.connect()
    try:
        s.sendall(junk)
    except OSError:
        pass
    got = read_all(s)
    ok(f"{name} instead of a handshake: no answer in the clear", not got.startswith(b"HTTP"), got)
survives("garbage")


def broken(name, how):
    s = connect()
    s.sendall(request("/v1/completions", chat(True, 400)))
    first = s.recv(4096)
    how(s)
    ok(f"{name}: the request ends", first.startswith(b"HTTP/1.1 200") and until(lambda: not running()), (first[:60], running()))


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()


def goodbye(s):
    try:
        s.unwrap()
    except (OSError, ValueError):
        pass


broken("closed without a goodbye", lambda s: s.close())
broken("a sending side that is shut", lambda s: (socket.socket.shutdown(s, socket.SHUT_WR), read(s)))
broken("a goodbye in the middle", goodbye)
broken("a reset", reset)
broken("garbage in the middle", lambda s: (os.write(s.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32), read(s)))
survives("broken streams")

p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-tls1_2", "-CAfile", cert],
                   input=b"R\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", capture_output=True, timeout=30)
survives("a wish for other keys")
for old in ("-tls1", "-tls1_1"):
    p = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", old, "-cipher", "DEFAULT@SECLEVEL=0"],
                       input=b"", capture_output=True, timeout=30)
    ok(f"{old[1:]} is refused", p.returncode != 0 and b"Cipher is ECDHE" not in p.stdout, p.stdout[-600:])
survives("old versions")

# -- a renewed certificate
def renew(key_of=None):
    """Another certificate takes the place of the one that is there; its key is not its own where key_of says so."""
    make_cert(home + "/new.pem", home + "/new_key.pem")
    os.replace(home + "/new.pem", cert)
    os.replace(key_of or home + "/new_key.pem", key)
    return ssl.create_default_context(cafile=cert)


def holds(context):
    try:
        connect(context).close()
        return True
    except ssl.SSLError:
        return False


def hang_up():
    """SIGHUP; what the log says of it."""
    before = len(server.said())
    server.p.send_signal(signal.SIGHUP)
    until(lambda: "reloaded" in server.said()[before:])
    return server.said()[before:]


fds = server.held()[0]
kept = connect()
kept.sendall(request("/v1/completions", chat(False)))
stream = connect()
stream.sendall(request("/v1/completions", chat(True, 400), close=True))
first = stream.recv(4096)
was, renewed = trusted, renew()
ok("a certificate that is renewed: until SIGHUP the old one holds", holds(was) and not holds(renewed))
said = hang_up()
ok("after it the new one does", until(lambda: holds(renewed)) and not holds(was) and "not reloaded" not in said, said)
trusted = renewed
survives("a renewed certificate")
got = first + read(stream)
ok("a stream that had begun goes on to its end", b"data: [DONE]" in got and not got.endswith(b"]"), got[-200:])
kept.sendall(request("/v1/completions", chat(False), close=True))
got = read(kept)
ok("and so does a connection that was there", got.count(b"HTTP/1.1 200 OK") == 2, got[-300:])
kept.close()
stream.close()
said = hang_up()
ok("SIGHUP again: nothing has changed", "not reloaded" not in said and holds(renewed), said)
make_cert(home + "/other.pem", home + "/other_key.pem")
renew(key_of=home + "/other_key.pem")
said = hang_up()
ok("another one's key: an error, and the last one holds", "not reloaded" in said and cert in said and holds(renewed), said)
for broken_file, words in ((cert, "no certificate"), (key, key)):
    os.remove(broken_file)
    if broken_file == cert:
        with open(cert, "w") as f:
            f.write("no PEM")
    said = hang_up()
    ok(f"{os.path.basename(broken_file)} that is none: an error, and the last one holds", "not reloaded" in said and words in said and holds(renewed), said)
for _ in range(5):
    trusted = renew()
    hang_up()
    until(lambda: holds(trusted))
survives("five more renewals")
for _ in range(20):
    get()
ok("nothing is left of connections and certificates", until(lambda: server.held()[0] <= fds + 2), (fds, server.held()))
ok("it ends well", server.stop(keep=True) == 0 and "Sanitizer" not in server.said(), [server.p.returncode, server.said()[-4000:]])
server.stop()
shutil.rmtree(home)
finish()

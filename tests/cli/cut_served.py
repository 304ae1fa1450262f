"""A model's file that is cut while it is served: its requests end as their protocols say, the
others and the server go on, and who asks next gets the file as it is then.

A stream is known to be in the middle when its first bytes were read and the rest was not: it is
far longer than what sockets and the server hold for a slow reader."""
import os
import shutil
import subprocess
import sys
import tempfile
import time

from abuse_faults import DIALECTS, until
from abuse_server import Server, finish, ok, read_all, request

LONG = 30000
WORDS = ["changed on disk", "load it again"]
model = sys.argv[1]
work = tempfile.mkdtemp()
file = work + "/m.gguf"
whole = open(model, "rb").read()


def put():
    """The file, whole, under the same name: another one."""
    with open(file + ".new", "wb") as f:
        f.write(whole)
    os.rename(file + ".new", file)


def begin(server, dialect, name):
    """A long stream; its first bytes."""
    body = dialect.body("Once upon a time", True, n=LONG)
    body["model"] = name
    if "options" in body:
        body["options"]["num_ctx"] = LONG + 100
    s = server.connect()
    s.sendall(request(dialect.path, body, close=True))
    got = b""
    while b"\r\n\r\n" not in got or len(got.split(b"\r\n\r\n", 1)[1]) < 200:
        more = s.recv(2000)
        if not more:
            break
        got += more
    return s, got


def short(server, name="tiny"):
    return server.ask("/v1/completions", {"model": name, "prompt": "Once upon a time", "max_tokens": 20, "temperature": 0})


def text(answer):
    try:
        return answer.json()["choices"][0]["text"]
    except (KeyError, TypeError, IndexError):
        return None


put()
server = Server(file, "--set", f"models.context={LONG + 200}", "--set", f"models.kv_disk={work}/kv",
                "--set", f"models.pack_cache={work}/packed")
with open(server.home + "/Modelfile", "w") as f:
    f.write(f"FROM {os.path.realpath(model)}\n")
subprocess.run([server.hearth, "create", "other", "-f", f.name], env=server.env, check=True, stdout=subprocess.DEVNULL)
try:
    good = text(short(server))
    ok("the model answers", good and text(short(server, "other")) == good, good)
    for cut in (0, 4096):
        streams = [(d, *begin(server, d, "tiny")) for d in DIALECTS]
        other, said = begin(server, DIALECTS[0], "other")
        os.truncate(file, cut)
        for d, s, got in streams:
            got += read_all(s)
            tail = got[-3000:].decode(errors="replace")
            faults = [w for w in [*WORDS, file] if w not in tail.replace("\\/", "/")]
            ok(f"cut to {cut}: a stream of {d.name} ends with an error that names the file", not faults and b"\0" not in got, [faults, tail[-600:]])
            if d.name == "anthropic": # "overloaded_error" would be asked again, as if it was load
                ok(f"cut to {cut}: to clients of Anthropic it is no load", '"api_error"' in tail, tail[-600:])
        ok(f"cut to {cut}: health", server.ask("/health").status == 200)
        ok(f"cut to {cut}: another model goes on", text(short(server, "other")) == good)
        a = short(server)
        ok(f"cut to {cut}: the next request says why not", a.status in (422, 500) and "m.gguf" in a.body.decode(), a)
        more = other.recv(1000)
        other.close()
        ok(f"cut to {cut}: a stream of another model goes on", b"error" not in said + more and more, more)
        put()
        a = short(server)
        ok(f"cut to {cut}: once the file is back all is as before", text(a) == good, a)
    # Nobody asks while it happens.
    os.truncate(file, 4096)
    a = short(server)
    ok("cut while idle: an error that names the file", a.status in (422, 500) and "m.gguf" in a.body.decode(), a)
    ok("cut while idle: it is not loaded any more", until(lambda: b'"tiny' not in server.ask("/api/ps").body))
    put()
    ok("cut while idle: once the file is back all is as before", text(short(server)) == good)
    # What no reader of the mapping would notice.
    time.sleep(0.05)
    os.truncate(file, len(whole) - 1)
    a = short(server)
    ok("its last byte cut: it is not answered", a.status in (422, 500) and "m.gguf" in a.body.decode(), a)
    put()
    ok("its last byte cut: once the file is back all is as before", text(short(server)) == good)
    time.sleep(0.05)
    with open(file, "r+b") as f:
        f.seek(len(whole) - 60000)
        f.write(whole[-60000:-20000][::-1])
    shutil.copy(file, work + "/n.gguf")
    with open(server.home + "/Modelfile", "w") as f:
        f.write(f"FROM {work}/n.gguf\n")
    subprocess.run([server.hearth, "create", "third", "-f", f.name], env=server.env, check=True, stdout=subprocess.DEVNULL)
    a, b = short(server), short(server, "third")
    ok("written over: the answer is that of the new bytes", text(a) == text(b) and a.body and text(a) != good, [a, b])
    log = server.said()
    ok("the server ends well", server.stop(keep=True) == 0 and "Sanitizer" not in log, log[-2000:])
finally:
    server.stop()
    shutil.rmtree(work, ignore_errors=True)
finish()

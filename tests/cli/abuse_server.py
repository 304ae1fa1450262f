"""hearth serve with one small model for tests that speak to it; and TAP."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

n_test = n_bad = 0


def ok(name, good, said=""):
    global n_test, n_bad
    n_test += 1
    n_bad += not good
    print(("ok" if good else "not ok"), n_test, "-", name)
    if not good:
        for item in said if isinstance(said, list) else [said]:
            for line in (item if isinstance(item, str) else repr(item)).splitlines()[:80]:
                print("#", line[:700])
    sys.stdout.flush()
    return good


def finish():
    print(f"1..{n_test}")
    sys.exit(n_bad != 0)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {k.lower(): v for k, v in headers}
        self.warnings = [v for k, v in headers if k.lower() == "warning"]

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def __repr__(self):
        return f"{self.status} {self.body[:300]!r}"


class Server:
    """A server of its own; a model named tiny in a store of its own."""

    def __init__(self, model, *words, home=None):
        self.hearth = os.environ["HEARTH"]
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("HEARTH_", "OLLAMA_"))}
        self.home = home or tempfile.mkdtemp()
        self.owns = home is None
        for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            self.env[name] = self.home
        self.env["HEARTH_MODELS"] = self.home + "/models"
        if self.owns:
            with open(self.home + "/Modelfile", "w") as f:
                f.write(f"FROM {os.path.realpath(model)}\n")
            subprocess.run([self.hearth, "create", "tiny", "-f", f.name], env=self.env, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.log = open(self.home + "/log", "wb")
        self.p = subprocess.Popen([self.hearth, "serve", "--port", "0", *words], env=self.env,
                                  stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.port = 0
        for _ in range(600):
            at = re.search(r"listens on https?://127\.0\.0\.1:(\d+)", self.said())
            if at:
                self.port = int(at[1])
                break
            if self.p.poll() is not None:
                break
            time.sleep(0.02)
        if not self.port:
            raise SystemExit("the server does not start: " + self.said())
        self.line = None

    def said(self):
        with open(self.home + "/log", errors="replace") as f:
            return f.read()

    def connect(self, timeout=20):
        s = socket.create_connection(("127.0.0.1", self.port))
        s.settimeout(timeout)
        return s

    def ask(self, path, body=None, method=None, timeout=20, **headers):
        """One request on a connection that is kept; body: a value, or bytes as they stand."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        head = {"Content-Type": "application/json"}
        head.update({k.replace("_", "-"): v for k, v in headers.items()})
        for again in (1, 0):
            if not self.line:
                self.line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
                self.line.connect()
                self.line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.line.request(method or ("GET" if body is None else "POST"), path, body, head)
                r = self.line.getresponse()
                return Answer(r.status, r.getheaders(), r.read())
            except (OSError, http.client.HTTPException) as e:
                self.line.close()
                self.line = None
                if not again or self.p.poll() is not None:
                    return Answer(0, [], repr(e).encode())

    def metrics(self):
        text = self.ask("/metrics").body.decode()
        return {m[1]: float(m[2]) for m in re.finditer(r"^([^#\s]\S*) (\S+)$", text, re.M)}

    def gauge(self, name):
        return sum(v for k, v in self.metrics().items() if k.split("{")[0] == name)

    def held(self):
        """File descriptors, threads, resident bytes; no bytes under a sanitizer, which keeps what is freed."""
        at = f"/proc/{self.p.pid}"
        with open(at + "/status") as f:
            status = f.read()
        rss = 0 if "san/" in self.hearth else int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024
        return len(os.listdir(at + "/fd")), int(re.search(r"Threads:\s+(\d+)", status)[1]), rss

    def stop(self, sig=signal.SIGTERM, keep=False):
        """Its exit status. sig 0: it is about to end by itself. No SIGCONT: that would undo the stop with which the
        leak checker of a sanitizer looks at the program's threads."""
        if self.line:
            self.line.close()
            self.line = None
        if self.p.poll() is None:
            self.p.send_signal(sig)
        status = self.p.wait(60)
        self.log.close()
        if self.owns and not keep:
            shutil.rmtree(self.home)
        return status


def request(path, body, close=False):
    """The bytes of a POST."""
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n" + ("Connection: close\r\n" if close else "") +
            "\r\n").encode() + body


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

"""A server on a unix socket whose answers go wrong, each model's in its own way: bad_server.py PATH"""
import json
import os
import socketserver
import sys
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def address_string(self):
        return "unix"

    def say(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.say(200, '{"version": "0.0.1"}')

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        model = body["model"]
        line = json.dumps({"response": "So far"}) + "\n"
        if self.path == "/api/show":
            self.say(401 if model == "secret" else 200, '{"error": "no key"}' if model == "secret" else "{}")
        elif model == "fails":
            self.say(200, line + '{"error": "it fell\\u001b[31m over"}\n')
        elif model == "ends":
            self.say(200, line)
        elif model == "babbles":
            self.say(200, line + "<html>\n")
        elif model == "busy":
            self.say(503, '{"error": {"message": "the queue is full"}}')
        elif model == "warns":
            self.send_response(200)
            for text in ('299 hearth "one \\"thing\\" has no effect"', '299 hearth "two \x1b[31m"', "299"):
                self.send_header("Warning", text)
            self.send_header("Content-Length", str(len(line) + 14))
            self.end_headers()
            self.wfile.write(line.encode() + b'{"done":true}\n')
        elif model == "long":
            self.send_response(400)
            self.send_header("X-Hearth-Error", "context_length_exceeded")
            self.send_header("Content-Length", "20")
            self.end_headers()
            self.wfile.write(b'{"error":"too long"}')
        elif model == "breaks":
            self.send_response(200)
            self.send_header("Content-Length", "10000")
            self.end_headers()
            self.wfile.write(line.encode())
        else:
            self.say(200, json.dumps({"response": json.dumps(body["options"]), "done": True}) + "\n")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


server = Server(sys.argv[1] + ".new", Handler)
os.rename(sys.argv[1] + ".new", sys.argv[1])
server.serve_forever()

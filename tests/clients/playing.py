"""What the clients of providers share: a server that plays the tests' fixtures, and Triptych connected to it."""

import json
import os
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures/image"


def status_of(name):
    """`rate.429.json`: the status stands before the ending."""
    parts = name.split(".")
    return int(parts[-2]) if len(parts) > 2 and parts[-2].isdigit() else 200


@contextmanager
def playing(provider, name_of, picture=b"", looked_at=lambda path: None):
    """The fixtures of a provider on a free port. `name_of(path, request)` names the answer to a request, `looked_at(path)`
    that to a GET; all others, such as links in answers, lead to `picture`."""
    seen = []

    class Playing(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["content-length"] or 0)) or "null")
            seen.append((self.path, dict(self.headers), request))
            self.play(name_of(self.path, request))

        def do_GET(self):
            name = looked_at(self.path)
            if not name:
                return self.answer(200, "application/octet-stream", picture)
            seen.append((self.path, dict(self.headers), None))
            return self.play(name)

        def play(self, name):
            body = (FIXTURES / provider / name).read_bytes()
            body = body.replace(b"UPSTREAM", f"http://{self.headers['host']}".encode())
            self.answer(status_of(name), "text/event-stream" if name.endswith(".sse") else "application/json", body)

        def answer(self, status, kind, body):
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Playing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()


@contextmanager
def triptych(program, settings):
    """Triptych on a free port with these settings and no others; its REST address."""
    with tempfile.TemporaryDirectory() as directory:
        ports = {"TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0"}
        environment = {"PATH": os.environ["PATH"], **ports, **settings}
        process = subprocess.Popen(
            [program], cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            lines = iter(process.stdout.readline, "")
            rest = next(line.split()[1] for line in lines if line.strip().startswith("REST "))
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield rest
        finally:
            process.terminate()
            process.wait(30)


def generated(rest, **members):
    """The status and the answer of a generation over REST."""
    request = urllib.request.Request(
        f"{rest}/images/generations", json.dumps(members).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)

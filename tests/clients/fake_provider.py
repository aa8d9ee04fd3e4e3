"""A server that responds as an image provider with the fixtures of the tests, and Triptych on free ports, for any client."""

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
    """Returns the status in a fixture's name, such as `rate.429.json`; the default is 200."""
    parts = name.split(".")
    return int(parts[-2]) if len(parts) > 2 and parts[-2].isdigit() else 200


@contextmanager
def fake_provider(provider, post_fixture, image=b"", get_fixture=lambda path: None):
    """Serves the fixtures of a provider on a free port. Yields its URL and the list of received requests: path, headers,
    JSON. `post_fixture(path, request)` returns the name of the fixture for a POST, `get_fixture(path)` that for a GET, or
    None for `image`, which the links in responses lead to."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            request = json.loads(self.rfile.read(int(self.headers["content-length"] or 0)) or "null")
            received.append((self.path, dict(self.headers), request))
            self.send_fixture(post_fixture(self.path, request))

        def do_GET(self):
            name = get_fixture(self.path)
            if not name:
                return self.send(200, "application/octet-stream", image)
            received.append((self.path, dict(self.headers), None))
            return self.send_fixture(name)

        def send_fixture(self, name):
            body = (FIXTURES / provider / name).read_bytes()
            body = body.replace(b"UPSTREAM", f"http://{self.headers['host']}".encode())
            self.send(status_of(name), "text/event-stream" if name.endswith(".sse") else "application/json", body)

        def send(self, status, content_type, body):
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()


@contextmanager
def start_triptych(program, settings):
    """Starts Triptych on free ports with these settings as its environment variables, and of its caller's only PATH. Yields its REST
    base URL."""
    with start_both_apis(program, settings) as (rest, _):
        yield rest


@contextmanager
def start_both_apis(program, settings):
    """As `start_triptych`, but yields the REST base URL and the address of the gRPC API."""
    with tempfile.TemporaryDirectory() as directory, start_both_apis_in(directory, program, settings) as named:
        yield named


@contextmanager
def start_both_apis_in(directory, program, settings):
    """As `start_both_apis`, in this directory, to which the paths of Unix sockets are relative."""
    ports = {"TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0"}
    environment = {"PATH": os.environ["PATH"], **ports, **settings}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([program], cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            lines = iter(process.stdout.readline, "")
            named = [next((line.split()[1] for line in lines if line.split()[:1] == [name]), None) for name in ("REST", "gRPC")]
            if None in named:
                log.seek(0)
                raise RuntimeError(f"Triptych ended before it listened; the end of its log:\n{log.read()[-2000:]}")
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield named
        finally:
            process.terminate()
            process.wait(30)


def generate_images(rest, **members):
    """Returns the status and the JSON of an image generation over REST."""
    request = urllib.request.Request(
        f"{rest}/images/generations", json.dumps(members).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)

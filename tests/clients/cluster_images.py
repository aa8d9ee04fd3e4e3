"""Equal image requests at once at all nodes of `cluster`: they are one request to the provider, which is paid once."""

import base64
import hashlib
import json
import struct
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

from cluster_clients import BURST, Clients

# Width and height of the picture, in pixels.
SIZE = 1024
# The seconds until the provider responds. All requests of a burst arrive before.
DELAY = 2


def png(size: int) -> bytes:
    """Returns a grey picture."""
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * size) * size)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


class ImageUpstream:
    """Serves POST /v1/images/generations, and counts the requests for each prompt."""

    def __init__(self, host: str) -> None:
        self.requests, lock = Counter(), Lock()
        body = json.dumps({"created": 1, "data": [{"b64_json": base64.b64encode(png(SIZE)).decode()}]}).encode()
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    requests[request["prompt"]] += 1
                time.sleep(DELAY)
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer((host, 0), Handler)
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        self.settings = {"IMAGE_SERVICE_TYPE": "openai", "IMAGE_BASE_URL": f"http://{host}:{server.server_port}/v1", "IMAGE_MODELS": "scripted-image"}


def burst(clients: Clients, upstream: ImageUpstream, prompt: str) -> list[str]:
    """Sends one image request BURST times at once, in turn to all nodes, with one Idempotency-Key. Returns the problems."""
    body = {"model": "scripted-image", "prompt": prompt, "size": f"{SIZE}x{SIZE}", "response_format": "b64_json"}
    one = lambda i: clients.rest("POST", "/v1/images/generations", body, f"image-{prompt}", i % len(clients.nodes))
    with ThreadPoolExecutor(BURST) as pool:
        answers = Counter((status, hashlib.sha256(data).hexdigest()[:8] if status == 200 else data[:200]) for status, data in pool.map(one, range(BURST)))
    requests = upstream.requests[prompt]
    print(f"   {BURST} equal image requests over {len(clients.nodes)} nodes: {requests} at the provider, {len(answers)} different responses", flush=True)
    problems = [f"an image request: {answer}" for answer in answers if answer[0] != 200]
    if (requests, len(answers)) != (1, 1):
        problems.append(f"equal image requests: {requests} at the provider, {len(answers)} different responses")
    return problems

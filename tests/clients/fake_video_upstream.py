"""An OpenAI-compatible videos upstream with injected faults, which counts the renders that it would bill. Used by the tests that
kill Triptych."""

import json
import random
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PART = re.compile(rb'form-data; name="(\w+)"\r\n\r\n(.*?)\r\n--', re.DOTALL)


class Server(ThreadingHTTPServer):
    # With the default of 5, connections of a burst of polls are dropped, and clients try again for up to a minute.
    request_queue_size = 1024


class Upstream:
    """Serves POST, GET, DELETE and the list of `/v1/videos` on a free port of `host`. `faults` are the shares of requests that fail:

    refuse: a submission is refused with 503 and starts no render
    lose: a submission starts a render, and the connection breaks before the response
    break: a submission starts a render, and is answered 500
    missing: a poll finds no such render
    limit: a poll is answered 429 with Retry-After
    cut: the file ends early
    """

    def __init__(self, clip: bytes, faults: dict[str, float], render_seconds=(0.2, 1.5), host: str = "127.0.0.1"):
        self.clip, self.faults, self.render_seconds = clip, faults, render_seconds
        # Renders by id, faults by name, ids of cancelled renders, and the polls in a row that have not found a render, by id.
        self.renders, self.injected, self.cancelled, self.missed = {}, Counter(), set(), Counter()
        self.lock = threading.Lock()
        self.server = Server((host, 0), self._handler())
        self.server.daemon_threads = True
        # Triptych is killed while it waits for responses.
        self.server.handle_error = lambda *_: None
        self.url = f"http://{host}:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def prompts(self) -> Counter:
        """Returns how many renders each prompt has."""
        with self.lock:
            return Counter(render["prompt"] for render in self.renders.values())

    def _fails(self, fault: str) -> bool:
        """Decides whether this request fails, and counts the fault: the first one does, so that a short test has every fault, and of the
        others a share at random."""
        share = self.faults.get(fault, 0)
        fails = share > 0 and not self.injected[fault] or random.random() < share
        self.injected[fault] += fails
        return fails

    def _misses(self, id: str) -> bool:
        """Decides whether a poll does not find the render. At most twice in a row: Triptych gives a render up after the third."""
        misses = self.missed[id] < 2 and self._fails("missing")
        self.missed[id] = self.missed[id] + 1 if misses else 0
        return misses

    def _submit(self, fields: dict[str, str]) -> dict:
        """Starts a render, which is ready after a random time."""
        with self.lock:
            id = f"video_{len(self.renders)}"
            ready = time.time() + random.uniform(*self.render_seconds)
            render = {"id": id, "object": "video", "model": fields["model"], "prompt": fields["prompt"], "size": fields["size"]}
            self.renders[id] = render | {"seconds": fields["seconds"], "created_at": int(time.time()), "ready": ready}
            return self.renders[id]

    @staticmethod
    def _view(render: dict) -> dict:
        """Returns a render as the API shows it."""
        done = time.time() >= render["ready"]
        shown = {name: value for name, value in render.items() if name != "ready"}
        return shown | {"status": "completed" if done else "in_progress", "progress": 100 if done else 50}

    def _handler(upstream):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if upstream._fails("refuse"):
                    return self.send(503, {"error": {"message": "overloaded", "code": "overloaded"}}, {"retry-after": "1"})
                render = upstream._submit({name.decode(): value.decode() for name, value in PART.findall(body)})
                if upstream._fails("lose"):
                    self.close_connection = True
                    return self.connection.close()
                if upstream._fails("break"):
                    return self.send(500, {"error": {"message": "internal error"}})
                return self.send(200, upstream._view(render))

            def do_GET(self):
                url = urlsplit(self.path)
                id, *rest = url.path.removeprefix("/v1/videos").strip("/").split("/")
                if not id:
                    limit = int(parse_qs(url.query).get("limit", ["20"])[0])
                    with upstream.lock:
                        newest = list(upstream.renders.values())[::-1][:limit]
                    return self.send(200, {"object": "list", "data": [upstream._view(render) for render in newest]})
                render = upstream.renders.get(id)
                if not render or not rest and upstream._misses(id):
                    return self.send(404, {"error": {"message": "no such video", "code": "not_found"}})
                if rest:
                    clip, cut = upstream.clip, upstream._fails("cut")
                    self.send_response(200)
                    self.send_header("content-type", "video/mp4")
                    self.send_header("content-length", str(len(clip)))
                    self.end_headers()
                    self.wfile.write(clip[: len(clip) // 2] if cut else clip)
                    self.close_connection = cut
                    return None
                if upstream._fails("limit"):
                    return self.send(429, {"error": {"message": "slow down"}}, {"retry-after": "1"})
                return self.send(200, upstream._view(render))

            def do_DELETE(self):
                id = self.path.rsplit("/", 1)[-1]
                upstream.cancelled.add(id)
                return self.send(200, {"id": id, "object": "video.deleted", "deleted": True})

            def send(self, status, body, headers=()):
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in dict(headers).items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        return Handler

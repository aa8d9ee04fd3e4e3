"""Checks the dashboards and alert rules against the metrics of a running Triptych.

    check.py PATH_OF_TRIPTYCH

Starts the program with a fake chat upstream, makes calls that lead to all metrics, and compares: each metric, label and fixed label
value of a query must be in /metrics. Needs nothing but Python.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DEPLOY = Path(__file__).parent
# Metrics of events that a healthy process cannot be made to have within seconds: only their names are compared, with the table of
# docs/telemetry.md.
RARE = {
    "triptych_log_lines_dropped_total",
    "triptych_media_removed_bytes_total",
    "triptych_job_poll_lag_seconds_bucket",
    "triptych_server_refusals_total",
    "triptych_tls_certificate_expiry_timestamp_seconds",
    "triptych_webhook_attempts_total",
}
USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


class Upstream(BaseHTTPRequestHandler):
    """A chat upstream. The model `fails` answers 500, and `slow` after a second."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if request["model"] == "fails":
            return self.respond(500, "application/json", b'{"error": {"message": "away"}}')
        if request["model"] == "slow":
            time.sleep(1)
        if not request.get("stream"):
            message = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
            reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [message], "usage": USAGE}
            return self.respond(200, "application/json", json.dumps(reply).encode())
        choices = [[{"index": 0, "delta": {"content": word}, "finish_reason": None}] for word in ("Hi", " there")] + [[]]
        chunks = [{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choice} for choice in choices]
        chunks[-1]["usage"] = USAGE
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        return self.respond(200, "text/event-stream", "".join(events).encode())

    def respond(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        # The client of a call to `slow` is gone by then.
        with contextlib.suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


def queries() -> Iterator[tuple[str, str]]:
    """Returns the queries of all dashboards and alert rules, with their place."""
    for path in sorted((DEPLOY / "grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text()
    # The standard library cannot read YAML: an expression is the rest of its line, or the deeper lines after `>-`.
    for rule in re.split(r"\n +- alert: ", rules)[1:]:
        name, expression = rule.split("\n", 1)[0], re.search(r"\n( +)expr: (>-\n((?:\1 +.*\n)+)|.*)", rule)
        assert expression, f"{name} has no expr"
        yield f"alerts.yml: {name}", expression[3] or expression[2]


def selectors(query: str) -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """Returns the metrics of a query with the operators and values of their labels."""
    for name, labels in re.findall(r"\b(triptych_\w+)(?:\{([^}]*)\})?", query):
        yield name, {label: (operator, value) for label, operator, value in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', labels)}


def grouping(query: str) -> Iterator[tuple[list[str], list[str]]]:
    """Returns the labels of each `by (...)` with the metrics in the parentheses after it."""
    for match in re.finditer(r"\bby \(([^)]*)\) \(", query):
        depth, end = 1, match.end()
        while depth and end < len(query):
            depth += {"(": 1, ")": -1}.get(query[end], 0)
            end += 1
        yield [label.strip() for label in match[1].split(",")], [name for name, _ in selectors(query[match.end():end])]


def parse(text: str) -> dict[str, list[dict[str, str]]]:
    """Returns the label sets of each metric."""
    found: dict[str, list[dict[str, str]]] = {}
    for name, labels in re.findall(r"^(triptych_\w+)(?:\{(.*)\})? \S+$", text, re.MULTILINE):
        found.setdefault(name, []).append(dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)))
    return found


def problems(place: str, query: str, metrics: dict[str, list[dict[str, str]]], documented: str) -> Iterator[str]:
    for name, labels in selectors(query):
        if re.sub(r"_bucket$", "", name) not in documented:
            yield f"{place}: {name} is not in docs/telemetry.md"
        series = metrics.get(name, [])
        if not series and name not in RARE:
            yield f"{place}: {name} is not in /metrics"
        for label, (operator, value) in labels.items():
            if series and not any(label in one for one in series):
                yield f"{place}: {name} has no label {label}"
            # States and reasons that did not occur are no error; a fixed value of a gauge must exist.
            elif series and operator == "=" and not name.endswith("_total") and not any(one.get(label) == value for one in series):
                yield f"{place}: {name} has no {label}=\"{value}\""
    for labels, names in grouping(query):
        for name in names:
            for label in labels:
                if name in metrics and not any(label in one for one in metrics[name]):
                    yield f"{place}: {name} has no label {label}"


class Server:
    """A running Triptych."""

    def __init__(self, program: str, upstream: str, directory: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.metrics = f"http://127.0.0.1:{free.getsockname()[1]}/metrics"
        settings = {"TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0", "TRIPTYCH_LOG_FILTER": "warn"}
        settings |= {"TRIPTYCH_ADMIN_LISTEN": self.metrics.split("/")[2]}
        Path(directory, "triptych.toml").write_text(
            f'keys = [{{ name = "limited", secret = "{KEYS[0]}", limits = {{ requests_per_minute = 1 }} }}, '
            f'{{ name = "free", secret = "{KEYS[1]}" }}]\n'
            f'[chat]\nmodel = "m"\n[[chat.upstreams]]\nname = "near"\nbase_url = "{upstream}"\nmodels = ["m", "fails", "slow"]\n'
            "[chat.routing]\nfailures = 2\nretries = 0\n"
        )
        environment = {name: value for name, value in os.environ.items() if "TRIPTYCH" not in name and "PROXY" not in name.upper()}
        self.process = subprocess.Popen([program], cwd=directory, env=environment | settings, stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            if match := re.match(r" *REST +(http\S+)", line):
                self.rest = match[1]
            if match := re.match(r" *gRPC +(\S+)", line):
                self.grpc = match[1]
            if "Settings: " in line:
                return
        raise SystemExit("the server did not start")

    def call(self, path: str, body: dict | None = None, key: str = "") -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {key or KEYS[1]}"}
        try:
            with OPENER.open(urllib.request.Request(self.rest + path, data, headers), timeout=60) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def scrape(self) -> str:
        with OPENER.open(self.metrics, timeout=60) as reply:
            return reply.read().decode()


# The secrets of the keys `limited` and `free`.
KEYS = ("0123456789abcdef", "fedcba9876543210")
# Ignores the proxies of the environment.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def make_calls(server: Server) -> None:
    """Leads to a value of each metric."""
    sys.path.insert(0, str(DEPLOY.parent / "benches"))
    from grpc_client import GrpcClient, field

    chat = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    assert server.call("/chat/completions", chat)[0] == 200
    assert server.call("/chat/completions", chat | {"stream": True, "stream_options": {"include_usage": True}})[0] == 200
    for _ in range(3):
        assert server.call("/chat/completions", chat | {"model": "fails"})[0] >= 500
    assert [server.call("/chat/completions", chat, KEYS[0])[0] for _ in range(2)] == [200, 429]
    client = GrpcClient(int(server.grpc.rsplit(":", 1)[1]))
    client.call("/grpc.health.v1.Health/Check", field(1, ""))
    client.close()
    # A client that disconnects before its response.
    with socket.create_connection(server.rest.split("/")[2].split(":")) as connection:
        body = json.dumps(chat | {"model": "slow"})
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {KEYS[1]}\r\ncontent-type: application/json\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        wait_until("the call is in flight", lambda: re.search(r"target_in_flight{.*slow.*} 1", server.scrape()))
    wait_until("the client disconnected", lambda: "triptych_client_disconnects_total" in server.scrape())
    status, created = server.call("/videos", {"model": "offline-video", "prompt": "a boat", "seconds": 1, "size": "64x64"})
    assert status == 200, created
    video = json.loads(created)["id"]
    wait_until("the video is finished", lambda: json.loads(server.call(f"/videos/{video}")[1])["status"] == "completed")


def wait_until(what: str, condition) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise SystemExit(f"timed out: {what}")


def main() -> int:
    program = os.path.abspath(sys.argv[1])
    documented = (DEPLOY.parent / "docs" / "telemetry.md").read_text()
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as directory:
        server = Server(program, f"http://127.0.0.1:{upstream.server_address[1]}/v1", directory)
        try:
            make_calls(server)
            # Jobs are read from the database every few seconds.
            wait_until("the job is in the metrics", lambda: 'phase="total"' in server.scrape())
            metrics = parse(server.scrape())
        finally:
            server.process.terminate()
            server.process.wait(60)
    all_queries = list(queries())
    found = [problem for place, query in all_queries for problem in problems(place, query, metrics, documented)]
    print("\n".join(found) or f"{len(all_queries)} queries match {len(metrics)} metrics")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

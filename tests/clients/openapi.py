"""The OpenAPI document: a request that is valid by it is accepted, an invalid one is refused, and every response matches it.

    openapi.py PATH_OF_TRIPTYCH [EXAMPLES [DOCUMENT]]

schemathesis generates the requests from the document: EXAMPLES for each operation and phase of schemathesis, the same ones in each run.
DOCUMENT is a file instead of the document that is served. Starts Triptych on free ports, with an API key of an administrator.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fake_provider import start_both_apis_in
from openapi_examples import check_examples
from openapi_narrow import for_invalid_requests, narrow

KEY = "the-secret-of-an-operator"
SETTINGS = f"""
keys = ["operator+admin:{KEY}"]
[[teams]]
name = "research"
[[prices]]
model = "*"
per_image = "0.01"
per_second = "0.10"
per_million_input_tokens = "2.50"
per_million_output_tokens = "10"
[offline]
chat_tokens_per_second = 0
# Few jobs at a time, so that processors are left to the requests.
[jobs]
concurrency = 2
[webhooks]
allow_private_addresses = true
callback_secret = "whsec_c2VjcmV0IG9mIGNhbGxiYWNrcywgMjQgYg=="
"""
# Operations whose body is that of another one.
SAME_BODY = ["/v1/engines/{engine}/chat/completions", "/api/v1/videos", "/v1/estimate/videos", "/v1/estimate/images"]
# Those of schemathesis, and the last one from openapi_hooks.py.
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "events_are_described",
]
WORDS = {"positive": "valid", "negative": "invalid"}
# The checks from openapi_hooks.py for each mode.
ACCEPTANCE = {"positive": "valid_is_accepted", "negative": "invalid_is_refused"}


class Receiver(BaseHTTPRequestHandler):
    """Accepts webhooks."""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"] or 0))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def call(url, body=None):
    """Returns the JSON of a response."""
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def finished_video(rest):
    """Returns the id of a finished video."""
    video = call(f"{rest}/videos", {"prompt": "A boat", "size": "64x64", "seconds": 1})
    deadline = time.monotonic() + 60
    while video["status"] != "completed":
        assert video["status"] != "failed" and time.monotonic() < deadline, video
        time.sleep(0.05)
        video = call(f"{rest}/videos/{video['id']}")
    return video["id"]


def schemathesis(document, url, mode, phases, examples, video_id, directory):
    """Sends requests that are valid (mode `positive`) or invalid (`negative`) by the document. Returns the process that has ended."""
    path = Path(directory) / f"{mode}.json"
    path.write_text(json.dumps(document))
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", url, "--mode", mode, "--phases", phases]
    command += ["--header", f"authorization: Bearer {KEY}", "--checks", ",".join([*CHECKS, ACCEPTANCE[mode]])]
    command += ["--max-examples", examples, "--seed", "1", "--generation-deterministic", "--no-shrink", "--continue-on-failure"]
    command += ["--suppress-health-check", "all", "--warnings", "off", "--no-color", "--request-timeout", "60"]
    variables = {"SCHEMATHESIS_HOOKS": "openapi_hooks", "OPENAPI_VIDEO": video_id, "PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.run(command, cwd=directory, env={**os.environ, **variables}, capture_output=True, text=True)


def check(document, url, mode, *arguments):
    """Returns whether the API matches the document."""
    start = time.monotonic()
    result = schemathesis(document, url, mode, *arguments)
    verdict = "ok  " if result.returncode == 0 else "FAIL"
    if result.returncode != 0:
        print(result.stdout, result.stderr)
    counts = [line.split()[0] for line in result.stdout.splitlines() if "generated" in line] or ["0"]
    # schemathesis passes if it makes no requests.
    assert int(counts[0]) > 200, f"only {counts[0]} requests"
    print(f"  {verdict} {counts[0]} requests that are {WORDS[mode]} by the document ({time.monotonic() - start:.1f} s)", flush=True)
    return result.returncode == 0


def check_failure(document, url, *arguments):
    """Asserts that a document with a wrong schema of a response is detected."""
    path = "/healthz"
    wrong = {**document, "paths": {path: json.loads(json.dumps(document["paths"][path]))}}
    wrong["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"] = {"type": "array"}
    result = schemathesis(wrong, url, "positive", *arguments)
    assert "Response violates schema" in result.stdout, result.stdout + result.stderr


def main(program, examples="0", document=None):
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    # Without EXAMPLES, the test takes a minute, and leaves out SAME_BODY. `coverage` has the limits of each member, `fuzzing` combines
    # members.
    phases, negative = ("examples,fuzzing", "coverage") if examples == "0" else ("examples,coverage,fuzzing",) * 2
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "triptych.toml").write_text(SETTINGS)
        with start_both_apis_in(directory, program, {}) as (rest, _):
            url = rest.removesuffix("/v1")
            api = json.loads(Path(document).read_text()) if document else call(f"{url}/openapi.json")
            print(f"  ok   {check_examples(api)} examples of the document fit their schemas", flush=True)
            if examples == "0":
                for path in SAME_BODY:
                    del api["paths"][path]["post"]
            video_id = finished_video(rest)
            valid = narrow(api, video_id, f"http://127.0.0.1:{receiver.server_port}/hook")
            check_failure(valid, url, "fuzzing", "1", video_id, directory)
            passed = check(valid, url, "positive", phases, "3" if examples == "0" else examples, video_id, directory)
            passed &= check(for_invalid_requests(api), url, "negative", negative, "1" if examples == "0" else examples, video_id, directory)
    receiver.shutdown()
    if not passed:
        sys.exit("the document and the API differ")


main(*sys.argv[1:])

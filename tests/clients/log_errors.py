"""Checks that the search for errors in the log of `tests/clients/run` finds an error that Triptych really logs.

    log_errors.py PATH_OF_TRIPTYCH PATTERN

An upstream rejects the configured API key, which the operator has to repair, so it is logged as an error. PATTERN is an
extended regular expression for grep.
"""

import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from chat_upstream import start_with_upstream


class Rejecting(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def main(program, pattern):
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Rejecting)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with start_with_upstream(program, f"http://127.0.0.1:{upstream.server_port}/v1") as server:
        body = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.rest}/v1/chat/completions", body, {"content-type": "application/json"}
        )
        try:
            urllib.request.urlopen(request, timeout=60)
            raise AssertionError("the call did not fail")
        except urllib.error.HTTPError as error:
            assert error.code == 500, error
        deadline = time.monotonic() + 10
        while not (log := server.log()) and time.monotonic() < deadline:
            time.sleep(0.05)
    found = subprocess.run(["grep", "-E", pattern], input=log, text=True, capture_output=True)
    assert found.stdout, f"{pattern!r} does not match the logged error:\n{log}"
    print("  ok   an error in the log is found:", found.stdout.splitlines()[0][:100])


if __name__ == "__main__":
    main(*sys.argv[1:])

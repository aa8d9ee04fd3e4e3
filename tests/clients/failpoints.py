"""Ends Triptych at each named failpoint, restarts it, and checks that no job is lost and no render paid twice.

    failpoints.py PATH_OF_TRIPTYCH

A failpoint is a named place in the code of video jobs (core-service/src/failpoint.rs) at which the process ends itself, without
cleaning up, if the environment variable FAILPOINT has its name. PATH_OF_TRIPTYCH is a development build: release builds have no
failpoints. Each failpoint gets a data directory of its own, an upstream without faults and one job, which is cancelled or deleted
where the failpoint is reached only then. Needs the standard library only.
"""

import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fake_video_upstream import Upstream
from kill_upstream_jobs import small_clip
from server import Server

SOURCE = Path(__file__).parents[2] / "core-service/src/failpoint.rs"
# The failpoints that only a cancellation or a deletion reaches, each with the call that leads to it.
ACTIONS = {"cancellation-recorded": "cancel", "render-stopped": "cancel", "files-removed": "delete"}
# The failpoints at which the process may end after a submission was recorded as begun and before it was sent. The list of this
# upstream does not prove that there is no render, so the job ends with `outcome_unknown`.
UNSENT = ("create-committed", "submission-recorded")
TIMEOUT = 60  # seconds, for each wait


class Receiver:
    """A receiver of webhooks, which counts the deliveries of each event."""

    def __init__(self):
        receiver, self.deliveries = self, []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["content-length"]))
                receiver.deliveries.append(self.headers["webhook-id"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        # The sender is killed while it waits for the response.
        self.server.handle_error = lambda *_: None
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def restart_when_it_ends(server: Server, ends: list[int]) -> None:
    """Restarts the server without the failpoint once it has ended by itself. Appends its exit code to `ends`."""
    code = server.process.wait()
    ends.append(code)
    del server.environment["FAILPOINT"]
    server.start()


def wait_for(condition, expected: str):
    """Returns the first result of `condition` that is true."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.1)
    sys.exit(f"timeout: {expected}")


def run(program: str, failpoint: str, clip: bytes) -> str:
    action = ACTIONS.get(failpoint)
    upstream, receiver = Upstream(clip, {}, (30, 30) if action else (0.3, 0.3)), Receiver()
    directory = tempfile.mkdtemp(prefix=f"failpoint-{failpoint}-")
    config = f'[[webhooks.endpoints]]\nurl = "http://127.0.0.1:{receiver.server.server_port}/"\nsecret_env = "HOOK_SECRET"\n'
    Path(directory, "triptych.toml").write_text(f'[webhooks]\nallow_private_addresses = true\ntimeout = "1s"\n\n{config}')
    settings = {"VIDEO_SERVICE_TYPE": "openai", "VIDEO_BASE_URL": upstream.url, "VIDEO_MODELS": "scripted", "FAILPOINT": failpoint, "HOOK_SECRET": f"whsec_{'A' * 32}"}
    settings |= {"TRIPTYCH_VIDEO_OPENAI_POLL_INTERVAL": "100ms", "TRIPTYCH_JOBS_LEASE": "1s", "TRIPTYCH_CONFIG": "triptych.toml"}
    server, ends = Server(program, directory, settings), []
    threading.Thread(target=restart_when_it_ends, args=(server, ends), daemon=True).start()

    body = {"model": "scripted", "prompt": failpoint, "size": "64x64", "seconds": "1"}
    created, again = (json.loads(server.call("POST", "/v1/videos", body, failpoint)[1])["id"] for _ in range(2))
    assert created == again, "a repeated create made a second job"
    read = lambda: server.call("GET", f"/v1/videos/{created}")
    if action:
        wait_for(lambda: json.loads(read()[1])["progress"] >= 50, f"{failpoint}: a render in progress")
        server.call(*{"cancel": ("POST", f"/v1/videos/{created}/cancel"), "delete": ("DELETE", f"/v1/videos/{created}")}[action])
    wait_for(lambda: ends, f"{failpoint}: never reached")
    # A failpoint aborts the process; another end would be a fault of Triptych.
    assert ends == [-signal.SIGABRT], ends

    if action:
        wait_for(lambda: upstream.cancelled == set(upstream.renders), f"{failpoint}: the render is stopped")
        outcome = wait_for(lambda: (read()[0] == 404 and "deleted") if action == "delete" else json.loads(read()[1])["error"]["code"], failpoint)
        assert outcome in ("deleted", "cancelled"), outcome
    else:
        job = wait_for(lambda: (job := json.loads(read()[1])) if job_ended(json.loads(read()[1])) else None, f"{failpoint}: the job ends")
        outcome = (job["error"] or {}).get("code") or job["status"]
        if outcome == "completed":
            assert server.call("GET", f"/v1/videos/{created}/content")[1] == clip, "the file is not whole"
        assert outcome == "completed" or outcome == "outcome_unknown" and failpoint in UNSENT, job
    renders = upstream.prompts()[failpoint]
    assert renders == (0 if outcome == "outcome_unknown" else 1), f"{renders} renders"
    # A cancellation has no event. A delivery whose end was not recorded is repeated, under the same id.
    if not action:
        deliveries = 2 if failpoint == "webhook-delivered" else 1
        wait_for(lambda: len(receiver.deliveries) >= deliveries, f"{failpoint}: {deliveries} deliveries")
        assert len(set(receiver.deliveries)) == 1, receiver.deliveries
    server.process.terminate()
    assert server.process.wait(60) == 0 and len(ends) == 1
    shutil.rmtree(directory)
    return f"{failpoint}: {outcome}, {renders} render{'s' * (renders != 1)}, {len(receiver.deliveries)} deliveries"


def job_ended(job: dict) -> bool:
    return job["status"] in ("completed", "failed")


def main(program: str) -> None:
    program = os.path.abspath(program)
    failpoints = re.findall(r'=> "([a-z-]+)"', SOURCE.read_text())
    assert len(failpoints) > 10, failpoints
    clip = small_clip(program)
    for failpoint in failpoints:
        print(run(program, failpoint, clip), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])

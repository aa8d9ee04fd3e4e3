"""Creates video jobs at a misbehaving upstream while Triptych is killed, and checks that no render is lost or paid twice.

    kill_upstream_jobs.py PATH_OF_TRIPTYCH [JOBS] [KILLS] [SHORTEST] [LONGEST]

Several clients create JOBS (600) videos, each with its own prompt and an Idempotency-Key. The upstream has the faults of
fake_video_upstream.py; meanwhile Triptych gets KILLS (200) times a SIGKILL at a random moment, and each
process lives SHORTEST (500) to LONGEST (2500) milliseconds. In the end each prompt has at most one render at the upstream, and
each job with a render has the whole file. A job without one may have failed with `outcome_unknown`: it was killed before its
submission left, and this upstream cannot tell that there is none. Needs the standard library only.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from itertools import count

from fake_video_upstream import Upstream
from kill_jobs import JOBS_TIMEOUT
from server import Server, list_all, outcomes

CLIENTS = 8
# The shares of requests with each fault.
FAULTS = {"refuse": 0.05, "lose": 0.1, "break": 0.05, "missing": 0.05, "limit": 0.05, "cut": 0.05}
problems = []


def small_clip(program: str) -> bytes:
    """Returns a clip of the built-in engine."""
    directory = tempfile.mkdtemp(prefix="small-clip-")
    server = Server(program, directory)
    id = json.loads(server.call("POST", "/v1/videos", {"prompt": "a boat", "size": "64x64", "seconds": "1"})[1])["id"]
    while json.loads(server.call("GET", f"/v1/videos/{id}")[1])["status"] != "completed":
        time.sleep(0.1)
    clip = server.call("GET", f"/v1/videos/{id}/content")[1]
    server.process.terminate()
    server.process.wait(60)
    shutil.rmtree(directory)
    return clip


def create(server: Server, number: int, ids: dict[int, str]) -> None:
    body = {"model": "scripted", "prompt": f"clip {number}", "size": "64x64", "seconds": "1"}
    status, data = server.call("POST", "/v1/videos", body, f"upstream-{number}")
    if status != 200:
        problems.append(f"create {number}: {status} {data[:200]!r}")
    elif ids.setdefault(number, id := json.loads(data)["id"]) != id:
        problems.append(f"create {number} returned {ids[number]}, its repetition {id}")


def main(program: str, jobs: int = 600, kills: int = 200, shortest: int = 500, longest: int = 2500) -> None:
    program = os.path.abspath(program)
    upstream = Upstream(small_clip(program), FAULTS)
    directory = tempfile.mkdtemp(prefix="kill-upstream-jobs-")
    settings = {"VIDEO_SERVICE_TYPE": "openai", "VIDEO_BASE_URL": upstream.url, "VIDEO_MODELS": "scripted"}
    # So many failures that the circuit breaker stays closed. An open one would hide most of the faults.
    settings |= {"TRIPTYCH_VIDEO_OPENAI_POLL_INTERVAL": "200ms", "TRIPTYCH_VIDEO_ROUTING_FAILURES": "1000000"}
    server, numbers, ids = Server(program, directory, settings), count(), {}
    # The average pause of a client between two creates in seconds, so that the creates take as long as the kills.
    pause = CLIENTS * kills * (shortest + longest) / 2000 / jobs

    def client() -> None:
        while (number := next(numbers)) < jobs:
            create(server, number, ids)
            time.sleep(random.uniform(0, 2 * pause))

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for _ in range(kills):
        time.sleep(random.uniform(shortest, longest) / 1000)
        server.kill_and_start()
    for thread in clients:
        thread.join()
    started = time.monotonic()
    while time.monotonic() - started < JOBS_TIMEOUT and any(job["status"] in ("queued", "in_progress") for job in list_all(server)):
        time.sleep(1)
    listed = {job["id"]: job for job in list_all(server)}
    lost = [id for id in ids.values() if id not in listed]
    incomplete = {id: (job["status"], job["error"]) for id, job in listed.items() if job["status"] != "completed"}
    prompts = upstream.prompts()
    is_unknown = lambda job: (job["error"] or {}).get("code") == "outcome_unknown" and not prompts[job["prompt"]]
    unknown = [id for id in incomplete if is_unknown(listed[id])]
    incomplete = {id: end for id, end in incomplete.items() if id not in unknown}
    unequal = [id for id in listed if id not in {*incomplete, *unknown} and server.call("GET", f"/v1/videos/{id}/content")[1] != upstream.clip]
    paid_twice = [prompt for prompt, renders in prompts.items() if renders > 1]
    unpaid = [job["prompt"] for id, job in listed.items() if id not in {*incomplete, *unknown} and not prompts[job["prompt"]]]
    server.process.terminate()
    code = server.process.wait(60)
    print(f"{kills} kills, {server.ended_by_itself} unexpected ends; injected faults: {dict(upstream.injected)}")
    counts = {"created": ids, "renders": upstream.renders, "lost": lost, "paid twice": paid_twice, "not completed": incomplete}
    counts |= {"damaged": unequal, "without a render": unpaid, "unknown and without a render": unknown}
    print(", ".join(f"{len(these)} {name}" for name, these in counts.items()), "and exit code", code)
    not_injected = [f"the fault {fault} was not injected" for fault in FAULTS if not upstream.injected[fault]]
    failures = [*problems, *not_injected, *lost, *paid_twice, *incomplete.items(), *unequal, *unpaid]
    for failure in failures[:20]:
        print("  ", failure)
    print(f"failed attempts of the clients: {dict(outcomes)}")
    if failures or code or server.ended_by_itself or not len(ids) == len(listed) == jobs:
        sys.exit(f"failed; log and data are in {directory}")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

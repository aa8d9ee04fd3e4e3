"""Creates video jobs while Triptych is killed and restarted, and checks that none is lost, doubled or damaged.

    kill_jobs.py PATH_OF_TRIPTYCH [JOBS] [KILLS] [SHORTEST] [LONGEST]

Starts Triptych on free ports with a temporary data directory. Several clients create JOBS (1389) short clips, each with an
Idempotency-Key, and repeat a create until it is answered. Meanwhile Triptych gets KILLS (70) times a SIGKILL and is started
again; each process lives SHORTEST (2) to LONGEST (5) seconds. Needs the standard library only.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from itertools import count

from server import Server, list_all, outcomes

CLIENTS = 8
# The seconds after the last create in which all jobs must end.
JOBS_TIMEOUT = 1800
# Descriptions of wrong responses.
problems = []


def mp4_defect(data: bytes) -> str | None:
    """Walks the boxes of an MP4 file. Returns a description of the defect, None for a complete file."""
    names, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        names.append(data[at + 4 : at + 8])
        at += max(size, 8)
    complete = at == len(data) and names[:1] == [b"ftyp"] and {b"moov", b"mdat"} <= set(names)
    return None if complete else f"{len(data)} bytes, boxes {names[:5]}, which end at {at}"


def create(server: Server, number: int, ids: dict[int, str]) -> None:
    """Creates the video of a number, or repeats its create, which must return the same id."""
    # The number is the seed, so that the repetition has the same body.
    size, seconds = random.Random(number).choice([("64x64", "1"), ("128x72", "1"), ("320x180", "1")])
    body = {"prompt": f"clip {number}, pan left", "size": size, "seconds": seconds}
    status, data = server.call("POST", "/v1/videos", body, f"kill-{number}")
    if status != 200:
        problems.append(f"create {number}: {status} {data[:200]!r}")
    elif ids.setdefault(number, id := json.loads(data)["id"]) != id:
        problems.append(f"create {number} returned {ids[number]}, its repetition {id}")


def main(program: str, jobs: int = 1389, kills: int = 70, shortest: int = 2, longest: int = 5) -> None:
    directory = tempfile.mkdtemp(prefix="kill-jobs-")
    server, numbers, ids = Server(os.path.abspath(program), directory), count(), {}
    # The average pause of a client between two creates, so that the creates take as long as the kills.
    pause = CLIENTS * kills * (shortest + longest) / 2 / jobs

    def client() -> None:
        while (number := next(numbers)) < jobs:
            create(server, number, ids)
            if ids and random.random() < 0.2:
                create(server, random.choice(list(ids)), ids)
            time.sleep(random.uniform(0, 2 * pause))

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for _ in range(kills):
        time.sleep(random.uniform(shortest, longest))
        server.kill_and_start()
    for thread in clients:
        thread.join()
    started = time.monotonic()
    while time.monotonic() - started < JOBS_TIMEOUT and any(job["status"] in ("queued", "in_progress") for job in list_all(server)):
        time.sleep(1)
    for number in list(ids):
        create(server, number, ids)
    listed = {job["id"]: job for job in list_all(server)}
    doubled = [prompt for prompt, uses in Counter(job["prompt"] for job in listed.values()).items() if uses > 1]
    lost = [id for id in ids.values() if id not in listed or server.call("GET", f"/v1/videos/{id}")[0] != 200]
    incomplete = {id: (job["status"], job["error"]) for id, job in listed.items() if job["status"] != "completed"}
    files = {id: server.call("GET", f"/v1/videos/{id}/content") for id in listed if id not in incomplete}
    damaged = {id: (status, mp4_defect(data)) for id, (status, data) in files.items() if status != 200 or mp4_defect(data)}
    server.process.terminate()
    code = server.process.wait(60)
    print(f"{kills} kills, {server.ended_by_itself} unexpected ends, failed attempts of the clients: {dict(outcomes)}")
    counts = {"created": ids, "listed": listed, "lost": lost, "doubled": doubled, "not completed": incomplete, "damaged": damaged}
    print(", ".join(f"{len(these)} {name}" for name, these in counts.items()), "and exit code", code)
    for problem in [*problems, *lost, *doubled, *incomplete.items(), *damaged.items()][:20]:
        print("  ", problem)
    if problems or lost or doubled or incomplete or damaged or code or server.ended_by_itself or not len(ids) == len(listed) == jobs:
        sys.exit(f"failed; log and data are in {directory}")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

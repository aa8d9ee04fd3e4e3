"""Runs several nodes over one PostgreSQL database and one bucket, breaks them for a while, and checks that no job is lost or paid twice.

    cluster.py PATH_OF_TRIPTYCH [SECONDS] [NODES]

Starts a private PostgreSQL, an S3 server, a scripted video upstream that counts its renders, and NODES (4) all-in-one nodes. Clients
create videos at random nodes for SECONDS (60), each with an Idempotency-Key and twice at two nodes at once, watch them at other nodes,
and repeat what fails. Meanwhile nodes get SIGKILL, or SIGSTOP for longer than their lease, the database is restarted, and connections
to it are cut. In the end:

- every acknowledged job is completed, with a whole file, from every node, except for those that were killed while they were submitted and
  have no render: they failed with `outcome_unknown`;
- each prompt has one job, and one render at the upstream;
- every watcher has seen the end of its job;
- reserved money is the sum of the open holds.
"""

import http.client
import json
import logging
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from bucket import BUCKET, CREDENTIALS, Bucket
from fake_video_upstream import Upstream
from kill_jobs import Server, free_port
from kill_upstream_jobs import small_clip
from postgres_server import Postgres

CLIENTS = 6
LEASE = 3
# The longest wait for the jobs after the last fault, in seconds.
TIMEOUT = 180
PRICES = 'prices = [{ model = "scripted", per_second = "0.1" }]\n'


class Cluster:
    """The nodes, and what the clients have seen."""

    def __init__(self, program: str, directory: Path, nodes: int, settings: dict[str, str]) -> None:
        self.nodes: list[Server] = []
        for number in range(nodes):
            place = directory / f"node-{number}"
            place.mkdir()
            (place / "triptych.toml").write_text(PRICES)
            self.nodes.append(Server(program, str(place), settings | {"TRIPTYCH_JOBS_LEASE": f"{LEASE}s"}))
        # The job of each number, failed attempts by cause, faults by name, and numbers whose watchers saw the end.
        self.ids: dict[int, str] = {}
        self.outcomes, self.injected, self.problems = Counter(), Counter(), []
        self.ended: set[int] = set()
        self.delays: list[float] = []
        self.lock = threading.Lock()

    def call(self, method: str, path: str, body: dict | None = None, key: str | None = None, node: Server | None = None) -> tuple[int, bytes]:
        """Sends a request to a random node, or to this one, until it is answered other than 429 and 5xx."""
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        give_up = time.monotonic() + TIMEOUT
        while time.monotonic() < give_up:
            connection = http.client.HTTPConnection("127.0.0.1", (node or random.choice(self.nodes)).port, timeout=15)
            try:
                connection.request(method, path, json.dumps(body) if body else None, headers)
                response = connection.getresponse()
                data = response.read()
                if response.status != 429 and response.status < 500:
                    return response.status, data
                self.outcomes[f"status {response.status}"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[type(error).__name__] += 1
            finally:
                connection.close()
            time.sleep(random.uniform(0.05, 0.5))
        sys.exit(f"no response to {method} {path}: {dict(self.outcomes)}")

    def create(self, number: int) -> None:
        body = {"model": "scripted", "prompt": f"clip {number}", "size": "64x64", "seconds": "1"}
        status, data = self.call("POST", "/v1/videos", body, f"cluster-{number}")
        with self.lock:
            if status != 200:
                self.problems.append(f"create {number}: {status} {data[:200]!r}")
            elif self.ids.setdefault(number, id := json.loads(data)["id"]) != id:
                self.problems.append(f"create {number} returned {self.ids[number]}, and {id}")

    def watch(self, number: int) -> None:
        """Follows the events of a video at a random node until the end, at another node after each break."""
        give_up = time.monotonic() + TIMEOUT
        while time.monotonic() < give_up:
            connection = http.client.HTTPConnection("127.0.0.1", random.choice(self.nodes).port, timeout=15)
            try:
                connection.request("GET", f"/v1/videos/{self.ids[number]}/events")
                response = connection.getresponse()
                while line := response.readline():
                    if line.startswith(b"data: {"):
                        video = json.loads(line[6:])
                        if video.get("status") in ("completed", "failed"):
                            with self.lock:
                                self.ended.add(number)
                                if video["status"] == "completed":
                                    self.delays.append(time.time() - video["completed_at"])
                            return
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.outcomes[f"watcher: {type(error).__name__}"] += 1
            finally:
                connection.close()
            time.sleep(random.uniform(0.05, 0.5))

    def break_something(self, postgres: Postgres) -> None:
        """Injects one fault at random."""
        fault = random.choices(["kill", "stop", "cut", "restart"], [8, 3, 4, 1])[0]
        self.injected[fault] += 1
        node = random.choice(self.nodes)
        match fault:
            case "kill":
                node.kill_and_start()
            case "stop":
                node.process.send_signal(signal.SIGSTOP)
                time.sleep(LEASE * 1.5)
                node.process.send_signal(signal.SIGCONT)
            case "cut":
                postgres.cut_connections()
            case "restart":
                postgres.restart()


def check(name: str, condition: bool, detail: object = "") -> bool:
    print(f"   {name}: {'ok' if condition else f'FAILED {detail}'}", flush=True)
    return condition


def run_clients(cluster: Cluster, until: float) -> None:
    numbers = iter(range(1_000_000))
    watchers: list[threading.Thread] = []

    def client() -> None:
        while time.monotonic() < until:
            with cluster.lock:
                number = next(numbers)
            twins = [threading.Thread(target=cluster.create, args=(number,)) for _ in range(2)]
            for twin in twins:
                twin.start()
            for twin in twins:
                twin.join()
            watcher = threading.Thread(target=cluster.watch, args=(number,))
            watcher.start()
            watchers.append(watcher)
            time.sleep(random.uniform(0, 1))

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    for watcher in watchers:
        watcher.join()


def main(program: str, seconds: int = 60, nodes: int = 4) -> int:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    program, directory = os.path.abspath(program), Path(tempfile.mkdtemp(prefix="cluster-"))
    clip = small_clip(program)
    postgres = Postgres(directory / "postgres")
    bucket, upstream = Bucket(), Upstream(clip, {}, (0.2, 3))
    settings = {"VIDEO_SERVICE_TYPE": "openai", "VIDEO_BASE_URL": upstream.url, "VIDEO_MODELS": "scripted"}
    settings |= {"TRIPTYCH_VIDEO_OPENAI_POLL_INTERVAL": "200ms", "TRIPTYCH_VIDEO_ROUTING_FAILURES": "1000000"}
    settings |= {"TRIPTYCH_DATABASE_URL": postgres.url("triptych"), "TRIPTYCH_MEDIA_URL": f"s3://{BUCKET}/cluster"}
    settings |= CREDENTIALS | {"AWS_ENDPOINT_URL": bucket.url()}
    postgres.create_database("triptych")
    cluster = Cluster(program, directory, nodes, settings)
    cluster.create(0)
    until = time.monotonic() + seconds
    clients = threading.Thread(target=run_clients, args=(cluster, until))
    clients.start()
    while time.monotonic() < until:
        time.sleep(random.uniform(0.5, 2))
        cluster.break_something(postgres)
    clients.join()
    ended_by_themselves = sum(node.ended_by_itself for node in cluster.nodes)
    print(f"   {len(cluster.ids)} videos, {dict(cluster.injected)}, repeated: {dict(cluster.outcomes)}", flush=True)
    renders = upstream.prompts()
    incomplete, unknown, damaged = [], [], []
    for number, id in cluster.ids.items():
        node = cluster.nodes[number % nodes]
        video = json.loads(cluster.call("GET", f"/v1/videos/{id}", node=node)[1])
        if (video["error"] or {}).get("code") == "outcome_unknown" and not renders[video["prompt"]]:
            unknown.append(id)
        elif video["status"] != "completed":
            incomplete.append((id, video["status"], video["error"]))
        elif cluster.call("GET", f"/v1/videos/{id}/content", node=node)[1] != clip:
            damaged.append(id)
    print(f"   unknown and without a render: {len(unknown)}", flush=True)
    doubled = {prompt: count for prompt, count in renders.items() if count > 1}
    jobs, prompts = (int(postgres.value("triptych", f"SELECT COUNT({what}) FROM video_jobs")) for what in ("*", "DISTINCT request"))
    reserved = postgres.value("triptych", "SELECT COALESCE(SUM(amount), 0) FROM ledger_reserved WHERE subject LIKE 'key:%'")
    holds = postgres.value("triptych", "SELECT COALESCE(SUM(amount), 0) FROM ledger_holds")
    delays = sorted(cluster.delays)
    if delays:
        print(f"   watchers saw the end after {delays[len(delays) // 2]:.1f} s at the median, {delays[-1]:.1f} s at most", flush=True)
    passed = [
        check("every job is completed", not incomplete, incomplete),
        check("every file is whole", not damaged, damaged),
        check("none was paid twice", not doubled, doubled),
        check("equal creates are one job", jobs == prompts == len(cluster.ids) and not cluster.problems, (jobs, prompts, cluster.problems)),
        check("every watcher saw the end", len(cluster.ended) >= len(cluster.ids) - 1, len(cluster.ended)),
        check("reserved is the sum of the holds", reserved == holds, (reserved, holds)),
        check("no process ended by itself", ended_by_themselves == 0, ended_by_themselves),
    ]
    for node in cluster.nodes:
        node.process.terminate()
    passed.append(check("every process ends", all(node.process.wait(60) == 0 for node in cluster.nodes)))
    postgres.stop()
    bucket.stop()
    if all(passed):
        shutil.rmtree(directory)
    else:
        print(f"   logs: {directory}/node-*/log", flush=True)
    return int(not all(passed))


if __name__ == "__main__":
    if not Postgres.is_installed():
        print("SKIPPED cluster: PostgreSQL is not installed")
        sys.exit(0)
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))

"""The load of `cluster`: creates with an Idempotency-Key, and watchers, over REST and gRPC, at random nodes, with retries."""

import http.client
import json
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import count

import grpc
from by_reflection import Services
from server import Server

CLIENTS = 6
# The longest wait for an answer, and for the jobs after the last fault, in seconds.
TIMEOUT = 180
# The seconds for one attempt.
ATTEMPT = 15
# The number of equal creates at once, and the seconds between two such bursts.
BURST, BURST_INTERVAL = 20, 4
RETRIED = {grpc.StatusCode[name] for name in ("UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "CANCELLED")}
# A client must connect again soon after a node is back.
OPTIONS = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500), ("grpc.min_reconnect_backoff_ms", 2000)]


def start(function: Callable[..., None], *arguments: object) -> threading.Thread:
    """Starts a thread, which does not keep the process from ending."""
    thread = threading.Thread(target=function, args=arguments, daemon=True)
    thread.start()
    return thread


class Clients:
    """The clients and their records. A number identifies a video: its prompt and its Idempotency-Key contain the number."""

    def __init__(self, nodes: list[Server]) -> None:
        self.nodes, self.numbers, self.lock = nodes, count(), threading.Lock()
        # The job of each number; failed attempts by cause; wrong responses; the time when the watcher of a number saw the end.
        self.ids: dict[int, str] = {}
        self.outcomes, self.problems = Counter(), []
        self.ended: dict[int, float] = {}
        # Numbers whose watcher had to connect more than once.
        self.broken: set[int] = set()
        # Numbers that were created many times at once; creates over each API; the end of each create, with its duration with all retries.
        self.bursts, self.created, self.durations = [], Counter(), []
        addresses = [f"{node.host}:{node.grpc_port}" for node in nodes]
        self.channels = [grpc.insecure_channel(address, options=OPTIONS) for address in addresses]
        grpc.channel_ready_future(self.channels[0]).result(60)
        self.services = Services(addresses[0])
        # Descriptors are loaded before there are other threads: the pool cannot load the same file twice.
        for service in ("VideoService", "ChatService"):
            self.services.pool.FindServiceByName(f"triptych.v1.{service}")

    def retry(self, what: str, attempt: Callable[[int], object]) -> object:
        """Calls `attempt` with a random node until it returns something."""
        give_up = time.monotonic() + TIMEOUT
        while time.monotonic() < give_up:
            try:
                if (result := attempt(random.randrange(len(self.nodes)))) is not None:
                    return result
            except grpc.RpcError as error:
                if error.code() not in RETRIED:
                    raise
                self.outcomes[f"gRPC {error.code().name}"] += 1
            except (OSError, http.client.HTTPException) as error:
                self.outcomes[type(error).__name__] += 1
            time.sleep(random.uniform(0.05, 0.5))
        self.problems.append(f"no response to {what}")
        # Ends the thread of this client.
        sys.exit(f"no response to {what}: {dict(self.outcomes)}")

    def rest(self, method: str, path: str, body: dict | None = None, key: str | None = None, node: int | None = None) -> tuple[int, bytes]:
        """Sends a request to random nodes, or to this one, until the response is other than 429 and 5xx."""
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})

        def attempt(number: int) -> tuple[int, bytes] | None:
            server = self.nodes[number if node is None else node]
            connection = http.client.HTTPConnection(server.host, server.port, timeout=ATTEMPT)
            try:
                connection.request(method, path, json.dumps(body) if body else None, headers)
                response = connection.getresponse()
                data = response.read()
            finally:
                connection.close()
            if response.status != 429 and response.status < 500:
                return response.status, data
            self.outcomes[f"status {response.status}"] += 1
            return None

        return self.retry(f"{method} {path}", attempt)

    def _create_over_rest(self, prompt: str, key: str) -> str:
        body = {"model": "scripted", "prompt": prompt, "size": "64x64", "seconds": "1"}
        status, data = self.rest("POST", "/v1/videos", body, key)
        return json.loads(data)["id"] if status == 200 else f"{status} {data[:200]!r}"

    def _create_over_grpc(self, prompt: str, key: str) -> str:
        members = {"model": "scripted", "prompt": prompt, "size": "64x64", "duration_seconds": 1, "idempotency_key": key}
        call = lambda number: self.services.call("triptych.v1.VideoService/CreateVideo", members, ATTEMPT, via=self.channels[number])
        try:
            return self.retry("CreateVideo", call).video.id
        except grpc.RpcError as error:
            return f"{error.code()} {error.details()}"

    def create(self, number: int, name: str, api: str) -> None:
        """Creates the video of a number, or repeats its create, which must return the same id."""
        start = time.time()
        create = self._create_over_rest if api == "REST" else self._create_over_grpc
        id = create(f"{name} {number}", f"{name}-{number}")
        with self.lock:
            self.created[api] += 1
            self.durations.append((time.time(), time.time() - start))
            if not id.startswith("video_"):
                self.problems.append(f"create {number} over {api}: {id}")
            elif self.ids.setdefault(number, id) != id:
                self.problems.append(f"create {number} returned {self.ids[number]}, and {id} over {api}")

    def create_at_once(self, number: int, name: str, times: int) -> None:
        """Sends the same create several times at once, in turn over both APIs."""
        for call in [start(self.create, number, name, ("REST", "gRPC")[i % 2]) for i in range(times)]:
            call.join()

    def _watch_over_rest(self, server: Server, id: str) -> bool:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=ATTEMPT)
        try:
            connection.request("GET", f"/v1/videos/{id}/events")
            response = connection.getresponse()
            while line := response.readline():
                if line.startswith(b"data: {") and json.loads(line[6:]).get("status") in ("completed", "failed"):
                    return True
        finally:
            connection.close()
        return False

    def _watch_over_grpc(self, channel: grpc.Channel, id: str) -> bool:
        watch = self.services.call("triptych.v1.VideoService/WatchVideo", {"id": id}, ATTEMPT, via=channel)
        return any(response.video.HasField("complete_time") for response in watch)

    def watch(self, number: int) -> None:
        """Follows a video at a random node until its end, at another node after each break."""

        attempts = count()

        def attempt(node: int) -> bool | None:
            if next(attempts):
                self.broken.add(number)
            if number % 2:
                return self._watch_over_rest(self.nodes[node], self.ids[number]) or None
            return self._watch_over_grpc(self.channels[node], self.ids[number]) or None

        self.retry(f"the watcher of {self.ids[number]}", attempt)
        self.ended[number] = time.time()

    def run(self, stop: threading.Event) -> None:
        """Creates and watches videos until `stop` is set, and waits for the last watcher."""
        watchers: list[threading.Thread] = []

        def follow(number: int) -> None:
            watchers.append(start(self.watch, number))

        def client() -> None:
            while not stop.is_set():
                number = next(self.numbers)
                self.create_at_once(number, "clip", 2)
                if number in self.ids:
                    follow(number)
                time.sleep(random.uniform(0, 1))

        def burst() -> None:
            while not stop.is_set():
                number = next(self.numbers)
                self.bursts.append(number)
                self.create_at_once(number, "burst", BURST)
                if number in self.ids:
                    follow(number)
                stop.wait(BURST_INTERVAL)

        for thread in [*(start(client) for _ in range(CLIENTS)), start(burst)]:
            thread.join()
        for watcher in watchers:
            watcher.join()

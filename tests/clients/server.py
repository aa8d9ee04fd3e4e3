"""A Triptych process for tests that kill it and start it again, and requests to it. Needs the standard library only."""

import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter

# The failed attempts of requests by cause.
outcomes = Counter()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A Triptych process that can be killed and started again on the same data directory and ports."""

    def __init__(self, program: str, directory: str, settings: dict[str, str] | None = None, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()):
        """`prefix` is the beginning of the command, for example one that enters a network namespace with the address `host`."""
        self.host, self.port, self.grpc_port, self.command = host, free_port(), free_port(), [*prefix, program]
        self.log = open(os.path.join(directory, "log"), "ab")
        variables = {"TRIPTYCH_REST_LISTEN": f"{host}:{self.port}", "TRIPTYCH_GRPC_LISTEN": f"{host}:{self.grpc_port}"}
        # With a short lease, a new process soon takes over the jobs of the killed one.
        variables |= {"TRIPTYCH_DATA_DIR": "data", "TRIPTYCH_JOBS_LEASE": "2s"} | (settings or {})
        self.environment = os.environ | variables
        # `ended_by_itself` counts the processes that were no longer running when they were to be killed.
        self.directory, self.ended_by_itself = directory, 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment, cwd=self.directory, stdout=self.log, stderr=self.log)

    def kill_and_start(self) -> None:
        self.ended_by_itself += self.process.poll() is not None
        self.process.kill()
        self.process.wait()
        self.start()

    def call(self, method: str, path: str, body: dict | None = None, key: str | None = None) -> tuple[int, bytes]:
        """Sends a request until it has a response other than 429 and 503. `outcomes` counts the failed attempts."""
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        for _ in range(1000):
            connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
            try:
                connection.request(method, path, json.dumps(body) if body else None, headers)
                response = connection.getresponse()
                data = response.read()
                if response.status not in (429, 503):
                    return response.status, data
                outcomes[f"status {response.status}"] += 1
            except (OSError, http.client.HTTPException) as error:
                outcomes[type(error).__name__] += 1
            finally:
                connection.close()
            time.sleep(random.uniform(0.02, 0.2))
        sys.exit(f"no response to {method} {path}: {dict(outcomes)}")


def list_all(server: Server) -> list[dict]:
    """Returns all videos, the oldest first."""
    jobs, after = [], ""
    while True:
        page = json.loads(server.call("GET", f"/v1/videos?limit=100&order=asc{after}")[1])
        jobs += page["data"]
        if not page["has_more"]:
            return jobs
        after = f"&after={jobs[-1]['id']}"

"""The nodes of `cluster`, with the servers that they share: a database behind a proxy, a bucket, and a scripted upstream."""

import atexit
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bucket import BUCKET, CREDENTIALS, Bucket
from cluster_images import ImageUpstream
from cluster_network import Loopback, network
from cluster_proxy import Proxy
from fake_video_upstream import Upstream
from kill_upstream_jobs import small_clip
from postgres_server import Postgres
from server import Server

# The lease of jobs, in seconds: how long a node owns them without renewing it.
LEASE = 3
PRICES = 'prices = [{ model = "scripted", per_second = "0.1" }]\n'
DATABASE = "triptych"
FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
# How far the clocks of nodes are from that of the database, in seconds. A clock is wrong for all processes of its node.
SKEWS = {0: 300, 1: -300}


class Cluster:
    """The nodes and their surroundings, and the faults that concern one of them."""

    def __init__(self, program: str, directory: Path, nodes: int) -> None:
        self.directory, self.clip = directory, small_clip(program)
        self.network = network(nodes)
        self.postgres = Postgres(directory / "postgres")
        self.postgres.create_database(DATABASE)
        self.proxy = Proxy(self.network.database_host, nodes, self.postgres.port)
        self.bucket, self.upstream = Bucket(self.network.host), Upstream(self.clip, {}, (0.2, 3), self.network.host)
        self.images, self.standbys = ImageUpstream(self.network.host), 0
        self.nodes = [self._node(program, number) for number in range(nodes)]
        # One lock for each node: who holds it may break the node, or rely on it.
        self.locks = [threading.Lock() for _ in range(nodes)]
        # Starts that failed because the database or the bucket was away, and processes that ended otherwise.
        self.failed_starts = self.ended = 0
        self.stopping = threading.Event()
        threading.Thread(target=self._supervise, daemon=True).start()
        atexit.register(self.kill)

    def _node(self, program: str, number: int) -> Server:
        directory = self.directory / f"node-{number}"
        directory.mkdir()
        (directory / "triptych.toml").write_text(PRICES)
        database = f"postgres://postgres@{self.network.database_host}:{self.proxy.ports[number]}/{DATABASE}"
        settings = {"TRIPTYCH_DATABASE_URL": database, "TRIPTYCH_MEDIA_URL": f"s3://{BUCKET}/cluster", "AWS_ENDPOINT_URL": self.bucket.url()}
        settings |= {"VIDEO_SERVICE_TYPE": "openai", "VIDEO_BASE_URL": self.upstream.url, "VIDEO_MODELS": "scripted"}
        settings |= {"TRIPTYCH_VIDEO_OPENAI_POLL_INTERVAL": "200ms", "TRIPTYCH_VIDEO_ROUTING_FAILURES": "1000000"}
        settings |= {"TRIPTYCH_JOBS_LEASE": f"{LEASE}s"} | CREDENTIALS | self.images.settings
        if FAKETIME and number in SKEWS:
            settings |= {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": f"{SKEWS[number]:+}s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        return Server(program, str(directory), settings, self.network.node_host(number), self.network.prefix(number))

    @contextmanager
    def reserved_node(self, numbers: list[int]) -> Iterator[int]:
        """Reserves the first of these nodes that no other fault uses."""
        while True:
            for number in numbers:
                if self.locks[number].acquire(blocking=False):
                    try:
                        yield number
                    finally:
                        self.locks[number].release()
                    return
            time.sleep(0.05)

    def _supervise(self) -> None:
        """Starts processes again that have ended, as a service manager does."""
        while not self.stopping.wait(0.5):
            for number, lock in enumerate(self.locks):
                if lock.acquire(blocking=False):
                    self.start_again(number)
                    lock.release()

    def start_again(self, number: int) -> None:
        """Starts a process again if it has ended."""
        node = self.nodes[number]
        if node.process.poll() is not None:
            failed = b"cannot start" in Path(node.directory, "log").read_bytes()[-1000:]
            self.failed_starts += failed
            self.ended += not failed
            node.start()

    def kill_node(self, number: int) -> None:
        self.start_again(number)
        self.nodes[number].kill_and_start()

    def freeze(self, number: int, seconds: float) -> None:
        """Stops the process of a node, and lets it go on after `seconds`."""
        process = self.nodes[number].process
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def separate(self, number: int, seconds: float) -> None:
        """Takes the database away from a node, without a reset of its connections, for `seconds`."""
        if isinstance(self.network, Loopback):
            self.proxy.freeze(number)
            time.sleep(seconds)
            self.proxy.thaw(number)
        else:
            self.network.separate(number)
            time.sleep(seconds)
            self.network.join(number)

    def fail_over(self) -> None:
        """Kills the database's server and promotes a standby that has all of its commits."""
        self.standbys += 1
        standby = Postgres(self.directory / f"postgres-{self.standbys}", primary=self.postgres)
        self.postgres.wait_for_standby()
        # The server applies the reloaded setting a moment later.
        time.sleep(1)
        self.postgres.stop()
        standby.promote()
        self.postgres, self.proxy.target = standby, standby.port

    def value(self, statement: str) -> str:
        return self.postgres.value(DATABASE, statement)

    def kill(self) -> None:
        """Kills the nodes and the database, if they still run."""
        self.stopping.set()
        for node in self.nodes:
            node.process.kill()
        if (self.postgres.directory / "data/postmaster.pid").exists():
            self.postgres.stop()

    def stop(self) -> bool:
        """Ends everything. Returns whether each process of a node ended without an error."""
        self.stopping.set()
        for node in self.nodes:
            node.process.terminate()
        ended = all(node.process.wait(60) == 0 for node in self.nodes)
        self.postgres.stop()
        self.bucket.stop()
        self.network.remove()
        return ended


def clock_skew() -> str:
    """Describes the skew of the nodes' clocks."""
    if not FAKETIME:
        return "SKIPPED clock skew: libfaketime is not installed"
    return "clock skew: " + ", ".join(f"node {number} {seconds:+} s" for number, seconds in SKEWS.items())


# grpcio's handlers of `fork` are for children that go on with gRPC. Those of this process only execute other programs.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

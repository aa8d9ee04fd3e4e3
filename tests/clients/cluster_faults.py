"""Injects the faults of `cluster` in two sequences at once: faults of one node, and faults of the servers that all nodes share. Each fault
happens once, further ones are chosen at random."""

import http.client
import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cluster_clients import ATTEMPT, TIMEOUT, Clients
from cluster_database_away import probe
from cluster_foreign_transaction import hold
from cluster_nodes import LEASE, Cluster

# The seconds after which a node must serve again once its network is back.
RECOVERY = 10


class Faults:
    """The schedule of the faults, and the record of those that were injected."""

    def __init__(self, cluster: Cluster, clients: Clients, long: bool) -> None:
        self.cluster, self.clients = cluster, clients
        self.injected = Counter()
        self.problems: list[str] = []
        # When the database was last available again after a fault of the database itself.
        self.database_back = 0.0
        # The longest pause between two faults, and the durations of faults, in seconds.
        self.longest_pause = 4 if long else 1.2
        self.pause_after_outage = 60 if long else 0
        self.partition, self.bucket_away, self.database_away, self.transaction = (60, 30, 60, 600) if long else (2 * LEASE, 2, 4, 4)

    def run(self, until: float) -> None:
        """Injects faults at least until this time, and until each has happened."""
        # Each fault with its weight in the random choice. One with weight 0 happens only once.
        of_nodes: dict[Callable[[], None], int] = {self.kill: 8, self.freeze: 3, self.reset: 4, self.separate: 1}
        shared: dict[Callable[[], None], int] = {self.end_sessions: 4, self.restart_database: 2, self.lose_bucket: 1}
        shared |= {self.lose_database: 1, self.fail_over: 2, self.hold_transaction: 0}
        with ThreadPoolExecutor() as pool:
            for sequence in [pool.submit(self._sequence, faults, until) for faults in (of_nodes, shared)]:
                sequence.result()

    def _sequence(self, faults: dict[Callable[[], None], int], until: float) -> None:
        due = random.sample(list(faults), len(faults))
        # `pop` takes this fault last, so that there are creates before it.
        due.sort(key=lambda fault: fault != self.hold_transaction)
        while due or time.monotonic() < until:
            fault = due.pop() if due else random.choices(list(faults), list(faults.values()))[0]
            time.sleep(random.uniform(0.3, self.longest_pause))
            self.injected[fault.__name__] += 1
            fault()

    def _shuffled_nodes(self) -> list[int]:
        """Returns the numbers of all nodes, in random order."""
        return random.sample(range(len(self.cluster.nodes)), len(self.cluster.nodes))

    def kill(self) -> None:
        with self.cluster.reserved_node(self._shuffled_nodes()) as number:
            self.cluster.kill_node(number)

    def freeze(self) -> None:
        with self.cluster.reserved_node(self._shuffled_nodes()) as number:
            self.cluster.freeze(number, LEASE * random.uniform(1.3, 2))

    def reset(self) -> None:
        with self.cluster.reserved_node(self._shuffled_nodes()) as number:
            self.cluster.proxy.cut(number)

    def separate(self) -> None:
        """Takes the database away from one node, and prints how soon that node notices, and how soon it serves afterwards."""
        with self.cluster.reserved_node(self._shuffled_nodes()) as number:
            self._until_ready(number)
            with ThreadPoolExecutor() as pool:
                separated = pool.submit(self.cluster.separate, number, self.partition)
                noticed = self._until(number, 503, self.partition)
                separated.result()
            returned = time.monotonic()
            self._until(number, 200, TIMEOUT)
            # A fault of the database may have begun during the partition.
            served = time.monotonic() - max(returned, self.database_back)
            print(f"   a node without the network to its database refuses reads after {noticed:.1f} s, and serves {served:.1f} s after its return", flush=True)
            if served > RECOVERY:
                self.problems.append(f"a node served {served:.1f} s after the end of a network partition")

    def _until_ready(self, number: int) -> None:
        """Waits until a reserved node serves. It may have been killed a moment ago, and a start may fail because of another fault: the
        supervisor starts only nodes that are not reserved."""
        give_up = time.monotonic() + TIMEOUT
        while time.monotonic() < give_up:
            self.cluster.start_again(number)
            if self._until(number, 200, ATTEMPT) < ATTEMPT:
                return
        self.problems.append(f"node {number} did not serve for {TIMEOUT} s")

    def _until(self, number: int, status: int, longest: float) -> float:
        """Waits until reads of a node have this status. Returns the seconds, at most about `longest`."""
        server, start = self.cluster.nodes[number], time.monotonic()
        while time.monotonic() - start < longest:
            connection = http.client.HTTPConnection(server.host, server.port, timeout=ATTEMPT)
            try:
                connection.request("GET", "/v1/videos?limit=1")
                if connection.getresponse().status == status:
                    break
            except (OSError, http.client.HTTPException):
                pass
            finally:
                connection.close()
            time.sleep(0.1)
        return time.monotonic() - start

    def end_sessions(self) -> None:
        self.cluster.postgres.cut_connections()

    def restart_database(self) -> None:
        self.cluster.postgres.restart()
        self.database_back = time.monotonic()

    def lose_bucket(self) -> None:
        self.cluster.bucket.stop()
        time.sleep(self.bucket_away)
        self.cluster.bucket.start()

    def lose_database(self) -> None:
        """Stops the database, and checks what a node without other faults answers meanwhile."""
        with self.cluster.reserved_node(self._shuffled_nodes()) as number:
            self._until_ready(number)
            self.cluster.postgres.stop()
            back = time.monotonic() + self.database_away
            self.problems += probe(self.clients, number)
            time.sleep(max(0, back - time.monotonic()))
            self.cluster.postgres.start()
            self.database_back = time.monotonic()
        # Without this pause, another long outage could follow at once, and clients would give up.
        time.sleep(self.pause_after_outage)

    def fail_over(self) -> None:
        self.cluster.fail_over()
        self.database_back = time.monotonic()

    def hold_transaction(self) -> None:
        hold(self.cluster, self.clients, self.transaction)

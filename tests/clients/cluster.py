"""Runs several nodes over one PostgreSQL database and one bucket, breaks them for a while, and checks that no job is lost or paid twice.

    cluster.py PATH_OF_TRIPTYCH [SECONDS] [NODES]

Starts a private PostgreSQL, a proxy in front of it, an S3 server, a scripted video upstream that counts its renders, and NODES (4)
all-in-one nodes, two of them with a clock that is five minutes wrong. Clients create videos over REST and gRPC at random nodes for
SECONDS (60), each with an Idempotency-Key and twice at once, some twenty times at once, watch them at other nodes, and repeat what
fails. Meanwhile, and each at least once:

- nodes get SIGKILL, or SIGSTOP for longer than their lease, their connections to the database are reset, or their packets to it are lost;
- sessions of the database are ended, its server is restarted, is away, or a standby takes over from it; the bucket is away;
- a transaction of another program stays open.

With 900 SECONDS or more, the database and the network are away for a minute, and the foreign transaction is open for ten. In the end:

- every acknowledged job is completed, with a whole file, from every node, except for those that were killed while they were submitted and
  have no render: they failed with `outcome_unknown`;
- each prompt has one job, and one render at the upstream;
- every watcher has seen the end of its job;
- reserved money is the sum of the open holds.

Needs the packages of requirements-bucket.txt. As root on Linux, the nodes have network namespaces.
"""

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from cluster_checks import check, check_all
from cluster_clients import Clients, start
from cluster_faults import Faults
from cluster_images import burst
from cluster_nodes import Cluster, clock_skew
from postgres_server import Postgres

# Runs of at least this many seconds have long faults.
LONG = 900


def main(program: str, seconds: int = 60, nodes: int = 4) -> int:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    started, directory = time.time(), Path(tempfile.mkdtemp(prefix="cluster-"))
    cluster = Cluster(os.path.abspath(program), directory, nodes)

    def end(*_: object) -> None:
        # Threads that inject faults do not end by themselves.
        cluster.kill()
        cluster.network.remove()
        os._exit(1)

    signal.signal(signal.SIGTERM, end)
    print(f"   {nodes} nodes, {cluster.network.name}; {clock_skew()}", flush=True)
    clients = Clients(cluster.nodes)
    faults, stop = Faults(cluster, clients, seconds >= LONG), threading.Event()
    clients.problems += burst(clients, cluster.images, "before the faults")
    # Jobs exist before the first fault.
    clients.create(next(clients.numbers), "clip", "REST")
    watcher, load = start(clients.watch, 0), start(clients.run, stop)
    faults.run(time.monotonic() + seconds)
    stop.set()
    ended = time.time()
    load.join()
    watcher.join()
    print(f"   {len(clients.ids)} videos, creates {dict(clients.created)}, the last watcher {time.time() - ended:.1f} s after the last fault", flush=True)
    print(f"   faults: {dict(faults.injected)}", flush=True)
    print(f"   repeated: {dict(clients.outcomes)}", flush=True)
    passed = check_all(cluster, clients, faults, started, time.time())
    passed.append(check("every process ends", cluster.stop()))
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

"""A transaction of another program that stays open: its snapshot keeps the database from removing dead rows."""

import statistics
import time

from cluster_clients import Clients
from cluster_nodes import Cluster

TABLES = "SELECT string_agg(relname || ' ' || n_dead_tup, ', ' ORDER BY n_dead_tup DESC) FROM pg_stat_user_tables WHERE n_dead_tup >= {}"


def hold(cluster: Cluster, clients: Clients, seconds: float) -> None:
    """Keeps a transaction with a snapshot open for `seconds`, and prints creates and dead rows."""
    start = time.time()
    statements = f"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT COUNT(*) FROM video_jobs; SELECT pg_sleep({seconds}); COMMIT;"
    dead = cluster.value("SELECT COALESCE(SUM(n_dead_tup), 0) FROM pg_stat_user_tables")
    session = cluster.postgres.psql("triptych", statements)
    session.wait(seconds + 60)
    # The statistics of other sessions arrive with a delay of up to a second.
    time.sleep(1)
    after = cluster.value("SELECT COALESCE(SUM(n_dead_tup), 0) FROM pg_stat_user_tables")
    tables = cluster.value(TABLES.format(100))
    end = time.time()
    print(f"   a foreign transaction of {seconds} s: dead rows {dead} before, {after} after ({tables or 'no table with 100'})", flush=True)
    half = (end - start) / 2
    for name, first in (("before", start - half), ("in its first half", start), ("in its second half", start + half)):
        durations = [took for at, took in clients.durations if first <= at < first + half]
        if durations:
            figures = f"{len(durations) / half:.1f} creates/s, median {statistics.median(durations) * 1000:.0f} ms, longest {max(durations):.1f} s"
            print(f"   creates {name}: {figures}", flush=True)

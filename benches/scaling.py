"""Measures video jobs with several nodes over one PostgreSQL database, beside one process with SQLite. Prints tables in Markdown.

    scaling.py PATH_OF_TRIPTYCH [creates] [in-flight] [watchers] [life] [held]

- `creates`: rate and latency of new jobs with SQLite, and with 1, 2 and 4 nodes.
- `in-flight`: the cost of 10,000 jobs whose renders are polled every two seconds, over two nodes.
- `watchers`: the same, and 10,000 event streams, one for each job: how long a change takes to reach them.
- `life`: statements and row versions of a job from its create to its file.
- `held`: creates while a transaction of another program keeps dead rows from being removed.

Without names, all of them. The clients share the machine with the nodes and with PostgreSQL: the CPU times of the nodes and of PostgreSQL
are printed, because rates and latencies depend on what the clients leave to them. Except for `life`, the renders are those of a model that never finishes. Needs Linux, the installed binaries of
PostgreSQL with pg_stat_statements, about 21,000 open files (`ulimit -n`), and otherwise the standard library only.
"""

import asyncio
import os
import random
import resource
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests/clients"))

from fake_video_upstream import Upstream  # noqa: E402
from kill_upstream_jobs import small_clip  # noqa: E402
from scaling_load import Load, call, created_ids  # noqa: E402
from scaling_nodes import Nodes  # noqa: E402

IN_FLIGHT, CREATE_SECONDS, CONNECTIONS = 10_000, 10, 64
# The default of 8 is 4 submissions at a time for each node: the jobs in flight would take longer to fill, with few jobs in a transaction.
MANY = {"TRIPTYCH_JOBS_CONCURRENCY": "128"}
# The jobs of `life`, the seconds of their renders, and the seconds between two polls.
LIFE_JOBS, RENDER, POLL = 600, (8, 12), 2
HELD_SECONDS = 60


def table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    print(f"\n{title} (load average {os.getloadavg()[0]:.1f})\n")
    for row in [columns, ["---"] * len(columns), *rows]:
        print("| " + " | ".join(str(value) for value in row) + " |")
    sys.stdout.flush()


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def creates(program: str) -> None:
    rows = []
    for count, sqlite in ((1, True), (1, False), (2, False), (4, False)):
        nodes = Nodes(program, count, sqlite)
        # Warms the nodes up, and is not measured.
        Load(nodes.ports, 4, 2).run()
        before, commits = nodes.cpu(), nodes.commits()
        load = Load(nodes.ports, CONNECTIONS, CREATE_SECONDS).run()
        cpu, created = [b - a for a, b in zip(before, nodes.cpu())], len(load.latencies)
        commits = (nodes.commits() - commits) / load.seconds
        latencies = [f"{percentile(load.latencies, share):.1f} ms" for share in (0.5, 0.99)]
        costs = [f"{seconds / created * 1e6:.0f} µs" for seconds in (*cpu, load.cpu)]
        rows.append(["SQLite" if sqlite else f"PostgreSQL, {count}", f"{created / load.seconds:.0f}", *latencies, "" if sqlite else f"{commits:.0f}", *costs])
        nodes.stop()
    columns = ["nodes", "creates/s", "p50", "p99", "commits/s", "CPU of nodes per create", "of PostgreSQL", "of clients"]
    table(f"Creates with {CONNECTIONS} connections; each job is also submitted", columns, rows)


async def wait_until_rendering(nodes: Nodes, ids: list[str]) -> float:
    """Waits until all jobs render. Returns the seconds."""
    start = time.perf_counter()
    streams = await asyncio.open_connection("127.0.0.1", nodes.ports[0])
    for id in sorted(ids):
        while b'"status":"queued"' in (video := await call(streams, "GET", f"/v1/videos/{id}")) or b'"progress":0' in video:
            await asyncio.sleep(0.5)
    return time.perf_counter() - start


def fill(nodes: Nodes) -> list[str]:
    """Creates the jobs in flight and waits until they render."""
    start, commits = time.perf_counter(), nodes.commits()
    ids = asyncio.run(created_ids(nodes.ports, IN_FLIGHT))
    created, commits = time.perf_counter() - start, nodes.commits() - commits
    rendering = asyncio.run(wait_until_rendering(nodes, ids))
    print(f"   {IN_FLIGHT} jobs: created in {created:.0f} s, all submitted {rendering:.0f} s later, {commits} commits during the creates", flush=True)
    if not nodes.sqlite:
        print("   most frequent statements until then:", *nodes.frequent_statements(), sep="\n      ", flush=True)
    # Until the polls alone remain: the costs that are measured next are those of jobs in flight.
    time.sleep(15)
    return ids


def cost(nodes: Nodes, seconds: float) -> list[str]:
    """Returns statements, commits, row versions and CPU time per second, and the memory of all nodes.

    Prints the most frequent statements.
    """
    if not nodes.sqlite:
        nodes.value("SELECT pg_stat_statements_reset()")
    before, statements, commits, versions, start = nodes.cpu(), nodes.statements(), nodes.commits(), nodes.row_versions(), time.perf_counter()
    time.sleep(seconds)
    took = time.perf_counter() - start
    cpu = [f"{(b - a) / took:.1%}" for a, b in zip(before, nodes.cpu())]
    numbers = (nodes.statements() - statements, nodes.commits() - commits, sum(nodes.row_versions().values()) - sum(versions.values()))
    if not nodes.sqlite:
        print(f"   most frequent statements in {took:.0f} s:", *nodes.frequent_statements(5), sep="\n      ", flush=True)
    rates = ["" if nodes.sqlite else f"{number / took:.1f}" for number in numbers]
    return [*rates, *cpu, f"{nodes.memory() / 1024:.0f} MiB"]


COST_COLUMNS = ["nodes", "statements/s", "commits/s", "row versions/s", "CPU of nodes", "CPU of PostgreSQL", "memory of nodes"]


def in_flight(program: str) -> None:
    rows = []
    for count, sqlite in ((1, True), (1, False), (2, False)):
        nodes = Nodes(program, count, sqlite, **MANY)
        fill(nodes)
        rows.append(["SQLite" if sqlite else f"PostgreSQL, {count}", *cost(nodes, 30)])
        nodes.stop()
    table(f"{IN_FLIGHT} jobs in flight, each polled every two seconds; CPU in shares of one core", COST_COLUMNS, rows)


async def watch_and_cancel(nodes: Nodes, ids: list[str], rows: list[list[str]]) -> None:
    received, watching = {}, []

    async def watch(id: str, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /v1/videos/{id}/events HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        # The head of the response and the first event.
        await reader.readuntil(b"data: ")
        await reader.readuntil(b"\n\n")

        async def follow() -> None:
            while b"failed" not in await reader.readuntil(b"\n\n"):
                pass
            received[id] = time.perf_counter()
            writer.close()

        watching.append(asyncio.create_task(follow()))

    before = nodes.memory()
    at = {id: random.choice(nodes.ports) for id in ids}
    for first in range(0, len(ids), 200):
        await asyncio.gather(*(watch(id, at[id]) for id in ids[first : first + 200]))
    print(f"   memory of a watcher: {(nodes.memory() - before) / len(ids):.1f} KiB", flush=True)
    await asyncio.sleep(5)
    rows.append([f"{len(nodes.ports)}, {len(ids)} watchers", *await asyncio.to_thread(cost, nodes, 30)])
    sent, here, there = {}, [], []
    streams = {port: await asyncio.open_connection("127.0.0.1", port) for port in nodes.ports}
    for id in random.sample(ids, 500):
        port = random.choice(nodes.ports)
        sent[id] = time.perf_counter(), port
        await call(streams[port], "POST", f"/v1/videos/{id}/cancel")
        await asyncio.sleep(0.05)
    await asyncio.sleep(5)
    for id, (start, port) in sent.items():
        (here if at[id] == port else there).append((received[id] - start) * 1000 if id in received else float("inf"))
    delays = [["at the same node", here], ["at another node", there], ["all", here + there]]
    delays = [[name, len(values), f"{statistics.median(values):.0f} ms", f"{percentile(values, 0.99):.0f} ms", f"{max(values):.0f} ms"] for name, values in delays if values]
    table("From the cancellation of a video to its watcher", ["watcher", "changes", "median", "p99", "worst"], delays)
    for task in watching:
        task.cancel()


def watchers(program: str) -> None:
    nodes, rows = Nodes(program, 2, False, **MANY), []
    ids = fill(nodes)
    rows.append(["2, no watcher", *cost(nodes, 20)])
    asyncio.run(watch_and_cancel(nodes, ids, rows))
    nodes.stop()
    table(f"{IN_FLIGHT} jobs in flight and their watchers", COST_COLUMNS, rows)


def life(program: str) -> None:
    upstream = Upstream(small_clip(program), {}, RENDER)
    settings = {"VIDEO_SERVICE_TYPE": "openai", "VIDEO_BASE_URL": upstream.url, "VIDEO_MODELS": "scripted"}
    settings |= {"TRIPTYCH_VIDEO_OPENAI_POLL_INTERVAL": f"{POLL}s"}
    nodes = Nodes(program, 2, False, **settings, **MANY)

    def totals() -> tuple[int, int, int]:
        return nodes.statements(), nodes.commits(), nodes.wal()

    time.sleep(5)
    idle, idle_totals, start = nodes.row_versions(), totals(), time.perf_counter()
    time.sleep(10)
    took = time.perf_counter() - start
    before, before_totals, start = nodes.row_versions(), totals(), time.perf_counter()
    # The row versions, statements, transactions and WAL of two idle nodes per second.
    base = {name: (before[name] - idle.get(name, 0)) / took for name in before}
    base_totals = [(b - a) / took for a, b in zip(idle_totals, before_totals)]
    asyncio.run(created_ids(nodes.ports, LIFE_JOBS, "scripted"))
    while nodes.value("SELECT COUNT(*) FROM video_jobs WHERE completed_at IS NULL") != "0":
        time.sleep(0.5)
    print(f"   all {LIFE_JOBS} jobs finished {time.perf_counter() - start:.0f} s after the first create; a render takes {RENDER[0]} to {RENDER[1]} s")
    # PostgreSQL's processes report the statistics of tables up to a second late.
    time.sleep(2)
    took, after = time.perf_counter() - start, nodes.row_versions()
    statements, commits, wal = ((b - a - rate * took) / LIFE_JOBS for a, b, rate in zip(before_totals, totals(), base_totals))
    per_job = {name: (after[name] - before.get(name, 0) - base.get(name, 0) * took) / LIFE_JOBS for name in after}
    rows = [[name, f"{count:.2f}"] for name, count in sorted(per_job.items(), key=lambda item: -item[1]) if count >= 0.01]
    rows.append(["**all**", f"{sum(per_job.values()):.2f}"])
    table(f"Row versions of a job from its create to its file ({LIFE_JOBS} jobs)", ["table", "inserts, updates and deletes for each job"], rows)
    updates = nodes.value("SELECT SUM(n_tup_hot_upd) || ' of ' || SUM(n_tup_upd) FROM pg_stat_user_tables")
    print(f"   for each job: {commits:.1f} transactions, {statements:.1f} statements, {wal / 1024:.1f} KiB of WAL")
    print(f"   two idle nodes: {base_totals[0]:.1f} statements/s; heap-only updates: {updates}")
    print("   most frequent statements:", *nodes.frequent_statements(), sep="\n      ", flush=True)
    nodes.stop()


def held(program: str) -> None:
    nodes, rows = Nodes(program, 2, False), []
    # Warms the nodes up, and is not measured.
    Load(nodes.ports, 16, 3).run()

    def measure(name: str) -> None:
        load = Load(nodes.ports, 16, HELD_SECONDS / 6, limit=200).run()
        dead = nodes.value("SELECT SUM(n_dead_tup) FROM pg_stat_user_tables")
        rows.append([name, f"{len(load.latencies) / load.seconds:.0f}", f"{percentile(load.latencies, 0.5):.1f} ms", f"{percentile(load.latencies, 0.99):.1f} ms", dead])

    measure("before")
    statements = f"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT COUNT(*) FROM video_jobs; SELECT pg_sleep({HELD_SECONDS + 5}); COMMIT;"
    session = nodes.postgres.psql("triptych", statements)
    for part in range(6):
        measure(f"held, from {part * HELD_SECONDS // 6} s on")
    print("   dead rows:", nodes.value("SELECT string_agg(relname || ' ' || n_dead_tup, ', ' ORDER BY n_dead_tup DESC) FROM pg_stat_user_tables WHERE n_dead_tup > 500"))
    session.wait()
    measure("after")
    table("Creates of two nodes, at most 200/s, while a foreign transaction is open", ["", "creates/s", "p50", "p99", "dead rows"], rows)
    nodes.stop()


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    measurements = {"creates": creates, "in-flight": in_flight, "watchers": watchers, "life": life, "held": held}
    for name in sys.argv[2:] or list(measurements):
        measurements[name](os.path.abspath(sys.argv[1]))

"""The invariants of `cluster`, after the last fault and the last watcher."""

import json

from cluster_clients import Clients
from cluster_faults import Faults
from cluster_nodes import Cluster


def check(name: str, condition: bool, detail: object = "") -> bool:
    print(f"   {name}: {'ok' if condition else f'FAILED {detail}'}", flush=True)
    return condition


def print_delays(cluster: Cluster, clients: Clients) -> None:
    """Prints the times from the ends of the jobs, by the database, until their watchers saw them."""
    rows = cluster.value("SELECT id, completed_at FROM video_jobs WHERE completed_at IS NOT NULL").splitlines()
    ends = {id: int(at) / 1000 for id, at in (row.split("|") for row in rows)}
    seen = [(number, at - ends[clients.ids[number]]) for number, at in clients.ended.items() if clients.ids[number] in ends]
    unbroken = sorted(delay for number, delay in seen if number not in clients.broken)
    for name, delays in (("all", sorted(delay for _, delay in seen)), ("with one stream", unbroken)):
        if delays:
            median, p99 = (delays[int(len(delays) * share)] for share in (0.5, 0.99))
            print(f"   {len(delays)} watchers ({name}): delay {median:.2f} s at the median, p99 {p99:.2f} s, worst {delays[-1]:.2f} s", flush=True)


def check_all(cluster: Cluster, clients: Clients, faults: Faults, started: float, ended: float) -> list[bool]:
    """Reads every job and its file from some node, and compares them with the upstream and the database."""
    renders = cluster.upstream.prompts()
    lost, incomplete, unknown, damaged = [], [], [], []
    for number, id in clients.ids.items():
        node = number % len(cluster.nodes)
        status, data = clients.rest("GET", f"/v1/videos/{id}", node=node)
        if status != 200:
            lost.append((id, status))
            continue
        video = json.loads(data)
        if (video["error"] or {}).get("code") == "outcome_unknown" and not renders[video["prompt"]]:
            unknown.append(id)
        elif video["status"] != "completed":
            incomplete.append((id, video["status"], video["error"]))
        elif clients.rest("GET", f"/v1/videos/{id}/content", node=node)[1] != cluster.clip:
            damaged.append(id)
    print(f"   unknown and without a render: {len(unknown)}; starts that failed without the database or the bucket: {cluster.failed_starts}", flush=True)
    doubled = {prompt: count for prompt, count in renders.items() if count > 1}
    jobs, prompts = (int(cluster.value(f"SELECT COUNT({what}) FROM video_jobs")) for what in ("*", "DISTINCT request"))
    # The times of the database, in milliseconds. A worker with a wrong clock must not write its own time.
    bounds = f"created_at < {started * 1000 - 2000:.0f} OR completed_at > {ended * 1000 + 2000:.0f} OR completed_at < created_at"
    wrong_times = cluster.value(f"SELECT COUNT(*) FROM video_jobs WHERE {bounds}")
    reserved = cluster.value("SELECT COALESCE(SUM(amount), 0) FROM ledger_reserved WHERE subject LIKE 'key:%'")
    holds = cluster.value("SELECT COALESCE(SUM(amount), 0) FROM ledger_holds")
    bursts = {number: renders[f"burst {number}"] for number in clients.bursts}
    print_delays(cluster, clients)
    missed = [number for number in clients.ids if number not in clients.ended]
    print(
        f"   jobs lost {len(lost)}, paid twice {len(doubled)}, client errors after retry {len(clients.problems)}, "
        f"watchers that missed the end {len(missed)}, {len(bursts)} bursts of equal creates",
        flush=True,
    )
    return [
        check("no job is lost", not lost, lost),
        check("every job is completed", not incomplete, incomplete),
        check("every file is whole", not damaged, damaged),
        check("none was paid twice", not doubled, doubled),
        check("no client got an error after its retries", not clients.problems, clients.problems[:20]),
        check("equal creates are one job", jobs == prompts == len(clients.ids), (jobs, prompts, len(clients.ids))),
        check("equal creates at once are at most one render", all(count <= 1 for count in bursts.values()), bursts),
        check("every watcher saw the end", not missed, missed),
        check("times are those of the database", wrong_times == "0", wrong_times),
        check("reserved is the sum of the holds", reserved == holds, (reserved, holds)),
        check("answers without the database", not faults.problems, faults.problems),
        check("no process ended by itself", cluster.ended == 0, cluster.ended),
    ]

"""Makes a backup under load, restores it after the process was killed, and checks that nothing is lost or paid twice.

    backup.py PATH_OF_TRIPTYCH [JOBS]

Clients create images and JOBS (25) videos at an upstream that accepts about three of them a second, so that many are queued when the
backup is made. The process then submits them all, accepts further ones, and is killed. With the restored data directory:

- every video and image that was completed before the backup has the same bytes;
- each prompt still has one render at the upstream: the jobs that were queued in the backup find theirs;
- reserved and spent money are the sums of the holds and the entries of the ledger.

Also backs up the stopped service, and checks what is refused. Needs the standard library only.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from fake_video_upstream import Upstream
from kill_upstream_jobs import small_clip
from server import Server, list_all

# The longest wait for the jobs, in seconds.
TIMEOUT = 120
PRICES = 'prices = [{ model = "scripted", per_second = "0.1" }, { model = "*", per_image = "0.04" }]\n'


class SlowUpstream(Upstream):
    """Takes some time for each submission."""

    def _submit(self, fields: dict[str, str]) -> dict:
        time.sleep(0.3)
        return super()._submit(fields)


def create(server: Server, number: int) -> None:
    body = {"model": "scripted", "prompt": f"clip {number}", "size": "64x64", "seconds": "1"}
    status, data = server.call("POST", "/v1/videos", body)
    assert status == 200, (status, data)


def create_image(server: Server, number: int) -> str:
    body = {"model": "offline-image", "prompt": f"boat {number}", "size": "64x64", "response_format": "url"}
    status, data = server.call("POST", "/v1/images/generations", body)
    assert status == 200, (status, data)
    url = json.loads(data)["data"][0]["url"]
    return url[url.index("/media/") :]


def wait_for_the_end(server: Server) -> list[dict]:
    """Returns the jobs once all of them are final."""
    give_up = time.monotonic() + TIMEOUT
    while any(job["status"] in ("queued", "in_progress") for job in list_all(server)):
        assert time.monotonic() < give_up, "jobs did not end"
        time.sleep(0.2)
    return list_all(server)


def run(program: str, directory: Path, *arguments: str, expected: int = 0) -> str:
    """Runs a command of Triptych in a directory, and returns its output."""
    environment = os.environ | {"TRIPTYCH_DATA_DIR": "data"}
    ended = subprocess.run([program, *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == expected, (arguments, ended)
    print("  ", (ended.stdout + ended.stderr).strip().replace("\n", "\n   "), flush=True)
    return ended.stdout + ended.stderr


def ledger_problems(data: Path) -> list[str]:
    """Compares the sums of the ledger with its rows."""
    with contextlib.closing(sqlite3.connect(data / "jobs.sqlite")) as database:
        number = lambda query: database.execute(f"SELECT COALESCE(({query}), 0)").fetchone()[0]
        pairs = {
            "reserved": ("SELECT SUM(amount) FROM ledger_reserved WHERE subject LIKE 'key:%'", "SELECT SUM(amount) FROM ledger_holds"),
            "spent": (
                "SELECT SUM(amount) FROM ledger_spent WHERE subject LIKE 'key:%' AND period = 'total'",
                "SELECT SUM(amount) FROM ledger_entries WHERE kind IN ('settle', 'adjust')",
            ),
        }
        sums = {name: tuple(number(query) for query in queries) for name, queries in pairs.items()}
    assert sums["spent"][0] > 0, "the ledger is empty"
    return [f"{name}: {one} is recorded, the rows have {other}" for name, (one, other) in sums.items() if one != other]


def start_in(program: str, directory: Path, settings: dict[str, str]) -> Server:
    (directory / "triptych.toml").write_text(PRICES)
    return Server(program, str(directory), settings)


def main(program: str, jobs: int = 25) -> None:
    program, root = os.path.abspath(program), Path(tempfile.mkdtemp(prefix="backup-"))
    upstream = SlowUpstream(small_clip(program), {}, render_seconds=(0.2, 0.6))
    settings = {"VIDEO_SERVICE_TYPE": "openai", "VIDEO_BASE_URL": upstream.url, "VIDEO_MODELS": "scripted"}
    settings |= {"TRIPTYCH_VIDEO_OPENAI_POLL_INTERVAL": "200ms", "TRIPTYCH_JOBS_CONCURRENCY": "2"}
    first, second, third = (root / name for name in ("first", "second", "third"))
    for directory in (first, second, third):
        directory.mkdir()
    server = start_in(program, first, settings)
    for number in range(jobs):
        create(server, number)
    images = {path: server.call("GET", path)[1] for path in (create_image(server, number) for number in range(5))}
    while sum(job["status"] == "completed" for job in list_all(server)) < 3:
        time.sleep(0.1)

    # Load during the backup: images, and videos that are not in it.
    stop, later = threading.Event(), iter(range(jobs, 10 * jobs))

    def client() -> None:
        while not stop.is_set():
            create(server, next(later))
            create_image(server, next(later))

    load = threading.Thread(target=client)
    load.start()
    completed = {job["id"]: server.call("GET", f"/v1/videos/{job['id']}/content")[1] for job in list_all(server) if job["status"] == "completed"}
    run(program, first, "backup", str(root / "backup"))
    stop.set()
    load.join()
    waiting = sum(job["status"] == "queued" for job in list_all(server))
    assert waiting, "no job was queued at the backup"
    # The directory of the backup exists by now.
    run(program, first, "backup", str(root / "backup"), expected=1)
    # The original submits everything that was queued, then its machine is lost.
    ended = {job["id"]: job["status"] for job in wait_for_the_end(server)}
    server.process.kill()
    server.process.wait()

    # The first data directory is not empty.
    run(program, first, "restore", str(root / "backup"), expected=1)
    run(program, second, "restore", str(root / "backup"))
    server = start_in(program, second, settings)
    restored = {job["id"]: job for job in wait_for_the_end(server)}
    renders = upstream.prompts()
    problems = [f"{prompt} was submitted {count} times" for prompt, count in renders.items() if count > 1]
    problems += [f"{id} is lost" for id in completed if id not in restored]
    problems += [f"{id} is {job['status']}: {job['error']}" for id, job in restored.items() if job["status"] != "completed"]
    content = {id: server.call("GET", f"/v1/videos/{id}/content")[1] for id in restored}
    problems += [f"{id} has other bytes" for id, data in content.items() if data != completed.get(id, upstream.clip)]
    problems += [f"{path} has other bytes" for path, data in images.items() if server.call("GET", path)[1] != data]
    server.process.terminate()
    code = server.process.wait(60)
    problems += ledger_problems(second / "data")

    # The stopped service, with copies instead of links.
    run(program, second, "backup", str(root / "stopped"), "--copy")
    run(program, third, "restore", str(root / "stopped"), "--resume-queued")
    server = start_in(program, third, settings)
    if {job["id"] for job in list_all(server)} != set(restored):
        problems.append("the backup of the stopped service has other jobs")
    server.process.terminate()
    code = code or server.process.wait(60)
    print(
        f"{len(ended)} jobs in the end, {len(restored)} in the backup, {len(completed)} of them completed and {waiting} queued around it, "
        f"{len(renders)} renders; exit code {code}"
    )
    for problem in problems[:20]:
        print("  ", problem)
    if problems or code or not len(completed) <= len(restored) < len(ended) == len(renders):
        sys.exit(f"failed; log and data are in {root}")
    shutil.rmtree(root)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

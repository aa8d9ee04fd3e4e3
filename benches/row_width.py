"""Measures what narrow rows for the changing columns of a job would save, and what partitions for ended jobs would.

    row_width.py

Runs the changes of a job's life, in transactions of 20 jobs, against the table `video_jobs` of the migrations (`one row`), and against two
tables, of the columns that change and of those that never do (`two rows`). Then removes the jobs by DELETE (`one row`), and by moving
each to a partition for ended jobs, which is dropped (`two rows`). Prints the bytes of the write-ahead log and the time of one session
for each job. Needs the installed binaries of PostgreSQL.
"""

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests/clients"))

from postgres_server import Postgres  # noqa: E402

DATABASE, JOBS, GROUP = "rows", 10_000, 20
# Bytes of the request: a prompt, a prompt with references, and one that PostgreSQL stores outside of the row.
REQUESTS = (400, 1_500, 20_000)
# Random, so that it cannot be compressed.
REQUEST = "(SELECT string_agg(md5(random()::text || n), '') FROM generate_series(1, {bytes} / 32) AS n)"
HOT = "id, owner, revision, phase, state, completed_at, expires_at, deadline_at, due_at, failures, abandoned, deleted, lease_owner, fence, provider_id, submissions, charge, priority"
COLD = "id, request, origin, created_at, idempotency_key, fingerprint, key_expires_at, extra_json"
# The states of a job without an error, each written with its revision; a claim and the end of it are changes as well.
STATE = """json_build_object('version', 2, 'phase', '{phase}', 'task', 'task-' || id, 'provider', 'fake', 'progress', {progress})::text"""
CHANGES = [
    "lease_owner = 'w', fence = fence + 1",
    *(
        f"revision = revision + 1, phase = '{phase}', due_at = {due}, completed_at = {completed}, state = " + STATE.format(phase=phase, progress=progress)
        for phase, progress, due, completed in (
            ("submitting", 0, "1", "NULL"), ("rendering", 0, "2", "NULL"), ("rendering", 50, "3", "NULL"), ("storing", 90, "4", "NULL"), ("succeeded", 100, "NULL", "5"),
        )
    ),
    "lease_owner = ''",
]


def two_tables(postgres: Postgres) -> None:
    """Creates the tables of `two rows`, with the indexes and storage parameters of the one that they replace."""
    run(postgres, f"CREATE TABLE cold AS SELECT {COLD} FROM video_jobs WITH NO DATA; ALTER TABLE cold ADD PRIMARY KEY (id)")
    run(postgres, f"CREATE TABLE hot AS SELECT {HOT} FROM video_jobs WITH NO DATA; ALTER TABLE hot ADD PRIMARY KEY (id)")
    run(postgres, "ALTER TABLE hot SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)")
    indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = 'video_jobs' AND indexdef NOT LIKE '%UNIQUE%' AND indexname <> 'video_jobs_model'"
    for index in postgres.value(DATABASE, indexes).splitlines():
        run(postgres, index.replace("INDEX video_jobs", "INDEX hot").replace(".video_jobs ", ".hot "))


def run(postgres: Postgres, statements: str) -> None:
    postgres.value(DATABASE, statements)


def measured(postgres: Postgres, body: str) -> tuple[float, float]:
    """Runs a loop over groups of ids, each a transaction. Returns the bytes of log and the microseconds for each job."""
    before, start = int(postgres.value(DATABASE, "SELECT (pg_current_wal_lsn() - '0/0')::bigint")), time.time()
    loop = f"FOR first IN 0..{JOBS - 1} BY {GROUP} LOOP {body} COMMIT; END LOOP;"
    run(postgres, f"DO $$ DECLARE first INT; BEGIN {loop} END $$")
    seconds = time.time() - start
    return (int(postgres.value(DATABASE, "SELECT (pg_current_wal_lsn() - '0/0')::bigint")) - before) / JOBS, seconds / JOBS * 1e6


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="rows-") as directory:
        postgres = Postgres(Path(directory) / "postgres", {"shared_buffers": "512MB", "full_page_writes": "off", "max_wal_size": "8GB"})
        postgres.create_database(DATABASE)
        run(postgres, f"ALTER DATABASE {DATABASE} SET synchronous_commit = off; ALTER DATABASE {DATABASE} SET enable_seqscan = off")
        for migration in sorted((ROOT / "core-service/migrations/postgres").glob("*.sql")):
            run(postgres, migration.read_text())
        # What a change does beside its row is the same for both.
        run(postgres, "ALTER TABLE video_jobs DISABLE TRIGGER USER")
        two_tables(postgres)
        print("| request | step | one row | two rows |\n| --- | --- | --- | --- |")
        for size in REQUESTS:
            rows = {
                "id": "'video_' || lpad(n::text, 32, '0')", "owner": "'owner'", "revision": "1", "phase": "'queued'", "state": "'{}'", "request": REQUEST.format(bytes=size),
                "origin": "'{\"kind\":\"create\"}'", "created_at": "1", "completed_at": "NULL", "expires_at": "9", "deadline_at": "9", "due_at": "1", "failures": "0", "abandoned": "NULL",
                "deleted": "0", "idempotency_key": "n::text", "fingerprint": "md5(n::text)", "key_expires_at": "9", "lease_owner": "''", "fence": "0", "extra_json": "''",
                "provider_id": "'fake'", "submissions": "0", "charge": "NULL", "priority": "'normal'",
            }
            source = f"FROM generate_series(first, first + {GROUP - 1}) AS n"

            def insert(table: str, columns: str) -> str:
                return f"INSERT INTO {table} ({columns}) SELECT {', '.join(rows[column] for column in columns.split(', '))} {source};"

            ids = f"id >= 'video_' || lpad(first::text, 32, '0') AND id < 'video_' || lpad((first + {GROUP})::text, 32, '0')"

            def change(table: str) -> str:
                return "COMMIT; ".join(f"UPDATE {table} SET {change} WHERE {ids};" for change in CHANGES)

            steps = {
                "create": (insert("video_jobs", f"{HOT}, {COLD.removeprefix('id, ')}"), insert("hot", HOT) + insert("cold", COLD)),
                f"{len(CHANGES)} changes": (change("video_jobs"), change("hot")),
            }
            for name, bodies in steps.items():
                cells = ["{:,.0f} B, {:.0f} µs".format(*measured(postgres, body)) for body in bodies]
                print(f"| {size:,} B | {name} | {' | '.join(cells)} |", flush=True)
            run(postgres, "CREATE TABLE ended AS SELECT * FROM video_jobs WITH NO DATA")
            removed = measured(postgres, f"DELETE FROM video_jobs WHERE {ids};")
            moved = measured(postgres, f"WITH gone AS (DELETE FROM hot WHERE {ids} RETURNING *) INSERT INTO ended ({HOT}, {COLD.removeprefix('id, ')}) SELECT {', '.join('gone.' + c for c in HOT.split(', '))}, {COLD.removeprefix('id, ')} FROM gone JOIN cold USING (id); DELETE FROM cold WHERE {ids};")
            run(postgres, "DROP TABLE ended; TRUNCATE hot, cold")
            print("| {:,} B | remove | {:,.0f} B, {:.0f} µs | {:,.0f} B, {:.0f} µs |".format(size, *removed, *moved), flush=True)
        postgres.stop()


if __name__ == "__main__":
    main()

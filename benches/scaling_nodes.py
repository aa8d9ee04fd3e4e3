"""The nodes of scaling.py, their database, and its statistics."""

import os
import shutil
import tempfile
from pathlib import Path

from postgres_server import Postgres
from videos import Server

DATABASE = "triptych"
TICKS = os.sysconf("SC_CLK_TCK")
# Statements of other databases, and those that read statistics of PostgreSQL (`pg_stat_…`), are not counted.
OWN = "dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND query NOT LIKE '%pg_stat_%'"


def cpu_of(pid: int, with_children: bool = False) -> float:
    """Returns the CPU time of a process in seconds; with `with_children`, that of its ended children too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11 : 15 if with_children else 13])) / TICKS


class Nodes:
    """Nodes that share a PostgreSQL server started for them, or one node with SQLite."""

    def __init__(self, program: str, count: int, sqlite: bool, **settings: str) -> None:
        self.sqlite, self.directory = sqlite, Path(tempfile.mkdtemp(prefix="scaling-"))
        if not sqlite:
            options = {"shared_preload_libraries": "pg_stat_statements", "shared_buffers": "512MB", "pg_stat_statements.track": "top"}
            self.postgres = Postgres(self.directory / "postgres", options)
            self.postgres.create_database(DATABASE)
            self.value("CREATE EXTENSION pg_stat_statements")
            settings |= {"TRIPTYCH_DATABASE_URL": self.postgres.url(DATABASE), "TRIPTYCH_MEDIA_URL": f"file://{self.directory}/media"}
        self.servers = [Server(program, **settings) for _ in range(count)]
        self.ports = [server.port for server in self.servers]

    def value(self, statement: str) -> str:
        return self.postgres.value(DATABASE, statement)

    def cpu(self) -> tuple[float, float]:
        """Returns the CPU times of the nodes and of PostgreSQL so far, in seconds."""
        return sum(server.cpu() for server in self.servers), 0.0 if self.sqlite else self._cpu_of_postgres()

    def _cpu_of_postgres(self) -> float:
        postmaster = int((self.postgres.directory / "data/postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        total = cpu_of(postmaster, with_children=True)
        for child in map(int, children):
            try:
                total += cpu_of(child)
            except FileNotFoundError:
                continue
        return total

    def memory(self) -> int:
        """Returns the proportional set size of all nodes, in KiB."""
        return sum(server.memory() for server in self.servers)

    def _number(self, statement: str) -> int:
        return 0 if self.sqlite else int(float(self.value(statement) or 0))

    def statements(self) -> int:
        return self._number(f"SELECT SUM(calls) FROM pg_stat_statements WHERE {OWN}")

    def commits(self) -> int:
        """Returns the number of transactions that got an id, which are those that write."""
        return self._number("SELECT CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT)")

    def wal(self) -> int:
        """Returns the bytes of the write-ahead log so far."""
        return self._number("SELECT pg_current_wal_lsn() - '0/0'")

    def frequent_statements(self, count: int = 12) -> list[str]:
        rows = f"SELECT calls, ROUND(total_exec_time::numeric, 0) AS ms, LEFT(REGEXP_REPLACE(query, '\\s+', ' ', 'g'), 120) AS query FROM pg_stat_statements WHERE {OWN}"
        return self.value(f"SELECT calls || ' calls, ' || ms || ' ms: ' || query FROM ({rows} ORDER BY calls DESC LIMIT {count}) AS most").splitlines()

    def row_versions(self) -> dict[str, int]:
        """Returns the inserts, updates and deletes of each table so far."""
        if self.sqlite:
            return {}
        rows = self.value("SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables").splitlines()
        return {name: int(count) for name, count in (row.split("|") for row in rows)}

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        if not self.sqlite:
            self.postgres.stop()
        shutil.rmtree(self.directory)

"""A private PostgreSQL server of the installed binaries, in a directory, with a Unix socket and a TCP port of its own."""

import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path

from server import free_port

INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class Postgres:
    """The server, which can be restarted. PostgreSQL refuses to run as root: under root, it runs as the user `nobody`."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None, primary: "Postgres | None" = None) -> None:
        """Starts a server in a new directory: an empty one, or a standby of `primary`."""
        self.directory, self.port = directory, free_port()
        self.bin = INSTALLED[0] if INSTALLED else Path(shutil.which("initdb") or "").parent
        self.user: list[str] = []
        directory.mkdir()
        if os.geteuid() == 0:
            self.user = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            nobody = pwd.getpwnam("nobody")
            os.chown(directory, nobody.pw_uid, nobody.pw_gid)
            # The user must be able to reach the directory, which is in one that only root can enter.
            directory.parent.chmod(0o711)
        if primary:
            source = ["--host=127.0.0.1", f"--port={primary.port}", "--username=postgres", "--checkpoint=fast"]
            self._run("pg_basebackup", "--pgdata=data", *source, "--write-recovery-conf")
        else:
            self._run("initdb", "--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
        options = {"port": str(self.port), "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
        with (directory / "data/postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in (options | (settings or {})).items())
        self.start()

    @staticmethod
    def is_installed() -> bool:
        return bool(INSTALLED or (shutil.which("initdb") and shutil.which("pg_ctl")))

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.user, str(self.bin / program), *arguments]
        with (self.directory / "commands.log").open("ab") as log:
            # The server inherits the log: waiting for the end of a pipe would wait for the server.
            ended = subprocess.run(command, cwd=self.directory, stdout=log, stderr=log, timeout=120, check=False)
        if ended.returncode != 0:
            sys.exit((self.directory / "commands.log").read_text())

    def start(self) -> None:
        self._run("pg_ctl", "start", "--wait", "--pgdata=data", "--log=server.log")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "stop", "--wait", f"--mode={mode}", "--pgdata=data")

    def promote(self) -> None:
        """Makes a standby a primary."""
        self._run("pg_ctl", "promote", "--wait", "--pgdata=data")

    def restart(self) -> None:
        """Ends the server as a crash would, and starts it again."""
        self.stop()
        self.start()

    def url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def value(self, database: str, statement: str) -> str:
        """Returns the only value of a result."""
        command = [str(self.bin / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", "--command", statement, self.url(database)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    def psql(self, database: str, statements: str) -> subprocess.Popen:
        """Starts statements in a session, one after the other."""
        command = [str(self.bin / "psql"), "--no-psqlrc", "--quiet", self.url(database)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
        process.stdin.write(statements)
        process.stdin.close()
        return process

    def wait_for_standby(self) -> None:
        """Waits for a standby, and lets every commit wait for it from then on, so that a failover loses none."""
        while self.value("postgres", "SELECT COUNT(*) FROM pg_stat_replication WHERE state = 'streaming'") == "0":
            time.sleep(0.1)
        self.value("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.value("postgres", "SELECT pg_reload_conf()")

    def create_database(self, name: str) -> None:
        self.value("postgres", f"CREATE DATABASE {name}")

    def cut_connections(self) -> None:
        """Ends all other connections to the server, whatever they do."""
        self.value("postgres", "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

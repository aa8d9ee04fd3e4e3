"""Triptych processes that can be restarted, and helpers for the load balancers in front of them. Needs the standard library only."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from server import free_port

# A stream of the built-in engine has about 30 tokens, and so takes a second.
TOKENS_PER_SECOND = "30"


class Process:
    """A Triptych process that can be restarted at the same address. It is ready once `ready_path` of its REST API answers, or, without
    a path, once its gRPC port accepts connections."""

    def __init__(self, program: str, directory: Path, arguments: list[str], settings: dict[str, str], ready_path: str | None):
        directory.mkdir(exist_ok=True)
        self.rest, self.grpc, self.ready_path = free_port(), free_port(), ready_path
        self.command, self.directory, self.log = [program, *arguments], directory, (directory / "log").open("ab")
        variables = {"TRIPTYCH_REST_LISTEN": f"127.0.0.1:{self.rest}", "TRIPTYCH_GRPC_LISTEN": f"127.0.0.1:{self.grpc}"}
        self.environment = os.environ | variables | {"TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND": TOKENS_PER_SECOND} | settings
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment, cwd=self.directory, stdout=self.log, stderr=self.log)

    def wait_until_ready(self) -> None:
        give_up = time.monotonic() + 60
        while time.monotonic() < give_up:
            if self.process.poll() is not None:
                sys.exit(f"{self.command} ended with {self.process.returncode}; its log: {self.directory}/log")
            with contextlib.suppress(OSError, urllib.error.URLError):
                if self.ready_path is None:
                    socket.create_connection(("127.0.0.1", self.grpc), 1).close()
                else:
                    urllib.request.urlopen(f"http://127.0.0.1:{self.rest}{self.ready_path}", timeout=5).close()
                return
            time.sleep(0.02)
        sys.exit(f"{self.command} did not become ready; its log: {self.directory}/log")

    def stop(self) -> None:
        self.process.terminate()
        code = self.process.wait(60)
        assert code == 0, f"exit status {code}; log in {self.directory}"

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait_until_ready()


def wait_for_port(port: int, process: subprocess.Popen, output: Path) -> None:
    """Waits until a port accepts connections. Fails with the output of its process if that ends before."""
    while True:
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port), 1).close()
        assert process.poll() is None, output.read_text()
        time.sleep(0.02)


def executable(name: str) -> str | None:
    # Debian installs load balancers in a directory that is not in the PATH of users.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")

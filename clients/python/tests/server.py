"""Shared by the tests: a Triptych process with its built-in engines, which can be killed and started again."""

import os
import socket
import subprocess
import tempfile
from types import TracebackType

API_KEY = "the-secret-of-the-tests"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Server:
    """The program TRIPTYCH_BIN on a free port, with an API key and an empty data directory."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self.address = f"127.0.0.1:{free_port()}"
        self._environment = {
            "PATH": os.environ["PATH"],
            "TRIPTYCH_GRPC_LISTEN": self.address,
            "TRIPTYCH_REST_LISTEN": "127.0.0.1:0",
            "TRIPTYCH_KEYS": f"tests:{API_KEY}",
            # The next process resumes a job when the lease of the killed one has expired.
            "TRIPTYCH_JOBS_LEASE": "2s",
        }
        self.start()

    def start(self) -> None:
        """Starts the process, and returns once its start-up banner shows that it listens."""
        log = os.path.join(self._directory.name, "log")
        with open(log, "ab") as errors:
            self._process = subprocess.Popen(
                [os.environ["TRIPTYCH_BIN"]],
                cwd=self._directory.name,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.split()[:1] == ["gRPC"]:
                return
        with open(log) as errors_text:
            raise RuntimeError(f"the server did not start: {errors_text.read()}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def restart(self) -> None:
        self.kill()
        self.start()

    def stop(self) -> None:
        self.kill()
        self._directory.cleanup()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()

"""Measures the CPU time that accounting costs a call: an API key with limits and budgets, prices, and the access log.

    accounts.py PATH_OF_TRIPTYCH [VARIANT]...

Compares a process without any of it with one process for each variant: `log` (the access log alone), `key` (an API key without limits),
`limits` (a key and a team with limits and budgets, and prices), `all`; without names, with `all`. The rounds of the processes alternate, so
that a busy machine changes them alike. Prints the medians of the CPU time of a call, all threads of the process included. Needs Linux,
and a release build for figures that mean something.
"""

import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from instructions import ACCOUNTS, KEY, WITHOUT_ACCOUNTS, Rest, ports, serve

ROUNDS = 15
# Calls of each connection in a round, by the number of connections and whether they stream.
CALLS = {(1, False): 400, (1, True): 150, (16, False): 100, (16, True): 40}
OFF = 'log.filter = "info,triptych::access=off"'
VARIANTS = {
    "log": 'log.filter = "info"',
    "key": f'{OFF}\nkeys = [{{ name = "client", secret = "{KEY}" }}]',
    "limits": ACCOUNTS.replace('log.filter = "info"', OFF),
    "all": ACCOUNTS,
}


class Process:
    """A Triptych process with some connections to it."""

    def __init__(self, program: str, base: str, configuration: str) -> None:
        self.directory = tempfile.TemporaryDirectory()
        Path(self.directory.name, "triptych.toml").write_text(configuration)
        settings = {"CHAT_BASE_URL": base, "CHAT_MODEL": "m", "TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0"}
        environment = {name: value for name, value in os.environ.items() if "TRIPTYCH" not in name and "PROXY" not in name.upper()}
        self.log = open(Path(self.directory.name, "log"), "wb")
        self.server = subprocess.Popen([program], cwd=self.directory.name, env=environment | settings, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.ports = ports(self.server.stdout)

    def cpu(self) -> int:
        """Returns the CPU time so far, in nanoseconds."""
        tasks = Path(f"/proc/{self.server.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def round(self, clients: list[Rest], calls: int) -> float:
        """Makes the calls on all connections at the same time. Returns the CPU time of one, in microseconds."""

        def run(client: Rest) -> None:
            for _ in range(calls):
                client.call()

        before, threads = self.cpu(), [threading.Thread(target=run, args=(client,)) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (self.cpu() - before) / len(clients) / calls / 1000

    def stop(self) -> None:
        self.server.terminate()
        self.server.wait()
        self.log.close()
        self.directory.cleanup()


def main() -> None:
    program, names = os.path.abspath(sys.argv[1]), sys.argv[2:] or ["all"]
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True).start()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    processes = {name: Process(program, base, configuration) for name, configuration in {"off": WITHOUT_ACCOUNTS, **{name: VARIANTS[name] for name in names}}.items()}
    print(f"| call | connections | off | {' | '.join(names)} |\n| --- | --- | --- |{' --- |' * len(names)}")
    for (connections, stream), calls in CALLS.items():
        clients = {name: [Rest(process.ports, stream) for _ in range(connections)] for name, process in processes.items()}
        # The first round warms up.
        rounds = [{name: process.round(clients[name], calls) for name, process in processes.items()} for _ in range(ROUNDS + 1)][1:]
        off, *others = (statistics.median(one[name] for one in rounds) for name in processes)
        cells = [f"{off:.0f} µs", *(f"{other:.0f} µs, {other / off - 1:+.1%}" for other in others)]
        print(f"| {'stream' if stream else 'complete response'} | {connections} | {' | '.join(cells)} |", flush=True)
        for client in (client for some in clients.values() for client in some):
            client.close()
    for process in processes.values():
        process.stop()


if __name__ == "__main__":
    main()

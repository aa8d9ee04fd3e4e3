"""A load balancer in front of two Triptych processes that are restarted one after the other under load. Needs the standard library only.

Uses the configurations in deploy/haproxy and deploy/nginx, with other addresses.
"""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from load import Load, chat, stream
from processes import Process, executable, wait_for_port
from server import free_port

DEPLOY = Path(__file__).parents[2] / "deploy"
# Longer than HAProxy takes to notice, and than nginx keeps idle connections.
SHUTDOWN_DELAY = {"haproxy": "1500ms", "nginx": "2500ms"}


@contextlib.contextmanager
def load_balancer(name: str, directory: Path, servers: list[Process]) -> Iterator[int]:
    """Runs a load balancer with its configuration in deploy/, and returns its port."""
    port, first, second = free_port(), *servers
    path = {"haproxy": DEPLOY / "haproxy" / "haproxy.cfg", "nginx": DEPLOY / "nginx" / "triptych.conf"}[name]
    text = path.read_text().replace("10.0.0.11:8000", f"127.0.0.1:{first.rest}").replace("10.0.0.12:8000", f"127.0.0.1:{second.rest}")
    text = re.sub(r"bind :80$|listen 80;", f"bind 127.0.0.1:{port}" if name == "haproxy" else f"listen 127.0.0.1:{port};", text, flags=re.M)
    if name == "nginx":
        temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        text = f"pid {directory}/nginx.pid; events {{}} http {{ access_log off; {temporary} {text} }}"
    configuration = directory / f"{name}.conf"
    configuration.write_text(text)
    program = executable(name)
    command = {
        "haproxy": [program, "-db", "-f", str(configuration)],
        "nginx": [program, "-p", str(directory), "-e", f"{directory}/nginx.log", "-c", str(configuration), "-g", "daemon off;"],
    }[name]
    with (directory / f"{name}.output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        wait_for_port(port, process, directory / f"{name}.output")
        # HAProxy takes its servers as ready until their first check.
        time.sleep(0.5)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def restart_each(processes: list[Process], rounds: int) -> None:
    for _ in range(rounds):
        for process in processes:
            process.restart()
            # Until the load balancer has noticed that it is ready.
            time.sleep(1)


def finish(scenario: str, load: Load, restarts: int) -> None:
    load.end()
    print(f"  {scenario}: {restarts} restarts, completed {dict(load.done)}, {len(load.errors)} errors, {dict(load.outage)}", flush=True)
    for error in load.errors[:10]:
        print("    ", error)
    if load.errors or not all(load.done.values()):
        sys.exit(f"{scenario}: clients saw errors")


def chat_only(program: str, directory: Path, proxy: str, rounds: int) -> None:
    """Restarts two processes with data directories of their own. No client may see an error."""
    settings = {"TRIPTYCH_SHUTDOWN_DELAY": SHUTDOWN_DELAY[proxy], "TRIPTYCH_DATA_DIR": "data"}
    servers = [Process(program, directory / f"server{number}", [], settings, "/readyz") for number in (1, 2)]
    for server in servers:
        server.wait_until_ready()
    with load_balancer(proxy, directory, servers) as port:
        load = Load(port)
        load.add(6, "streams", stream)
        load.add(4, "chats", chat)
        restart_each(servers, rounds)
        finish(f"processes for chat behind {proxy}", load, 2 * rounds)
    for server in servers:
        server.stop()

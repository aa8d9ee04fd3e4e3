"""Restarts Triptych processes behind a load balancer one after the other, under load. No client may see an error.

    rolling_restart.py PATH_OF_TRIPTYCH [ROUNDS]

Uses the configurations in deploy/haproxy and deploy/nginx, with other addresses. A load balancer that is not installed is skipped,
which is printed. Each round restarts every process once. The scenarios:

    gateways    behind HAProxy, two gateways over one core; chat, streams, images and videos
    chat        behind nginx, two processes with data directories of their own; chat and streams
    core        behind HAProxy, the core of two gateways; calls may fail with Retry-After while it is down, and the openai SDK retries them
"""

import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import openai
from load import CHAT, Connection, Load, chat, image, stream, video
from load_balancers import SHUTDOWN_DELAY, chat_only, finish, load_balancer, restart_each
from processes import Process, executable


def gateways(program: str, directory: Path, proxy: str, rounds: int) -> None:
    core = Process(program, directory / "core", ["core"], {"TRIPTYCH_DATA_DIR": "data"}, None)
    core.wait_until_ready()
    settings = {"TRIPTYCH_SHUTDOWN_DELAY": SHUTDOWN_DELAY[proxy]}
    arguments = ["gateway", "--core", f"http://127.0.0.1:{core.grpc}"]
    servers = [Process(program, directory / f"gateway{number}", arguments, settings, "/readyz") for number in (1, 2)]
    for server in servers:
        server.wait_until_ready()
    with load_balancer(proxy, directory, servers) as port:
        load = Load(port)
        for count, name, call in ((6, "streams", stream), (4, "chats", chat), (2, "images", image), (2, "videos", video)):
            load.add(count, name, call)
        restart_each(servers, rounds)
        finish(f"gateways behind {proxy}", load, 2 * rounds)
        if proxy == "haproxy":
            restart_core(core, port, rounds)
    for process in [*servers, core]:
        process.stop()


def restart_core(core: Process, port: int, rounds: int) -> None:
    """Restarts the core. The SDK must hide it from its callers."""
    load = Load(port, tolerates_outage=True)
    attempts = Counter()
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=8)

    def by_sdk(_connection: Connection) -> None:
        try:
            response = client.chat.completions.with_raw_response.create(**CHAT)
        except openai.OpenAIError as error:
            raise AssertionError(f"{type(error).__name__} {error}") from error
        attempts["retries of the SDK"] += response.retries_taken
        assert response.parse().choices[0].message.content

    load.add(4, "chats", chat)
    load.add(4, "streams", stream)
    load.add(4, "chats by the SDK", by_sdk)
    down = 0.0
    for _ in range(rounds):
        time.sleep(1)
        start = time.monotonic()
        core.restart()
        down += time.monotonic() - start
        time.sleep(1)
    # The retries of the SDK end a second after the restart.
    load.end()
    finish(f"core, {down:.1f} s from SIGTERM until it serves again, {dict(attempts)}", load, rounds)


def main(program: str, rounds: int = 1) -> None:
    program = os.path.abspath(program)
    for proxy, scenario in (("haproxy", gateways), ("nginx", chat_only)):
        if executable(proxy) is None:
            print(f"SKIPPED rolling restart behind {proxy}: {proxy} is not installed (Debian package {proxy})", flush=True)
            continue
        directory = Path(tempfile.mkdtemp(prefix=f"rolling-restart-{proxy}-"))
        scenario(program, directory, proxy, rounds)
        shutil.rmtree(directory)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

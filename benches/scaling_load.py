"""The clients of scaling.py: creates from several processes, because one process of Python is slower than the nodes."""

import asyncio
import json
import multiprocessing
import time

from videos import BODY, call

PROCESSES = 2


def request(model: str | None = None) -> bytes:
    body = BODY if model is None else json.dumps({"model": model, "prompt": "a boat", "seconds": "1", "size": "64x64"}).encode()
    return f"POST /v1/videos HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def _create(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], create: bytes) -> bytes:
    reader, writer = streams
    writer.write(create)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    body = await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
    assert head.startswith(b"http/1.1 200"), body
    return body


async def created_ids(ports: list[int], count: int, model: str | None = None) -> list[str]:
    """Creates jobs, in turn at these ports. Returns their ids."""
    create, left, ids = request(model), iter(range(count)), []

    async def client(port: int) -> None:
        streams = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            ids.append(json.loads(await _create(streams, create))["id"])
        streams[1].close()

    await asyncio.gather(*(client(ports[i % len(ports)]) for i in range(16)))
    return ids


async def _clients(ports: list[int], connections: int, seconds: float, interval: float) -> list[float]:
    """Creates jobs for some seconds. Returns the latencies in milliseconds. Each connection waits at least `interval` between two."""
    create, latencies, end = request(), [], time.perf_counter() + seconds

    async def client(number: int) -> None:
        streams = await asyncio.open_connection("127.0.0.1", ports[number % len(ports)])
        while (start := time.perf_counter()) < end:
            await _create(streams, create)
            took = time.perf_counter() - start
            latencies.append(took * 1000)
            if took < interval:
                await asyncio.sleep(interval - took)
        streams[1].close()

    await asyncio.gather(*map(client, range(connections)))
    return latencies


def _process(pipe, *arguments: object) -> None:
    latencies = asyncio.run(_clients(*arguments))
    pipe.send((latencies, time.process_time()))


class Load:
    """Creates over a number of connections, at most `limit` per second."""

    def __init__(self, ports: list[int], connections: int, seconds: float, limit: float = 0) -> None:
        interval = connections / limit if limit else 0
        self.arguments = (ports, connections // PROCESSES, seconds, interval)
        # The latencies in milliseconds, the duration, and the CPU time of the clients, in seconds.
        self.latencies: list[float] = []
        self.seconds = self.cpu = 0.0

    def run(self) -> "Load":
        start, pipes, processes = time.perf_counter(), [], []
        for _ in range(PROCESSES):
            here, there = multiprocessing.Pipe()
            process = multiprocessing.Process(target=_process, args=(there, *self.arguments))
            process.start()
            pipes.append(here)
            processes.append(process)
        for pipe in pipes:
            latencies, cpu = pipe.recv()
            self.latencies += latencies
            self.cpu += cpu
        self.seconds = time.perf_counter() - start
        for process in processes:
            process.join()
        return self


__all__ = ["Load", "call", "created_ids"]

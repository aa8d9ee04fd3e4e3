"""Measures video jobs over REST, with the default store, a SQLite database.

    videos.py PATH_OF_TRIPTYCH [creates] [in-flight] [watchers] [relay] [grpc-watchers]

- `creates`: rate and latency of new jobs.
- `in-flight`: CPU time and memory of 10,000 jobs whose renders are polled.
- `watchers`: memory of 10,000 event streams of jobs, and how long a change takes to reach them.
- `relay`: time and memory for the copy of a file of 500 MB from an OpenAI-compatible upstream.
- `grpc-watchers`: memory of 10,000 streams over gRPC. Needs the package grpcio.

Without names, all of them but the last. Except for `relay`, the renders are those of a model that never finishes
(`offline-video-fault-stuck`), polled every two seconds. The client shares the machine with the server. Needs Linux, about
11,000 open files (`ulimit -n`), and otherwise the standard library only.
"""

import asyncio
import http.server
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

CREATES, IN_FLIGHT, WATCHERS, WATCHED_JOBS, FILE_BYTES = 12_000, 10_000, 10_000, 100, 500_000_000
BODY = json.dumps({"model": "offline-video-fault-stuck", "prompt": "a boat on a lake", "seconds": "4", "size": "1280x720"}).encode()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A Triptych process with an empty data directory."""

    def __init__(self, program: str, **settings: str):
        self.port, self.grpc_port, self.directory = free_port(), free_port(), tempfile.mkdtemp(prefix="bench-videos-")
        variables = {"REST_LISTEN": f"127.0.0.1:{self.port}", "GRPC_LISTEN": f"127.0.0.1:{self.grpc_port}", "DATA_DIR": self.directory}
        variables |= {"JOBS_MAX_QUEUED": "100000", "JOBS_MAX_QUEUED_PER_OWNER": "100000", "LOG_FILTER": "warn"}
        variables |= {"REST_MAX_CONNECTIONS": "20000", "REST_MAX_REQUESTS": "20000", "GRPC_MAX_CONCURRENT_CALLS": "20000"}
        environment = os.environ | {f"TRIPTYCH_{name}": value for name, value in variables.items()} | settings
        self.log = open(os.path.join(self.directory, "log"), "wb")
        self.process = subprocess.Popen([program], env=environment, cwd=self.directory, stdout=self.log, stderr=self.log)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.1)
        sys.exit(f"no server; its log is in {self.directory}")

    def cpu(self) -> float:
        """Returns the CPU time of the process so far, in seconds."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Returns the proportional set size of the process, in KiB."""
        lines = open(f"/proc/{self.process.pid}/smaps_rollup").read().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        shutil.rmtree(self.directory)


async def call(streams, method: str, path: str, body: bytes = b"") -> bytes:
    """Sends a request on a kept connection and returns the body of its 2xx response."""
    reader, writer = streams
    writer.write(f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 2"), head
    return await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))


async def create(server: Server, count: int, connections: int) -> tuple[float, list[float], list[str]]:
    """Creates jobs. Returns the rate per second, the latencies in milliseconds, and the ids."""
    left, latencies, ids = iter(range(count)), [], []

    async def client():
        streams = await asyncio.open_connection("127.0.0.1", server.port)
        for _ in left:
            start = time.perf_counter()
            ids.append(json.loads(await call(streams, "POST", "/v1/videos", BODY))["id"])
            latencies.append((time.perf_counter() - start) * 1000)
        streams[1].close()

    start = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(connections)))
    return count / (time.perf_counter() - start), latencies, ids


async def wait_until_rendering(server: Server, last: str) -> None:
    """Waits until the job with the id `last` renders, and with it all others. Ids increase with time."""
    streams = await asyncio.open_connection("127.0.0.1", server.port)
    # Owners have one queue each, so the last job is the last one to be submitted.
    while json.loads(await call(streams, "GET", f"/v1/videos/{last}"))["progress"] == 0:
        await asyncio.sleep(0.5)


async def creates(program: str) -> None:
    for connections in (1, 16, 64):
        server = Server(program)
        before = server.cpu()
        count = CREATES if connections > 1 else CREATES // 8
        rate, latencies, _ = await create(server, count, connections)
        cpu, (p50, p99) = server.cpu() - before, (statistics.quantiles(latencies, n=100)[i] for i in (49, 98))
        print(f"creates, {connections} connections: {rate:.0f} per second, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {cpu / count * 1e6:.0f} µs of CPU time each")
        server.stop()


async def in_flight(program: str) -> None:
    server = Server(program)
    idle = server.memory()
    _, _, ids = await create(server, IN_FLIGHT, 16)
    start = time.perf_counter()
    await wait_until_rendering(server, max(ids))
    submitted = time.perf_counter() - start
    await asyncio.sleep(10)
    cpu, start = server.cpu(), time.perf_counter()
    await asyncio.sleep(30)
    used = (server.cpu() - cpu) / (time.perf_counter() - start)
    # Per second: each job is polled every two seconds.
    polls = IN_FLIGHT / 2
    memory = server.memory()
    print(f"{IN_FLIGHT} jobs in flight ({submitted:.0f} s after the last create): {used:.1%} of a core, {used / polls * 1e6:.1f} µs per poll, {memory / 1024:.0f} MiB ({(memory - idle) / IN_FLIGHT:.1f} KiB per job)")
    server.stop()


async def watchers(program: str) -> None:
    server = Server(program)
    _, _, ids = await create(server, WATCHED_JOBS, 4)
    await wait_until_rendering(server, max(ids))
    before = server.memory()

    async def watch(id: str):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET /v1/videos/{id}/events HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        await reader.readuntil(b"\n\n")
        return reader, writer

    open_streams = {id: [] for id in ids}
    for at in range(0, WATCHERS, 100):
        batch = [ids[(at + i) % WATCHED_JOBS] for i in range(100)]
        for id, streams in zip(batch, await asyncio.gather(*map(watch, batch))):
            open_streams[id].append(streams)
    await asyncio.sleep(10)
    memory, cpu, start = server.memory(), server.cpu(), time.perf_counter()
    await asyncio.sleep(20)
    used = (server.cpu() - cpu) / (time.perf_counter() - start)
    print(f"{WATCHERS} watchers of {WATCHED_JOBS} jobs: {(memory - before) / WATCHERS:.1f} KiB each, {used:.1%} of a core while nothing changes")

    reads, streams = 0, [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(8)]
    done = asyncio.Event()

    async def read(streams):
        nonlocal reads
        while not done.is_set():
            await call(streams, "GET", f"/v1/videos/{ids[reads % WATCHED_JOBS]}")
            reads += 1
            # The eight readers together make up to 2000 reads per second.
            await asyncio.sleep(8 / 2000)

    readers = [asyncio.create_task(read(streams)) for streams in streams]
    last = []
    for id in ids[:20]:
        control = await asyncio.open_connection("127.0.0.1", server.port)
        changed = [asyncio.create_task(reader.readuntil(b"\n\n")) for reader, _ in open_streams[id]]
        start = time.perf_counter()
        await call(control, "POST", f"/v1/videos/{id}/cancel")
        await asyncio.gather(*changed)
        last.append((time.perf_counter() - start) * 1000)
    start, before = time.perf_counter(), reads
    await asyncio.sleep(5)
    rate = (reads - before) / (time.perf_counter() - start)
    done.set()
    await asyncio.gather(*readers)
    print(f"from a change to the last of its {WATCHERS // WATCHED_JOBS} watchers: median {statistics.median(last):.1f} ms, longest {max(last):.1f} ms, with {rate:.0f} reads per second")
    server.stop()


async def grpc_watchers(program: str) -> None:
    import grpc

    server = Server(program)
    _, _, ids = await create(server, WATCHED_JOBS, 4)
    await wait_until_rendering(server, max(ids))
    before = server.memory()
    # Otherwise all channels to this address would share one connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc_port}", options=options) for _ in range(100)]
    calls = []
    for number in range(WATCHERS):
        watch = channels[number % len(channels)].unary_stream("/triptych.v1.VideoService/WatchVideo")
        # The id is the first field of the request.
        id = ids[number % WATCHED_JOBS].encode()
        calls.append(watch(b"\x0a" + bytes([len(id)]) + id))
        if number % 200 == 199:
            await asyncio.gather(*(call.read() for call in calls[-200:]))
    await asyncio.sleep(10)
    print(f"{WATCHERS} watchers of {WATCHED_JOBS} jobs over {len(channels)} gRPC connections: {(server.memory() - before) / WATCHERS:.1f} KiB each")
    for channel in channels:
        await channel.close()
    server.stop()


class LargeFile(http.server.BaseHTTPRequestHandler):
    """An OpenAI-compatible videos upstream with one large file."""

    protocol_version = "HTTP/1.1"
    video = {"id": "video_1", "object": "video", "status": "completed", "progress": 100, "seconds": "4", "size": "1280x720"}

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send(json.dumps(self.video).encode(), "application/json")

    def do_GET(self):
        if not self.path.endswith("/content"):
            return self.send(json.dumps(self.video).encode(), "application/json")
        self.send_response(200)
        self.send_header("content-type", "video/mp4")
        self.send_header("content-length", str(FILE_BYTES))
        self.end_headers()
        chunk, left = b"\0\0\0\x18ftypmp42" + bytes((1 << 20) - 12), FILE_BYTES
        while left:
            left -= self.wfile.write(chunk[: min(left, len(chunk))])
            chunk = bytes(1 << 20)
        return None

    def send(self, data: bytes, media_type: str):
        self.send_response(200)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


async def relay(program: str) -> None:
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), LargeFile)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{upstream.server_port}/v1"
    server = Server(program, VIDEO_SERVICE_TYPE="openai", VIDEO_BASE_URL=url, VIDEO_MODELS="large")
    streams, idle, peak = await asyncio.open_connection("127.0.0.1", server.port), server.memory(), 0
    body = json.dumps({"model": "large", "prompt": "a boat", "seconds": "4", "size": "1280x720"}).encode()
    start, cpu = time.perf_counter(), server.cpu()
    id = json.loads(await call(streams, "POST", "/v1/videos", body))["id"]
    while (job := json.loads(await call(streams, "GET", f"/v1/videos/{id}")))["status"] != "completed":
        assert job["status"] != "failed", job
        peak = max(peak, server.memory())
        await asyncio.sleep(0.05)
    took, used = time.perf_counter() - start, server.cpu() - cpu
    print(f"relay of {FILE_BYTES // 1_000_000} MB: {took:.1f} s, {used:.1f} s of CPU time, memory from {idle / 1024:.0f} to at most {peak / 1024:.0f} MiB")
    server.stop()


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    measurements = {"creates": creates, "in-flight": in_flight, "watchers": watchers, "relay": relay}
    names = sys.argv[2:] or list(measurements)
    measurements["grpc-watchers"] = grpc_watchers
    for name in names:
        asyncio.run(measurements[name](os.path.abspath(sys.argv[1])))

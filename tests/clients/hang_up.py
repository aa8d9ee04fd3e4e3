"""How long after its caller an upstream is left: before an answer, within a lively one and within a silent one.

    hang_up.py PATH_OF_TRIPTYCH

Starts the upstream and the server itself, on free ports. Only the standard library. The promise is 100 ms; what is
checked is ten times that, because the machine that checks may be busy.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

CALLS = 20
BOUND = 1.0
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'


class Upstream:
    """Answers with an event every `pace` seconds, or not at all, and notes when it is left."""

    pace: float | None = None
    asked: asyncio.Future
    left: asyncio.Future

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        await reader.readexactly(next(int(line.split(b":")[1]) for line in head if line.startswith(b"content-length")))
        self.asked.set_result(None)
        dripping = asyncio.create_task(self.drip(writer))
        try:
            await reader.read(1)
        except ConnectionError:
            pass
        self.left.set_result(time.monotonic())
        dripping.cancel()
        writer.close()

    async def drip(self, writer):
        if self.pace is None:
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"%x\r\n" % len(EVENT) + EVENT + b"\r\n")
            await asyncio.sleep(self.pace)


async def hang_up(port: int, upstream: Upstream, stream: bool) -> float:
    """Milliseconds between the two."""
    loop = asyncio.get_running_loop()
    upstream.asked, upstream.left = loop.create_future(), loop.create_future()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "x"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    await upstream.asked
    if upstream.pace is not None:
        await reader.readuntil(b"data:")
    began = time.monotonic()
    writer.close()
    return 1000 * (await asyncio.wait_for(upstream.left, 10) - began)


async def main(program: str) -> None:
    upstream = Upstream()
    listening = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    settings = {"CHAT_BASE_URL": base, "CHAT_MODEL": "m", "TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0"}
    environment = {name: value for name, value in os.environ.items() if "TRIPTYCH" not in name and "PROXY" not in name.upper()}
    with tempfile.TemporaryDirectory() as place:
        server = subprocess.Popen([program], cwd=place, env=environment | settings, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            port = next(int(line.rsplit(":", 1)[1].split("/")[0]) for line in server.stdout if "REST" in line)
            cases = {
                "before a whole answer": (False, None),
                "before the first event": (True, None),
                "within a lively stream": (True, 0.02),
                "within a silent stream": (True, 5.0),
            }
            for name, (stream, upstream.pace) in cases.items():
                took = [await hang_up(port, upstream, stream) for _ in range(CALLS)]
                print(f"  {name}: left after {statistics.median(took):.1f} ms, at most {max(took):.1f} ms")
                assert max(took) < 1000 * BOUND
        finally:
            server.kill()
            server.wait()
            listening.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

"""How long after its caller an upstream is left: before an answer, within a lively one and within a silent one, over REST
and over gRPC.

    hang_up.py PATH_OF_TRIPTYCH

Starts the upstream and the server itself, on free ports. Needs grpcio. The promise is 100 ms, and half of the calls must
keep it; ten times that is allowed to each, because the machine that checks may be busy.
"""

import asyncio
import json
import statistics
import sys
import time

import grpc
from chats import CREATE, QUESTION, STREAM, triptych

CALLS = 20
PROMISE = 100
BOUND = 10 * PROMISE
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


async def over_rest(port: int, upstream: Upstream, stream: bool) -> float:
    """The moment of hanging up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "x"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    await upstream.asked
    if upstream.pace is not None:
        await reader.readuntil(b"data:")
    began = time.monotonic()
    writer.close()
    return began


async def over_grpc(port: int, upstream: Upstream, stream: bool) -> float:
    """The moment of hanging up."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        if stream:
            call = channel.unary_stream(STREAM)(QUESTION)
        else:
            call = channel.unary_unary(CREATE)(QUESTION)
        # A call that nobody waits for would not begin.
        answer = asyncio.ensure_future(call.read() if stream else call.wait_for_connection())
        await upstream.asked
        if upstream.pace is not None:
            await answer
        began = time.monotonic()
        call.cancel()
        await asyncio.wait_for(asyncio.shield(upstream.left), 10)
        answer.cancel()
        return began


async def hang_up(door, port: int, upstream: Upstream, stream: bool) -> float:
    """Milliseconds between the caller's leaving and the upstream's being left."""
    loop = asyncio.get_running_loop()
    upstream.asked, upstream.left = loop.create_future(), loop.create_future()
    began = await door(port, upstream, stream)
    return 1000 * (await asyncio.wait_for(upstream.left, 10) - began)


async def main(program: str) -> None:
    upstream = Upstream()
    listening = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    cases = {
        "before a whole answer": (False, None),
        "before the first event": (True, None),
        "within a lively stream": (True, 0.02),
        "within a silent stream": (True, 5.0),
    }
    with triptych(program, base) as server:
        for name, (stream, upstream.pace) in cases.items():
            for door, call, port in [("REST", over_rest, server.rest), ("gRPC", over_grpc, server.grpc)]:
                took = [await hang_up(call, port, upstream, stream) for _ in range(CALLS)]
                print(f"  {name}, {door}: left after {statistics.median(took):.1f} ms, at most {max(took):.1f} ms")
                assert statistics.median(took) < PROMISE and max(took) < BOUND
    listening.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

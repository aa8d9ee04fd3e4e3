"""Measures the time from a client disconnect to the close of the upstream connection: before a response, and within an
active and an idle stream, over REST and over gRPC.

    disconnect_latency.py PATH_OF_TRIPTYCH

Starts a fake upstream and Triptych on free ports. Needs grpcio. The median must be below 100 ms. Single calls may take ten
times as long, since the machine may be busy.
"""

import asyncio
import json
import statistics
import sys
import time

import grpc
from chat_upstream import CHAT_REQUEST, CREATE_CHAT, STREAM_CHAT, start_with_upstream

CALLS = 20  # for each case and API
MAX_MEDIAN_MS = 100
MAX_MS = 10 * MAX_MEDIAN_MS
EVENT = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'


class Upstream:
    """Sends an event every `interval` seconds, or no response, and records the request and the disconnect."""

    interval: float | None = None
    requested: asyncio.Future
    disconnected: asyncio.Future

    async def serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        await reader.readexactly(next(int(line.split(b":")[1]) for line in head if line.startswith(b"content-length")))
        self.requested.set_result(None)
        sending = asyncio.create_task(self.send_events(writer))
        try:
            await reader.read(1)
        except ConnectionError:
            pass
        self.disconnected.set_result(time.monotonic())
        sending.cancel()
        writer.close()

    async def send_events(self, writer):
        if self.interval is None:
            return
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"%x\r\n" % len(EVENT) + EVENT + b"\r\n")
            await asyncio.sleep(self.interval)


async def over_rest(port: int, upstream: Upstream, stream: bool) -> float:
    """Begins a call and disconnects. Returns the time of the disconnect."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "x"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    await upstream.requested
    if upstream.interval is not None:
        await reader.readuntil(b"data:")
    disconnect_time = time.monotonic()
    writer.close()
    return disconnect_time


async def over_grpc(port: int, upstream: Upstream, stream: bool) -> float:
    """Begins a call and disconnects. Returns the time of the disconnect."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        if stream:
            call = channel.unary_stream(STREAM_CHAT)(CHAT_REQUEST)
        else:
            call = channel.unary_unary(CREATE_CHAT)(CHAT_REQUEST)
        # A task of its own, which sends the call while this one waits for the request.
        response = asyncio.ensure_future(call.read() if stream else call.wait_for_connection())
        await upstream.requested
        if upstream.interval is not None:
            await response
        disconnect_time = time.monotonic()
        call.cancel()
        await asyncio.wait_for(asyncio.shield(upstream.disconnected), 10)
        response.cancel()
        return disconnect_time


async def measure(disconnect_call, port: int, upstream: Upstream, stream: bool) -> float:
    """Returns the milliseconds from the client disconnect to the close of the upstream connection."""
    loop = asyncio.get_running_loop()
    upstream.requested, upstream.disconnected = loop.create_future(), loop.create_future()
    disconnect_time = await disconnect_call(port, upstream, stream)
    return 1000 * (await asyncio.wait_for(upstream.disconnected, 10) - disconnect_time)


async def main(program: str) -> None:
    upstream = Upstream()
    listener = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    cases = {
        "before a non-streaming response": (False, None),
        "before the first event": (True, None),
        "within an active stream": (True, 0.02),
        "within an idle stream": (True, 5.0),
    }
    with start_with_upstream(program, base) as server:
        for name, (stream, upstream.interval) in cases.items():
            for api, disconnect_call, port in [("REST", over_rest, server.rest), ("gRPC", over_grpc, server.grpc)]:
                took = [await measure(disconnect_call, port, upstream, stream) for _ in range(CALLS)]
                print(f"  {name}, {api}: median {statistics.median(took):.1f} ms, maximum {max(took):.1f} ms")
                assert statistics.median(took) < MAX_MEDIAN_MS and max(took) < MAX_MS
    listener.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

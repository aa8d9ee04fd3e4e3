"""Soak test: many clients, an upstream with every fault, and no stream, call, slot or socket may leak. A slot is one of the calls
that Triptych admits to the upstream at a time.

    soak.py PATH_OF_TRIPTYCH [SECONDS]

Starts a fake upstream and Triptych on free ports. Needs grpcio.
"""

import asyncio
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path

import grpc
from chat_upstream import CHAT_REQUEST, CREATE_CHAT, STREAM_CHAT, start_with_upstream

REST_CLIENTS = 40
GRPC_CLIENTS = 8
# Calls in flight at once.
SLOTS = 32
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(text: str) -> bytes:
    data = text.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(content: str | None, finish: str | None = None) -> str:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n"


class Upstream:
    """Serves chat completions, correctly or with a random fault."""

    def __init__(self):
        self.open_connections = 0
        self.served = Counter()
        # Once set, every response is correct, and all of them wait for one another.
        self.barrier: asyncio.Barrier | None = None

    async def serve(self, reader, writer):
        self.open_connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                request = json.loads(await reader.readexactly(length))
                if not await self.respond(writer, request.get("stream", False)) or writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()

    async def respond(self, writer, stream: bool) -> bool:
        """Sends one response. Returns whether the connection can be reused."""
        # "hidden error": an error event within a stream; "garbage": 200 with text; "stall": no response; "close": the connection is
        # closed at once; "early": closed after [DONE], without the last chunk; "split": events in two packets.
        kind = random.choices(
            ["correct", "slow", "aborted", "no finish", "hidden error", "garbage", "429", "500", "503", "stall", "close", "early", "split"],
            [40, 8, 4, 3, 3, 3, 5, 5, 5, 2, 4, 3, 8],
        )[0]
        if self.barrier:
            kind, stream = "correct", False
            await self.barrier.wait()
        self.served[kind] += 1
        if kind in ("429", "500", "503"):
            body = b'{"error":{"message":"scripted","type":"server_error"}}'
            writer.write(f"HTTP/1.1 {kind} Scripted\r\nretry-after-ms: 5\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            return True
        if writer.is_closing():
            return False
        if kind == "close":
            return False
        if kind == "stall":
            await asyncio.sleep(random.uniform(0.5, 4))
            return False
        if kind == "garbage":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<html>no!")
            await writer.drain()
            return False
        if not stream:
            reply = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
            message = {"role": "assistant", "content": "word " * random.randint(1, 400)}
            reply["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
            body = json.dumps(reply).encode()
            if kind == "slow":
                await asyncio.sleep(random.uniform(0, 0.3))
            whole = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
            writer.write(whole[: len(whole) // 2] if kind == "aborted" else whole)
            await writer.drain()
            return kind != "aborted"
        writer.write(HEAD.format("text/event-stream").encode())
        for number in range(random.randint(1, 120)):
            text = event(random.choice(["a", "bc", "世界", '"', "\n"]))
            if kind == "split":
                data = chunked(text)
                at = random.randrange(1, len(data))
                writer.write(data[:at])
                await writer.drain()
                await asyncio.sleep(0)
                writer.write(data[at:])
            else:
                writer.write(chunked(text))
            if kind == "slow" or number % 16 == 0:
                await writer.drain()
                await asyncio.sleep(random.uniform(0, 0.01))
            if kind == "aborted" and number == 3:
                return False
            if kind == "hidden error" and number == 2:
                writer.write(chunked('data: {"error":{"message":"scripted","code":500}}\n\n') + b"0\r\n\r\n")
                await writer.drain()
                return True
        if kind != "no finish":
            writer.write(chunked(event(None, "stop")) + chunked("data: [DONE]\n\n"))
        if kind == "early":
            await writer.drain()
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def call(port: int, outcomes: Counter, wait: bool = False) -> None:
    """Sends a REST call on a connection of its own, which some clients close early unless `wait` is set."""
    stream, timeout = random.random() < 0.7, random.choice([None, None, 0.0, 0.01, 0.05, 0.3])
    if wait:
        stream, timeout = False, None
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hello " * random.randint(1, 50)}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: soak\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    if random.random() < 0.1 and not wait:
        head += f"x-request-timeout-ms: {random.randint(1, 200)}\r\n"
    if random.random() < 0.1:
        head += f"x-triptych-on-disconnect: {random.choice(['continue', '1', 'cancel'])}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + b"\r\n" + body)
        response = await asyncio.wait_for(reader.read(-1), 60 if timeout is None else timeout)
        status = response.split(b" ", 2)[1].decode() if response else "no response"
        complete = b"[DONE]" in response or not stream
        failed = b'"error"' in response
        assert status != "200" or complete or failed, f"a stream ended without [DONE] and without an error: {response[-300:]!r}"
        assert not (stream and complete and failed and status == "200"), f"a stream with an error and [DONE]: {response[-300:]!r}"
        outcomes[status + (" complete" if complete and not failed else "")] += 1
    except TimeoutError:
        outcomes["disconnected" if timeout is not None else "STUCK"] += 1
    finally:
        writer.close()


def open_gauges(port: int) -> dict[str, float]:
    """Returns the metrics of open streams, requests and calls to the upstream."""
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    names = ("triptych_rest_streams_open", "triptych_rest_requests_in_flight", "triptych_target_in_flight")
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(names)}


def memory(pid: int) -> int:
    """Returns the resident memory in KiB."""
    return int(next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")))


async def grpc_call(channel: grpc.aio.Channel, outcomes: Counter) -> None:
    """Sends a gRPC call, some of them with a deadline. Some clients disconnect early."""
    stream, timeout = random.random() < 0.7, random.choice([None, None, 0.01, 0.05, 0.3])
    limit = random.choice([None] * 9 + [random.uniform(0.01, 0.2)])
    call = channel.unary_stream(STREAM_CHAT)(CHAT_REQUEST, timeout=limit) if stream else channel.unary_unary(CREATE_CHAT)(CHAT_REQUEST, timeout=limit)

    async def response():
        return [chunk async for chunk in call] if stream else await call

    try:
        await asyncio.wait_for(response(), 60 if timeout is None else timeout)
        outcomes["gRPC OK"] += 1
    except grpc.aio.AioRpcError as error:
        assert error.code() != grpc.StatusCode.UNKNOWN, error
        outcomes[f"gRPC {error.code().name}"] += 1
    except TimeoutError:
        call.cancel()
        outcomes["gRPC disconnected" if timeout is not None else "STUCK"] += 1


async def check_all_slots(server, upstream: Upstream) -> None:
    """Sends as many calls as there are slots, which wait for one another. A leaked slot would block them."""
    upstream.barrier = asyncio.Barrier(SLOTS)
    outcomes = Counter()
    async with asyncio.timeout(30):
        await asyncio.gather(*(call(server.rest, outcomes, wait=True) for _ in range(SLOTS)))
    assert outcomes.total() == SLOTS == sum(count for name, count in outcomes.items() if name.startswith("200")), outcomes


async def soak(program: str, seconds: float) -> None:
    upstream = Upstream()
    listener = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, backlog=1024, limit=1 << 20)
    base = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/v1"
    # Fewer slots than clients. An open circuit breaker would hide most of the faults.
    routing = {"MAX_IN_FLIGHT": str(SLOTS), "QUEUE": "8", "FAILURES": "1000000", "COOLDOWN": "1ms"}
    settings = {f"TRIPTYCH_CHAT_ROUTING_{name}": value for name, value in routing.items()}
    with start_with_upstream(program, base, TRIPTYCH_CHAT_FIRST_BYTE_TIMEOUT="2s", **settings) as server:
        outcomes, end = Counter(), time.monotonic() + seconds

        async def rest_client():
            while time.monotonic() < end:
                await call(server.rest, outcomes)

        async def grpc_client():
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
                while time.monotonic() < end:
                    await grpc_call(channel, outcomes)

        # Memory grows during the first calls, until caches and pools are filled.
        await asyncio.gather(*(call(server.rest, Counter()) for _ in range(200)))
        warm, before = memory(server.process.pid), upstream.served.total()
        await asyncio.gather(*(rest_client() for _ in range(REST_CLIENTS)), *(grpc_client() for _ in range(GRPC_CLIENTS)))
        print(f"{outcomes.total()} calls in {seconds:.0f} s:", dict(outcomes.most_common()))
        print(f"{upstream.served.total() - before} responses of the upstream:", dict(upstream.served.most_common()))
        for _ in range(100):
            leaked = {name: value for name, value in (await asyncio.to_thread(open_gauges, server.rest)).items() if value > 0}
            if list(leaked.values()) == [1.0] and "requests_in_flight" in str(leaked):
                leaked = {}  # The request for the metrics.
            if not leaked:
                break
            await asyncio.sleep(0.1)
        after = memory(server.process.pid)
        sockets = sum("socket" in os.readlink(fd) for fd in Path(f"/proc/{server.process.pid}/fd").iterdir())
        print(f"leaked: {leaked or 'nothing'}; sockets {sockets}, of them to the upstream {upstream.open_connections}; memory {warm} -> {after} KiB")
        assert not leaked, leaked
        assert not outcomes["STUCK"], "calls did not end"
        # Two listeners, the signal pipes of the runtimes, and idle connections to the upstream.
        assert sockets - upstream.open_connections <= 12, f"{sockets} sockets, {upstream.open_connections} to the upstream"
        assert after < warm + 16 * 1024, f"memory grew from {warm} to {after} KiB"
        await check_all_slots(server, upstream)
        print(f"all {SLOTS} slots are free")
        server.process.terminate()
        assert server.process.wait(30) == 0, "the server did not shut down cleanly"
        assert "panic" not in server.log(), server.log()[-2000:]
    listener.close()


if __name__ == "__main__":
    # The fake upstream writes to closed connections on purpose.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    asyncio.run(soak(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 20))

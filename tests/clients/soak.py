"""Many callers, an upstream with every fault, and at the end nothing left behind: no stream, no call, no place, no socket.

    soak.py PATH_OF_TRIPTYCH [SECONDS]

Starts the upstream and the server itself, on free ports. Needs grpcio.
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
from chats import CREATE, QUESTION, STREAM, triptych

CALLERS = 40
CALLERS_OVER_GRPC = 8
# Calls under way at once.
PLACES = 32
HEAD = "HTTP/1.1 200 OK\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(text: str) -> bytes:
    data = text.encode()
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(content: str | None, finish: str | None = None) -> str:
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    piece = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(piece)}\n\n"


class Upstream:
    """Answers chat completions, well or in one of many bad ways, by chance."""

    def __init__(self):
        self.open = 0
        self.served = Counter()
        # Once it is there, answers are whole, and wait for one another.
        self.together: asyncio.Barrier | None = None

    async def serve(self, reader, writer):
        self.open += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                request = json.loads(await reader.readexactly(length))
                if not await self.answer(writer, request.get("stream", False)) or writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def answer(self, writer, stream: bool) -> bool:
        """Whether the connection can be used again."""
        kind = random.choices(
            ["well", "slow", "cut", "no finish", "hidden error", "garbage", "429", "500", "503", "hang", "close", "early", "torn"],
            [40, 8, 4, 3, 3, 3, 5, 5, 5, 2, 4, 3, 8],
        )[0]
        if self.together:
            kind, stream = "well", False
            await self.together.wait()
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
        if kind == "hang":
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
            writer.write(whole[: len(whole) // 2] if kind == "cut" else whole)
            await writer.drain()
            return kind != "cut"
        writer.write(HEAD.format("text/event-stream").encode())
        for number in range(random.randint(1, 120)):
            text = event(random.choice(["a", "bc", "世界", '"', "\n"]))
            if kind == "torn":
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
            if kind == "cut" and number == 3:
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


async def call(port: int, outcomes: Counter, patient: bool = False) -> None:
    """One call over REST on a connection of its own, given up half-way by some callers."""
    stream, patience = random.random() < 0.7, random.choice([None, None, 0.0, 0.01, 0.05, 0.3])
    if patient:
        stream, patience = False, None
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hello " * random.randint(1, 50)}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: soak\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    if random.random() < 0.1 and not patient:
        head += f"x-request-timeout-ms: {random.randint(1, 200)}\r\n"
    if random.random() < 0.1:
        head += f"x-triptych-on-disconnect: {random.choice(['continue', '1', 'cancel'])}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + b"\r\n" + body)
        answer = await asyncio.wait_for(reader.read(-1), 60 if patience is None else patience)
        status = answer.split(b" ", 2)[1].decode() if answer else "nothing"
        whole = b"[DONE]" in answer or not stream
        failed = b'"error"' in answer
        assert status != "200" or whole or failed, f"a stream ended without a word: {answer[-300:]!r}"
        assert not (stream and whole and failed and status == "200"), f"an error and its contrary: {answer[-300:]!r}"
        outcomes[status + (" whole" if whole and not failed else "")] += 1
    except TimeoutError:
        outcomes["hung up" if patience is not None else "STUCK"] += 1
    finally:
        writer.close()


def gauges(port: int) -> dict[str, float]:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    names = ("triptych_rest_streams_open", "triptych_rest_requests_in_flight", "triptych_target_in_flight")
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(names)}


def memory(pid: int) -> int:
    """Resident KiB."""
    return int(next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")))


async def call_over_grpc(channel: grpc.aio.Channel, outcomes: Counter) -> None:
    stream, patience = random.random() < 0.7, random.choice([None, None, 0.01, 0.05, 0.3])
    limit = random.choice([None] * 9 + [random.uniform(0.01, 0.2)])
    call = channel.unary_stream(STREAM)(QUESTION, timeout=limit) if stream else channel.unary_unary(CREATE)(QUESTION, timeout=limit)

    async def answer():
        return [piece async for piece in call] if stream else await call

    try:
        await asyncio.wait_for(answer(), 60 if patience is None else patience)
        outcomes["gRPC OK"] += 1
    except grpc.aio.AioRpcError as error:
        assert error.code() != grpc.StatusCode.UNKNOWN, error
        outcomes[f"gRPC {error.code().name}"] += 1
    except TimeoutError:
        call.cancel()
        outcomes["gRPC hung up" if patience is not None else "STUCK"] += 1


async def all_places(server, upstream: Upstream) -> None:
    """As many calls as there are places are answered at the same time, which no place that was lost could be."""
    upstream.together = asyncio.Barrier(PLACES)
    outcomes = Counter()
    async with asyncio.timeout(30):
        await asyncio.gather(*(call(server.rest, outcomes, patient=True) for _ in range(PLACES)))
    assert outcomes.total() == PLACES == sum(count for name, count in outcomes.items() if name.startswith("200")), outcomes


async def soak(program: str, seconds: float) -> None:
    upstream = Upstream()
    listening = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, backlog=1024, limit=1 << 20)
    base = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    # Fewer places than callers. The breaker would spare them most of the faults.
    routing = {"MAX_IN_FLIGHT": str(PLACES), "QUEUE": "8", "FAILURES": "1000000", "COOLDOWN": "1ms"}
    settings = {f"TRIPTYCH_CHAT_ROUTING_{name}": value for name, value in routing.items()}
    with triptych(program, base, TRIPTYCH_CHAT_FIRST_BYTE_TIMEOUT="2s", **settings) as server:
        outcomes, end = Counter(), time.monotonic() + seconds

        async def caller():
            while time.monotonic() < end:
                await call(server.rest, outcomes)

        async def caller_over_grpc():
            async with grpc.aio.insecure_channel(f"127.0.0.1:{server.grpc}") as channel:
                while time.monotonic() < end:
                    await call_over_grpc(channel, outcomes)

        await asyncio.gather(*(call(server.rest, Counter()) for _ in range(200)))
        warm, before = memory(server.process.pid), upstream.served.total()
        await asyncio.gather(*(caller() for _ in range(CALLERS)), *(caller_over_grpc() for _ in range(CALLERS_OVER_GRPC)))
        print(f"{outcomes.total()} calls in {seconds:.0f} s:", dict(outcomes.most_common()))
        print(f"{upstream.served.total() - before} answers of the upstream:", dict(upstream.served.most_common()))
        for _ in range(100):
            left = {name: value for name, value in (await asyncio.to_thread(gauges, server.rest)).items() if value > 0}
            if list(left.values()) == [1.0] and "requests_in_flight" in str(left):
                left = {}  # The question itself.
            if not left:
                break
            await asyncio.sleep(0.1)
        after = memory(server.process.pid)
        sockets = sum("socket" in os.readlink(fd) for fd in Path(f"/proc/{server.process.pid}/fd").iterdir())
        print(f"left: {left or 'nothing'}; sockets {sockets}, of them kept to the upstream {upstream.open}; memory {warm} -> {after} KiB")
        assert not left, left
        assert not outcomes["STUCK"], "callers waited in vain"
        # Two listeners, the pairs of the runtimes' signals, and what is kept for the next call.
        assert sockets - upstream.open <= 12, f"{sockets} sockets, {upstream.open} to the upstream"
        assert after < warm + 16 * 1024, f"memory grew from {warm} to {after} KiB"
        await all_places(server, upstream)
        print(f"all {PLACES} places are free")
        server.process.terminate()
        assert server.process.wait(30) == 0, "it did not end in order"
        assert "panic" not in server.log(), server.log()[-2000:]
    listening.close()


if __name__ == "__main__":
    # Writing to callers who have left is what this is about.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    asyncio.run(soak(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 20))

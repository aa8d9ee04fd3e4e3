"""A TCP proxy between the nodes of `cluster` and the database, with a port for each node."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable

CHUNK = 64 << 10


class Proxy:
    """Forwards connections to a port of this machine, which can be changed while it runs."""

    def __init__(self, host: str, nodes: int, target: int) -> None:
        self.host, self.target = host, target
        # The open connections of each node: both ends.
        self.writers: list[set[asyncio.StreamWriter]] = [set() for _ in range(nodes)]
        self.loop, self.ports = asyncio.new_event_loop(), []
        self.forwards = [asyncio.Event() for _ in range(nodes)]
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        for node in range(nodes):
            self._run(self._listen, node)

    def _run(self, function: Callable[..., Awaitable[None]], *arguments: object) -> None:
        asyncio.run_coroutine_threadsafe(function(*arguments), self.loop).result(30)

    async def _listen(self, node: int) -> None:
        self.forwards[node].set()
        server = await asyncio.start_server(lambda reader, writer: self._serve(node, reader, writer), self.host, 0)
        self.ports.append(server.sockets[0].getsockname()[1])

    async def _serve(self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers[node].add(writer)
        ends = {writer}
        try:
            await self.forwards[node].wait()
            upstream, upstream_writer = await asyncio.open_connection("127.0.0.1", self.target)
            self.writers[node].add(upstream_writer)
            ends.add(upstream_writer)
            tasks = [asyncio.create_task(self._copy(node, *ends_)) for ends_ in ((reader, upstream_writer), (upstream, writer))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
        except OSError:
            pass
        finally:
            self.writers[node] -= ends
            for end in ends:
                end.close()

    async def _copy(self, node: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self.forwards[node].wait()
                writer.write(data)
                await writer.drain()

    def cut(self, node: int) -> None:
        """Resets all connections of a node."""

        async def reset() -> None:
            for writer in self.writers[node]:
                # With a linger time of zero, a close sends RST.
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

        self._run(reset)

    def freeze(self, node: int) -> None:
        """Stops forwarding for a node, in both directions, and leaves its connections open."""

        async def clear() -> None:
            self.forwards[node].clear()

        self._run(clear)

    def thaw(self, node: int) -> None:
        async def set_() -> None:
            self.forwards[node].set()

        self._run(set_)

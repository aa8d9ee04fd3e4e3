"""The client for asyncio."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from types import TracebackType

import grpc
import grpc.aio

from triptych_client import v1
from triptych_client._authorization import async_authorization
from triptych_client._channel import Options, Tls, channel_credentials, channel_options
from triptych_client._watch import Watch
from triptych_client.v1.services import AsyncServices


def connect(
    target: str, *, api_key: str | None = None, tls: Tls = False, idempotency_keys: bool = False, options: Options = ()
) -> "Client":
    """Returns a client as `triptych_client.connect` does, for the running event loop."""
    interceptors = async_authorization(api_key) if api_key else ()
    credentials = channel_credentials(tls)
    arguments = channel_options(idempotency_keys, options)
    if credentials is None:
        return Client(grpc.aio.insecure_channel(target, arguments, interceptors=interceptors))
    return Client(grpc.aio.secure_channel(target, credentials, arguments, interceptors=interceptors))


class Client(AsyncServices):
    """All services over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        super().__init__(channel)

    async def watch_video(
        self, id: str, *, timeout: float | None = None, reconnect_timeout: float = 60.0
    ) -> AsyncGenerator[v1.Video, None]:
        """Yields the current snapshot of a video, then one per change, as `triptych_client.Client.watch_video` does."""
        watch = Watch(timeout, reconnect_timeout)
        while True:
            error = None
            call = self.video.WatchVideo(v1.WatchVideoRequest(id=id), timeout=watch.remaining())
            try:
                async for response in call:
                    if watch.is_new(response.video):
                        yield response.video
            except grpc.RpcError as failure:
                error = failure
            finally:
                # Has no effect on a stream that has ended.
                call.cancel()
            if watch.is_final:
                return
            await asyncio.sleep(watch.delay(error))

    async def wait_for_video(
        self,
        id: str,
        *,
        on_change: Callable[[v1.Video], object] | None = None,
        timeout: float | None = None,
        reconnect_timeout: float = 60.0,
    ) -> v1.Video:
        """Watches a video as `watch_video` does, and returns its final snapshot: succeeded, failed or cancelled. Calls
        `on_change` with each snapshot."""
        async for video in self.watch_video(id, timeout=timeout, reconnect_timeout=reconnect_timeout):
            if on_change is not None:
                on_change(video)
        return video

    async def close(self) -> None:
        """Closes the channel, and cancels all calls in flight."""
        await self.channel.close()

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

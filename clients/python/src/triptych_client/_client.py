"""The client for threads."""

import time
from collections.abc import Callable, Iterator
from types import TracebackType

import grpc

from triptych_client import v1
from triptych_client._authorization import with_authorization
from triptych_client._channel import Options, Tls, channel_credentials, channel_options
from triptych_client._watch import Watch
from triptych_client.v1.services import Services


def connect(
    target: str, *, api_key: str | None = None, tls: Tls = False, idempotency_keys: bool = False, options: Options = ()
) -> "Client":
    """Returns a client for the server at `target`, for example `127.0.0.1:50051` or `dns:///triptych:50051`. It connects with
    the first call.

    `api_key` is sent as bearer token with each call. `tls` is true for a server with a public certificate, or
    credentials of `grpc.ssl_channel_credentials`. Set `idempotency_keys` only if every create of videos and images has its
    `idempotency_key`: creates are then retried as well, and not only calls without side effects. `options` are further options
    of the channel.
    """
    return Client(_channel(target, tls, channel_options(idempotency_keys, options)), api_key)


class Client(Services):
    """All services over one channel. Safe for use from several threads."""

    def __init__(self, channel: grpc.Channel, api_key: str | None = None) -> None:
        self.channel = with_authorization(channel, api_key) if api_key else channel
        super().__init__(self.channel)

    def watch_video(self, id: str, *, timeout: float | None = None, reconnect_timeout: float = 60.0) -> Iterator[v1.Video]:
        """Yields the current snapshot of a video, then one per change, the last one in a final state.

        A broken stream is resumed, also after a restart of the server: the first snapshot of a stream is the current one, so no
        change of state is missed. Raises `grpc.RpcError` after `timeout` seconds, after `reconnect_timeout` seconds in which the
        server could not be reached, and for errors that another attempt does not help; `TimeoutError` after `reconnect_timeout`
        seconds in which streams ended without a snapshot.
        """
        watch = Watch(timeout, reconnect_timeout)
        while True:
            error = None
            call = self.video.WatchVideo(v1.WatchVideoRequest(id=id), timeout=watch.remaining())
            try:
                for response in call:
                    if watch.is_new(response.video):
                        yield response.video
            except grpc.RpcError as failure:
                error = failure
            finally:
                # Has no effect on a stream that has ended.
                call.cancel()
            if watch.is_final:
                return
            time.sleep(watch.delay(error))

    def wait_for_video(
        self,
        id: str,
        *,
        on_change: Callable[[v1.Video], object] | None = None,
        timeout: float | None = None,
        reconnect_timeout: float = 60.0,
    ) -> v1.Video:
        """Watches a video as `watch_video` does, and returns its final snapshot: succeeded, failed or cancelled. Calls
        `on_change` with each snapshot."""
        for video in self.watch_video(id, timeout=timeout, reconnect_timeout=reconnect_timeout):
            if on_change is not None:
                on_change(video)
        return video

    def close(self) -> None:
        """Closes the channel, and cancels all calls in flight."""
        self.channel.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def _channel(target: str, tls: Tls, options: Options) -> grpc.Channel:
    credentials = channel_credentials(tls)
    if credentials is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials, options)

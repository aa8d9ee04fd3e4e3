"""The rules by which a watched video is watched again after its stream broke."""

import random
import time

import grpc

from triptych_client import v1
from triptych_client._errors import error_details

FINAL_STATES = frozenset({v1.Video.STATE_SUCCEEDED, v1.Video.STATE_FAILED, v1.Video.STATE_CANCELLED})
# Back-off between two attempts, in seconds: that of the service configuration (`v1/service_config.py`).
INITIAL_BACKOFF, MAX_BACKOFF = 0.2, 5.0
# The codes by which gRPC and proxies report a broken connection. Errors of Triptych have a reason as well.
BROKEN_CONNECTION = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
)


class Watch:
    """The progress of one watched video over several streams.

    `timeout` bounds the time until the final state, `reconnect_timeout` the time without any snapshot after a stream broke;
    both in seconds.
    """

    def __init__(self, timeout: float | None, reconnect_timeout: float) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._reconnect_timeout = reconnect_timeout
        self._broken_since: float | None = None
        self._attempts = 0
        self._revision: int | None = None
        self.is_final = False
        """Whether the last snapshot was one of a final state."""

    def remaining(self) -> float | None:
        """Returns the seconds until the deadline, which is the timeout of the next stream."""
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.0)

    def is_new(self, video: v1.Video) -> bool:
        """Takes note of a snapshot. Returns whether it differs from the last one: each stream starts with the current one."""
        self._broken_since = None
        self.is_final = video.state in FINAL_STATES
        if video.revision == self._revision:
            return False
        self._attempts, self._revision = 0, video.revision
        return True

    def delay(self, error: grpc.RpcError | None) -> float:
        """Returns the seconds to wait before the next stream. Raises the error if another stream cannot succeed, or no longer in
        time. None stands for a stream that ended before the final state; too many of these raise a TimeoutError."""
        now = time.monotonic()
        self._broken_since = self._broken_since or now
        backoff = min(INITIAL_BACKOFF * 2.0**self._attempts, MAX_BACKOFF) * random.uniform(0.5, 1.0)
        self._attempts += 1
        expired = self.remaining() == 0.0 or now - self._broken_since >= self._reconnect_timeout
        if error is None and expired:
            raise TimeoutError("the server closed the stream of the video repeatedly without sending a snapshot")
        if error is not None:
            details = error_details(error)
            resumable = (
                details.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
                or (details.code in BROKEN_CONNECTION and not details.reason_name)
                or (details.code == grpc.StatusCode.RESOURCE_EXHAUSTED and details.retry_delay is not None)
            )
            if expired or not resumable:
                raise error
            backoff = max(backoff, details.retry_delay or 0.0)
        remaining = self.remaining()
        return backoff if remaining is None else min(backoff, remaining)

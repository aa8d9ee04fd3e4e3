"""Interceptors that add the API key to the metadata of each call.

Call credentials would do the same, but gRPC sends them only over TLS.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio


def with_authorization(channel: grpc.Channel, api_key: str) -> grpc.Channel:
    """Returns a channel that sends the API key with each call."""
    return grpc.intercept_channel(channel, _Authorization(api_key))


def async_authorization(api_key: str) -> Sequence[grpc.aio.ClientInterceptor]:
    """Returns the interceptors that send the API key with each call: grpc.aio needs one object for each kind of call."""
    return [_AsyncUnary(api_key), _AsyncStream(api_key)]


@dataclass
class _CallDetails(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: tuple[tuple[str, str | bytes], ...] | None
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Authorization(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, api_key: str) -> None:
        self._header = ("authorization", f"Bearer {api_key}")

    def _authorized(self, call: grpc.ClientCallDetails) -> grpc.ClientCallDetails:
        metadata = (*(call.metadata or ()), self._header)
        return _CallDetails(call.method, call.timeout, metadata, call.credentials, call.wait_for_ready, call.compression)

    def intercept_unary_unary(self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any) -> Any:
        return continuation(self._authorized(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: grpc.ClientCallDetails, request: Any) -> Any:
        return continuation(self._authorized(client_call_details), request)


class _AsyncHeader:
    def __init__(self, api_key: str) -> None:
        self._header = ("authorization", f"Bearer {api_key}")

    def _authorized(self, call: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
        metadata = grpc.aio.Metadata(*(call.metadata or ()), self._header)
        return grpc.aio.ClientCallDetails(call.method, call.timeout, metadata, call.credentials, call.wait_for_ready)


class _AsyncUnary(_AsyncHeader, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._authorized(client_call_details), request)


class _AsyncStream(_AsyncHeader, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        return await continuation(self._authorized(client_call_details), request)

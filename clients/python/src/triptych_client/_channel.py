"""Channel options and credentials, which both clients share."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, TypeAlias

import grpc

from triptych_client.v1.service_config import SERVICE_CONFIG, SERVICE_CONFIG_IDEMPOTENCY_KEYS

Options: TypeAlias = Sequence[tuple[str, Any]]
Tls: TypeAlias = bool | grpc.ChannelCredentials

# The server's default for `grpc.max_message_bytes`. gRPC's default of 4 MiB is less than some images need.
MAX_MESSAGE_BYTES = 64 << 20


def channel_options(idempotency_keys: bool, options: Options) -> list[tuple[str, Any]]:
    """Returns the options of a channel. `options` come last, so that they replace others with the same name."""
    return [
        ("grpc.primary_user_agent", f"triptych-client/{version('triptych-client')}"),
        ("grpc.service_config", SERVICE_CONFIG_IDEMPOTENCY_KEYS if idempotency_keys else SERVICE_CONFIG),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        # A watched video may send nothing for minutes. Pings keep the connection in the tables of proxies, and detect a dead
        # server within 40 s.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.http2.ping_timeout_ms", 10_000),
        # By default, only two pings are sent without data between them.
        ("grpc.http2.max_pings_without_data", 0),
        *options,
    ]


def channel_credentials(tls: Tls) -> grpc.ChannelCredentials | None:
    """Returns the credentials of a channel; None for a channel without TLS."""
    if isinstance(tls, bool):
        return grpc.ssl_channel_credentials() if tls else None
    return tls

"""Shared by the clients with a fake chat upstream: Triptych in front of it, and a gRPC request without generated code."""

import os
import re
import subprocess
import tempfile
from contextlib import contextmanager
from types import SimpleNamespace


def field(number: int, content: bytes) -> bytes:
    """Encodes a string or message of less than 128 bytes as a Protobuf field: its number and wire type 2, length, content."""
    return bytes([number << 3 | 2, len(content)]) + content


# A CreateChatRequest, and a StreamChatRequest too: the model `m` and a user message `x`.
CHAT_REQUEST = field(1, field(1, b"m") + field(2, field(1, b"user") + field(2, b"x")))
CREATE_CHAT = "/triptych.v1.ChatService/CreateChat"
STREAM_CHAT = "/triptych.v1.ChatService/StreamChat"


@contextmanager
def start_with_upstream(program: str, upstream: str, **settings: str):
    """Starts Triptych on free ports with an upstream for the model `m`. Yields its `process`, the ports `rest` and `grpc`,
    and `log()`, which returns the errors logged so far."""
    own = {"CHAT_BASE_URL": upstream, "CHAT_MODEL": "m", "TRIPTYCH_LOG_FILTER": "error"}
    own |= {"TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0"}
    environment = {name: value for name, value in os.environ.items() if "TRIPTYCH" not in name and "PROXY" not in name.upper()}
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([program], cwd=directory, env=environment | own | settings, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            def read_log() -> str:
                log.seek(0)
                return log.read()

            ports = {}
            while len(ports) < 2:
                line = process.stdout.readline()
                assert line, f"Triptych ended before it listened; the end of its log:\n{read_log()[-2000:]}"
                if found := re.match(r" *(REST|gRPC) .*:(\d+)", line):
                    ports[found[1]] = int(found[2])

            yield SimpleNamespace(process=process, rest=ports["REST"], grpc=ports["gRPC"], log=read_log)
        finally:
            process.kill()
            process.wait()

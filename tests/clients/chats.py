"""What the clients that play a chat upstream share: Triptych in front of it, and a question over gRPC."""

import os
import re
import subprocess
import tempfile
from contextlib import contextmanager
from types import SimpleNamespace


def field(number: int, content: bytes) -> bytes:
    """A short text or message as Protobuf writes it."""
    return bytes([number << 3 | 2, len(content)]) + content


# A CreateChatRequest, and a StreamChatRequest as well: to the model `m` a user says `x`.
QUESTION = field(1, field(1, b"m") + field(2, field(1, b"user") + field(2, b"x")))
CREATE = "/triptych.v1.ChatService/CreateChat"
STREAM = "/triptych.v1.ChatService/StreamChat"


@contextmanager
def triptych(program: str, upstream: str, **settings: str):
    """Triptych on free ports with an upstream for the model `m`: its `process`, the ports `rest` and `grpc`, and `log()`."""
    own = {"CHAT_BASE_URL": upstream, "CHAT_MODEL": "m", "TRIPTYCH_LOG_FILTER": "error"}
    own |= {"TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0"}
    environment = {name: value for name, value in os.environ.items() if "TRIPTYCH" not in name and "PROXY" not in name.upper()}
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen([program], cwd=place, env=environment | own | settings, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            ports = {}
            while len(ports) < 2:
                line = process.stdout.readline()
                assert line, "it did not start"
                if found := re.match(r" *(REST|gRPC) .*:(\d+)", line):
                    ports[found[1]] = int(found[2])

            def logged() -> str:
                log.seek(0)
                return log.read()

            yield SimpleNamespace(process=process, rest=ports["REST"], grpc=ports["gRPC"], log=logged)
        finally:
            process.kill()
            process.wait()

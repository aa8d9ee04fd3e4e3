"""A gRPC client for benchmarks that needs only the standard library: HTTP/2 without TLS, one call at a time, as cheap for the
server as a client can be.
"""

import socket
import struct

# Frame types and flags of HTTP/2 (RFC 9113, section 6), and its largest flow-control window.
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
WINDOW = (1 << 31) - 1


def literal(name: str, value: str) -> bytes:
    """Encodes a header of fewer than 127 bytes without indexing and without Huffman coding (RFC 7541, section 6.2.2)."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def field(number: int, value: bytes | str) -> bytes:
    """Encodes a length-delimited field of Protobuf, of fewer than 16,384 bytes."""
    value = value.encode() if isinstance(value, str) else value
    length = len(value)
    varint = bytes([length]) if length < 128 else bytes([length & 127 | 128, length >> 7])
    return bytes([number << 3 | 2]) + varint + value


class GrpcClient:
    """One connection to a server on this machine. Its metadata are sent with each call."""

    def __init__(self, port: int, metadata: dict[str, str] | None = None) -> None:
        self.metadata = metadata or {}
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        # Streams of a client have odd numbers; the first one is 1.
        self.stream = -1
        # SETTINGS_INITIAL_WINDOW_SIZE, so that no response needs a window update.
        settings = self.frame(SETTINGS, 0, 0, struct.pack(">HI", 4, WINDOW))
        window = self.frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", WINDOW - 65535))
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + window)

    @staticmethod
    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

    def call(self, method: str, message: bytes) -> list[bytes]:
        """Makes a call and returns its response messages. Fails unless the call ends with END_STREAM and at least one message."""
        self.stream += 2
        headers = {":method": "POST", ":scheme": "http", ":path": method, ":authority": "a", "te": "trailers", "content-type": "application/grpc"}
        block = b"".join(literal(name, value) for name, value in (headers | self.metadata).items())
        # Before each message: a byte that says whether it is compressed, and its length.
        body = struct.pack(">BI", 0, len(message)) + message
        self.socket.sendall(self.frame(HEADERS, END_HEADERS, self.stream, block) + self.frame(DATA, END_STREAM, self.stream, body))
        received, ended = b"", False
        while not ended:
            head = self.file.read(9)
            assert len(head) == 9, "the server closed the connection"
            length, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
            payload = self.file.read(length)
            assert kind not in (RST_STREAM, GOAWAY), payload
            if kind == DATA:
                received += payload
            elif kind in (SETTINGS, PING) and not flags & ACK:
                self.socket.sendall(self.frame(kind, ACK, 0, payload if kind == PING else b""))
            ended = kind in (DATA, HEADERS) and bool(flags & END_STREAM)
        messages = []
        while received:
            (length,) = struct.unpack(">I", received[1:5])
            messages.append(received[5 : 5 + length])
            received = received[5 + length :]
        assert messages, "the call has failed"
        return messages

    def close(self) -> None:
        self.socket.close()

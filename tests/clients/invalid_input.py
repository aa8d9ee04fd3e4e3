"""Sends invalid requests over plain sockets. Each must get a 4xx with OpenAI's error body, and the server must stay up."""

import base64
import gzip
import io
import json
import socket
import struct
import sys
import zlib

from common import REST
from PIL import Image

HOST, PORT = REST.removeprefix("http://").split(":")
CHAT, IMAGES, EDITS, VIDEOS = "/v1/chat/completions", "/v1/images/generations", "/v1/images/edits", "/v1/videos"
failed = []


def exchange(sent, close_early=False):
    """Sends these bytes and reads until the connection is closed."""
    with socket.create_connection((HOST, int(PORT)), timeout=60) as connection:
        connection.sendall(sent)
        if close_early:
            return b""
        response = b""
        while piece := connection.recv(1 << 16):
            response += piece
        return response


def request(method, path, body=b"", content_type="application/json", extra=""):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    head += (f"Content-Type: {content_type}\r\n" if content_type else "") + extra
    return exchange(head.encode() + b"\r\n" + body)


def parse(response):
    head, _, body = response.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        decoded = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            decoded, body = decoded + body[: int(size, 16)], body[int(size, 16) + 2 :]
        body = decoded
    return int(lines[0].split()[1]), headers, body


def expect(case, response, status, param=None, code=None, header=None):
    """Asserts status and error body. A tuple stands for one of its values; a `param` of None means null, `...` any. `header` is
    the name of a further header that the response must have."""
    try:
        got, headers, body = parse(response)
        error = json.loads(body)["error"]
        assert got in (status if isinstance(status, tuple) else (status,)), f"status {got}"
        assert set(error) == {"message", "type", "param", "code"} and error["message"], error
        assert error["type"] == "invalid_request_error", error
        assert param is ... or error["param"] in (param if isinstance(param, tuple) else (param,)), f"param {error['param']!r}, expected {param!r}: {error['message']}"
        assert code is None or error["code"] == code, f"code {error['code']!r}"
        assert headers["content-type"] == "application/json" and headers["x-request-id"], headers
        assert header is None or header in headers, headers
        health = parse(request("GET", "/healthz", content_type=None))
        assert health[0] == 200, "the server is not healthy"
    except Exception as problem:
        failed.append(case)
        print(f"  FAIL {case}: {type(problem).__name__} {problem}: {response[:400]!r}", flush=True)
    else:
        print(f"  ok   {case}: {got} {error['param'] or ''}", flush=True)


def chat(**members):
    return json.dumps({"model": "qwen3-next-80b-a3b-instruct", "messages": [{"role": "user", "content": "Hi"}], **members}).encode()


def image(**members):
    return json.dumps({"prompt": "x", **members}).encode()


def video(**members):
    return json.dumps({"prompt": "x", "size": "320x180", "seconds": 1, **members}).encode()


def png(size=(64, 64)):
    out = io.BytesIO()
    Image.effect_noise(size, 50).save(out, "PNG")
    return out.getvalue()


def bomb(width, height):
    """Returns a PNG of a few kilobytes whose header claims this size, for which a decoder may allocate gigabytes. It has at most 300 rows."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width * 3)) for _ in range(min(height, 300))) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def base64_text(data):
    return base64.b64encode(data).decode()


def form(*fields):
    """Returns a multipart body of (name, filename or None, bytes)."""
    body = b""
    for name, filename, data in fields:
        file = f'; filename="{filename}"' if filename else ""
        body += f'--X\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
    return body + b"--X--\r\n"


MULTIPART = "multipart/form-data; boundary=X"

for path in (CHAT, IMAGES, VIDEOS):
    endpoint = path.split("/")[2]
    expect(f"{endpoint}: invalid JSON", request("POST", path, b'{"prompt": '), 400)
    expect(f"{endpoint}: an empty body", request("POST", path), 400, ...)
    expect(f"{endpoint}: a list", request("POST", path, b"[1]"), 400, ...)
    expect(f"{endpoint}: invalid UTF-8", request("POST", path, b'{"prompt":"\xff\xfe"}'), 400, ...)
    expect(f"{endpoint}: a lone surrogate", request("POST", path, b'{"prompt":"\\ud800","messages":[{"role":"user","content":"\\ud800"}]}'), 400, ...)
    expect(f"{endpoint}: nested 10,000 deep", request("POST", path, b'{"prompt":"x","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"), 400, ...)
    expect(f"{endpoint}: nested 10,000 deep, never closed", request("POST", path, b'{"x":' * 10_000), 400, ...)
    expect(f"{endpoint}: multipart without boundary", request("POST", path, b"--X", "multipart/form-data"), (400, 415), ...)
    expect(f"{endpoint}: a wrong method", request("PATCH", path), 405, ..., "method_not_allowed", "allow")
    expect(f"{endpoint}: a Content-Length above the limit", exchange(f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n".encode()), 413, ..., "request_too_large")

expect("chat: no messages", request("POST", CHAT, b'{"model":"gpt-4"}'), 400, "messages")
expect("chat: empty messages", request("POST", CHAT, chat(messages=[])), 400, "messages")
expect("chat: messages of a wrong type", request("POST", CHAT, chat(messages={})), 400, "messages")
expect("chat: negative n", request("POST", CHAT, chat(n=-1)), 400, "n")
expect("chat: huge n", request("POST", CHAT, chat(n=10**9)), 400, "n")
expect("chat: negative max_tokens", request("POST", CHAT, chat(max_tokens=-5)), 400, "max_tokens")
expect("chat: max_tokens of 10^30", request("POST", CHAT, chat(max_tokens=10**30)), 400, "max_tokens")
expect("chat: a text that is a number", request("POST", CHAT, chat(messages=[{"role": "user", "content": 5}])), 400, "messages[0].content")
expect("chat: an unknown model", request("POST", CHAT, chat(model="gpt-99")), 404, "model", "model_not_found")
expect("chat: json_schema without a schema", request("POST", CHAT, chat(response_format={"type": "json_schema"})), 400, "response_format.json_schema")

for size in ("0x0", "axb", "100000x100000", "1024", "-5x5", "1024x", "1e3x1e3"):
    expect(f"images: size {size}", request("POST", IMAGES, image(size=size)), 400, "size")
    expect(f"videos: size {size}", request("POST", VIDEOS, video(size=size)), 400, "size")
expect("images: no prompt", request("POST", IMAGES, b"{}"), 400, "prompt")
expect("images: an empty prompt", request("POST", IMAGES, image(prompt="")), 400, "prompt")
expect("images: a prompt that is a number", request("POST", IMAGES, image(prompt=5)), 400, "prompt")
expect("images: a prompt of 40,000 characters", request("POST", IMAGES, image(prompt="x" * 40_000)), 400, "prompt")
expect("images: n of 0", request("POST", IMAGES, image(n=0)), 400, "n")
expect("images: negative n", request("POST", IMAGES, image(n=-1)), 400, "n")
expect("images: n of 10^30", request("POST", IMAGES, image(n=10**30)), 400, "n")
expect("images: an unknown model", request("POST", IMAGES, image(model="dall-e-99")), 404, "model", "model_not_found")
expect("images: an unknown response_format", request("POST", IMAGES, image(response_format="gif")), 400, "response_format")
expect("images: an unknown quality", request("POST", IMAGES, image(quality="superb")), 400, "quality")

expect("edits: no image", request("POST", EDITS, form(("prompt", None, b"x")), MULTIPART), 400, "image")
expect("edits: no prompt", request("POST", EDITS, form(("image", "a.png", png())), MULTIPART), 400, "prompt")
expect("edits: an image that is not one", request("POST", EDITS, form(("prompt", None, b"x"), ("image", "a.png", b"hello")), MULTIPART), 400, ("image", "image[0]"))
expect("edits: a truncated image", request("POST", EDITS, form(("prompt", None, b"x"), ("image", "a.png", png()[:-400])), MULTIPART), 400, ("image", "image[0]"))
expect("edits: a mask of another size", request("POST", EDITS, form(("prompt", None, b"x"), ("image", "a.png", png()), ("mask", "m.png", png((32, 32)))), MULTIPART), 400, "mask")
expect("edits: a truncated form", request("POST", EDITS, form(("prompt", None, b"x"))[:-12], MULTIPART), 400, ...)
expect("edits: multipart without boundary", request("POST", EDITS, b"--X", "multipart/form-data"), 400, ...)

for seconds in (0, -1, 10**9, 10**30, "soon", "", 1.5):
    expect(f"videos: seconds {seconds!r}", request("POST", VIDEOS, video(seconds=seconds)), 400, "seconds")
expect("videos: seconds as text in a form", request("POST", VIDEOS, form(("prompt", None, b"x"), ("seconds", None, b"-1")), MULTIPART), 400, "seconds")
expect("videos: no prompt", request("POST", VIDEOS, b"{}"), 400, "prompt")
expect("videos: an unknown model", request("POST", VIDEOS, video(model="sora-99")), 404, "model", "model_not_found")
for case, value in [
    ("invalid base64", "%%%"),
    ("base64 of something else than an image", base64_text(b"hello, this is no picture at all")),
    ("a truncated image", base64_text(png()[:-400])),
    ("a decompression bomb", base64_text(bomb(30_000, 30_000))),
    ("an image larger than its data", base64_text(bomb(2_000, 2_000))),
    ("a data URL without data", "data:image/png;base64,"),
    ("a file URL", "file:///etc/passwd"),
    ("a loopback address", "http://127.0.0.1:8000/healthz"),
    ("a loopback address in IPv6 notation", "http://[::ffff:7f00:1]/x.png"),
    ("the cloud metadata address", "http://169.254.169.254/latest/meta-data"),
    ("a number", 7),
]:
    expect(f"videos: input_reference, {case}", request("POST", VIDEOS, video(input_reference=value)), 400, "input_reference")
expect("videos: input_reference, a file_id that is a path", request("POST", VIDEOS, video(input_reference={"file_id": "../../etc/passwd"})), (400, 404), ...)

for path in ("video_none", "..", "%2e%2e", "..%2Fmodels", "a%2Fb", "%00", "x" * 5000, "%ff"):
    expect(f"videos: the id {path[:20]}", request("GET", f"/v1/videos/{path}", content_type=None), (400, 404), ...)
    expect(f"media: the key {path[:20]}", request("GET", f"/media/{path}", content_type=None), (400, 404), ...)
expect("media: a path outside of the media directory", request("GET", "/media/../triptych-data/jobs.db", content_type=None), (400, 404), ...)
expect("media: an encoded path outside of the media directory", request("GET", "/media/..%2f..%2fetc%2fpasswd", content_type=None), (400, 404), ...)
expect("videos: list with a wrong limit", request("GET", "/v1/videos?limit=1000", content_type=None), 400, "limit")
expect("videos: list with a limit of a wrong type", request("GET", "/v1/videos?limit=many", content_type=None), 400, "limit")
expect("videos: list with a wrong order", request("GET", "/v1/videos?order=up", content_type=None), 400, "order")
expect("videos: an unsupported endpoint", request("POST", "/v1/videos/characters", b"{}"), 404, ..., "unsupported_endpoint")
expect("an unsupported endpoint", request("POST", "/v1/embeddings", b"{}"), 404, ..., "unsupported_endpoint")
expect("an invalid gzip body", request("POST", CHAT, b"hello", extra="Content-Encoding: gzip\r\n"), 400, ...)
expect("a gzip bomb", request("POST", CHAT, gzip.compress(bytes(200 << 20)), extra="Content-Encoding: gzip\r\n"), 413, ...)

for _ in range(50):
    exchange(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"mod", close_early=True)
# The first of these is the beginning of a TLS handshake.
for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\0" * 1000, b"GET / HTTP/1.1\r\nA: " + b"x" * 200_000):
    try:
        exchange(garbage + b"\r\n\r\n")
    except OSError:
        pass  # Closing such a connection is a correct response.
status, _, body = parse(request("POST", CHAT, chat()))
assert status == 200 and json.loads(body)["choices"], "the server does not respond"
print("  ok   aborted requests and garbage leave the server up", flush=True)
if failed:
    sys.exit(f"{len(failed)} failed: " + "; ".join(failed))

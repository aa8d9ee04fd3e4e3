"""Measures an image of four megapixels on its way through Triptych: CPU time and peak memory of the process.

    images.py PATH_OF_TRIPTYCH

A fake OpenAI-compatible upstream returns the same image at once, as base64. It is requested as a link and as base64, in its
own size (passed through unchanged) and in another (scaled, cropped and encoded again), alone and 64 at a time. Each case
has a new process. Needs only the standard library.
"""

import base64
import http.client
import http.server
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Width and height of the upstream's image, in pixels.
SIDE = 2048


def png(side: int) -> bytes:
    """Returns a PNG of a gradient with noise, which compresses about as well as a drawing."""
    noise, rows = random.Random(1), bytearray()
    for y in range(side):
        rows.append(0)
        for x in range(side):
            rows += bytes(((x * 255 // side + noise.randrange(8)) % 256, y * 255 // side, (x + y) % 256))

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(bytes(rows), 6)) + part(b"IEND", b"")


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers every request with the same body."""

    protocol_version = "HTTP/1.1"
    body = b""

    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_):
        pass


def cpu(pid: int) -> float:
    """Returns the CPU time used so far, in milliseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int, name: str) -> float:
    """Returns a memory figure of the process in MiB: `VmRSS` now, `VmHWM` at most."""
    return int(next(line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))) / 1024


def measure(program: str, base: str, case: str, at_once: int, calls: int, **members) -> None:
    """Starts Triptych, makes the calls with this JSON in their bodies, and prints a row of the table."""
    with tempfile.TemporaryDirectory() as directory:
        settings = {"IMAGE_SERVICE_TYPE": "openai", "IMAGE_BASE_URL": base, "IMAGE_API_KEY": "none", "IMAGE_MODELS": "gpt-image-1"}
        settings |= {"TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0", "TRIPTYCH_LOG_FILTER": "error"}
        environment = {name: value for name, value in os.environ.items() if "TRIPTYCH" not in name and "PROXY" not in name.upper()}
        server = subprocess.Popen([program], cwd=directory, env=environment | settings, stdout=subprocess.PIPE, text=True)
        try:
            port = next((int(line.rsplit(":", 1)[1].split("/")[0]) for line in server.stdout if "REST" in line), None)
            assert port, "Triptych ended before it listened"

            def call(number: int) -> None:
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
                body = json.dumps({"model": "gpt-image-1", "prompt": f"a field {number}", **members})
                client.request("POST", "/v1/images/generations", body, {"content-type": "application/json"})
                reply = client.getresponse()
                text = reply.read()
                assert reply.status == 200, text[:500]
                client.close()

            # The first call allocates what later ones use again, and is not measured.
            call(-1)
            before, idle = cpu(server.pid), memory(server.pid, "VmRSS")
            with ThreadPoolExecutor(at_once) as callers:
                list(callers.map(call, range(calls)))
            print(f"| {case} | {at_once} | {(cpu(server.pid) - before) / calls:.0f} ms | {memory(server.pid, 'VmHWM'):.0f} MiB | {idle:.0f} MiB |")
        finally:
            server.kill()
            server.communicate()


def main(program: str) -> None:
    image = png(SIDE)
    data = base64.b64encode(image).decode()
    Upstream.body = json.dumps({"created": 1, "data": [{"b64_json": data}]}).encode()
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{listener.server_port}/v1"
    print(f"an image of {SIDE}x{SIDE}, {len(image) / 1e6:.1f} MB\n")
    print("| requested as | at once | CPU each | peak memory | after one |\n| --- | --- | --- | --- | --- |")
    same, other = f"{SIDE}x{SIDE}", "2000x1600"
    for at_once, calls in ((1, 10), (64, 64)):
        for size, label in ((same, "own size"), (other, "another size")):
            for format in ("url", "b64_json"):
                measure(program, base, f"{format}, {label}", at_once, calls, size=size, response_format=format)
    listener.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])

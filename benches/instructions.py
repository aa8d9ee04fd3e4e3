"""Counts the instructions of a call, from socket to socket, and compares them with instructions.json.

    instructions.py PATH_OF_TRIPTYCH [--update | --accounts]

The process runs under callgrind, with one thread for connections, whose instructions are counted, and a fake upstream. The
count varies by less than one percent, however busy the machine is. It is taken of a development build, which every test run
has just made: it says nothing about speed, but shows a call that does more work than before.

With --accounts, it prints instead how many more instructions a call over REST takes when accounting is on (an API key with limits and
budgets, prices, and the access log) than when it is off. For that, PATH_OF_TRIPTYCH should be a release build.
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TextIO

from grpc_client import GrpcClient, field

BASELINE = Path(__file__).with_name("instructions.json")
# Differences between machines, and changes too small to matter.
TOLERANCE = 0.03
# Calls that are counted, after five that are not.
CALLS = 20
# Events with text in a streamed response.
EVENTS = 100
PROMPT = "hello there"
KEY = "the-secret-of-the-client"
# All limits and both budgets of a key and its team, all high enough for the calls.
LIMITS = """{ models = ["m*"], requests_per_minute = 100000, tokens_per_minute = 100000000, concurrent_calls = 100, jobs_in_flight = 10,
    budget_per_day = "1000", budget_per_month = "1000" }"""
# Without the line break of LIMITS: an inline table of TOML is on one line.
ACCOUNTS = f"""
prices = [{{ model = "m", per_million_input_tokens = "2.5", per_million_output_tokens = "10" }}]
teams = [{{ name = "all", limits = {LIMITS} }}]
keys = [{{ name = "client", secret = "{KEY}", team = "all", limits = {LIMITS} }}]
log.filter = "info"
""".replace(",\n   ", ",")

# Logs as by default, but without the access log.
WITHOUT_ACCOUNTS = 'log.filter = "info,triptych::access=off"'

MESSAGE = {"role": "assistant", "content": "It is 12 degrees with some rain about: take the umbrella. " * 4}
REPLY = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}]}


def response(stream: bool) -> bytes:
    """Returns the upstream's HTTP response: complete, or as a stream of events."""
    if not stream:
        body = json.dumps(REPLY).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    parts = [b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"]
    for number in range(EVENTS + 1):
        last = number == EVENTS
        choice = {"index": 0, "delta": {} if last else {"content": f" word {number}"}, "finish_reason": "stop" if last else None}
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
        event = f"data: {json.dumps(chunk)}\n\n".encode()
        parts.append(b"%x\r\n" % len(event) + event + b"\r\n")
    return b"".join(parts) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


def serve(listener: socket.socket) -> None:
    """Accepts connections, each in a thread."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_connection, args=(connection,), daemon=True).start()


def serve_connection(connection: socket.socket) -> None:
    file = connection.makefile("rb")
    while file.readline():
        length = 0
        while (line := file.readline().lower().strip()):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        # One write, so that the response arrives in one packet or few.
        connection.sendall(response(json.loads(file.read(length)).get("stream", False)))


class Rest:
    """Calls the REST API."""

    def __init__(self, ports: dict[str, int], stream: bool) -> None:
        self.client, self.stream = http.client.HTTPConnection("127.0.0.1", ports["REST"], timeout=120), stream
        self.body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": PROMPT}]})

    def call(self) -> None:
        headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
        self.client.request("POST", "/v1/chat/completions", self.body, headers)
        reply = self.client.getresponse()
        text = reply.read()
        assert reply.status == 200 and (not self.stream or text.endswith(b"data: [DONE]\n\n")), text

    def close(self) -> None:
        self.client.close()


class Grpc:
    """Calls the gRPC API."""

    def __init__(self, ports: dict[str, int], stream: bool) -> None:
        self.client, self.stream = GrpcClient(ports["gRPC"]), stream
        chat = field(1, "m") + field(2, field(1, "user") + field(2, PROMPT))
        self.message = field(1, chat)

    def call(self) -> None:
        method = "StreamChat" if self.stream else "CreateChat"
        messages = self.client.call(f"/triptych.v1.ChatService/{method}", self.message)
        assert len(messages) >= (EVENTS if self.stream else 1), messages

    def close(self) -> None:
        self.client.close()


def count(
    program: str, base: str, api: type[Rest] | type[Grpc], stream: bool, configuration: str = 'log.filter = "error"', calls: int = CALLS
) -> int:
    """Makes this many calls to a process with this configuration file. Returns the mean number of instructions of one."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "callgrind"
        settings = {"CHAT_BASE_URL": base, "CHAT_MODEL": "m", "TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0"}
        settings |= {"TRIPTYCH_THREADS": "1"}
        Path(directory, "triptych.toml").write_text(configuration)
        environment = {name: value for name, value in os.environ.items() if "TRIPTYCH" not in name and "PROXY" not in name.upper()}
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", "--separate-threads=yes", f"--callgrind-out-file={out}", program]
        server = subprocess.Popen(command, cwd=directory, env=environment | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            client = api(ports(server.stdout), stream)

            def instrument(switch: str):
                subprocess.run(["callgrind_control", "-i", switch, str(server.pid)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

            for _ in range(5):
                client.call()
            instrument("on")
            for _ in range(calls):
                client.call()
            instrument("off")
            client.close()
            server.terminate()
            server.wait(60)
        finally:
            server.kill()
            server.communicate()
        # One file for each thread. Threads other than that of the connections probe the stores and look for due jobs, once per
        # second and not per call.
        files = (file.read_text().splitlines() for file in Path(directory).glob("callgrind*"))
        totals = (line.split()[1] for lines in files for line in lines if line.startswith("totals:"))
        return max(map(int, totals)) // calls


def ports(banner: TextIO) -> dict[str, int]:
    """Reads the ports of both APIs from the start-up banner."""
    found: dict[str, int] = {}
    for line in banner:
        name = line.split()[0] if line.split() else ""
        if name in ("REST", "gRPC"):
            found[name] = int(line.rsplit(":", 1)[1].split("/")[0].split()[0])
        if len(found) == 2:
            return found
    raise SystemExit("the server did not start")


def main() -> int:
    if not shutil.which("valgrind"):
        print("valgrind is not installed")
        return 2
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    base = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    program = os.path.abspath(sys.argv[1])
    if "--accounts" in sys.argv:
        for name, stream in (("non-streaming response", False), (f"stream of {EVENTS} events", True)):
            # So many calls that the thread of the connections executes the most instructions: `count` takes the maximum of the threads.
            without, accounts = (count(program, base, Rest, stream, configuration, 100) for configuration in (WITHOUT_ACCOUNTS, ACCOUNTS))
            print(f"  {name}: {without:,} instructions, with accounts {accounts:,}, {accounts / without - 1:+.1%}")
        return 0
    counted = {
        "non-streaming response": count(program, base, Rest, False),
        f"stream of {EVENTS} events": count(program, base, Rest, True),
        "non-streaming response over gRPC": count(program, base, Grpc, False),
        f"stream of {EVENTS} events over gRPC": count(program, base, Grpc, True),
    }
    if "--update" in sys.argv:
        BASELINE.write_text(json.dumps(counted, indent=2) + "\n")
    baseline, regression = json.loads(BASELINE.read_text()), False
    for name, instructions in counted.items():
        change = instructions / baseline[name] - 1
        verdict = "ok" if abs(change) <= TOLERANCE else "REGRESSION" if change > 0 else "improved: --update stores the new count"
        regression |= change > TOLERANCE
        print(f"  {name}: {instructions:,} instructions, {change:+.1%} ({verdict})")
    return int(regression)


if __name__ == "__main__":
    sys.exit(main())

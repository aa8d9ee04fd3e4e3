"""Clients that send one request after the other to a REST port, each on a connection that it keeps, and count completed and failed calls.

The calls are those of the built-in engines. Needs the standard library only.
"""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say something."}], "max_tokens": 30}


class Connection(http.client.HTTPConnection):
    """A connection to a port of this machine, with the headers of all of its requests."""

    def __init__(self, port: int, key: str | None = None) -> None:
        super().__init__("127.0.0.1", port, timeout=60)
        self.headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})


class Unavailable(Exception):
    """An error with Retry-After: the core is down."""


class Load:
    """The clients, and the numbers of completed and failed calls."""

    def __init__(self, port: int, tolerates_outage: bool = False, key: str | None = None) -> None:
        self.port, self.key, self.tolerates_outage = port, key, tolerates_outage
        self.done, self.outage, self.errors = Counter(), Counter(), []
        self.stop, self.threads = threading.Event(), []

    def add(self, count: int, name: str, call: Callable[[Connection], None]) -> None:
        for _ in range(count):
            self.threads.append(threading.Thread(target=self.client, args=(name, call)))
            self.threads[-1].start()

    def client(self, name: str, call: Callable[[Connection], None]) -> None:
        connection = Connection(self.port, self.key)
        while not self.stop.is_set():
            try:
                call(connection)
                self.done[name] += 1
            except Unavailable as error:
                self.outage[str(error)] += 1
                if not self.tolerates_outage:
                    self.errors.append(f"{name}: {error}")
                time.sleep(0.2)
            except (OSError, http.client.HTTPException, AssertionError, ValueError) as error:
                self.errors.append(f"{time.strftime('%T')} {name}: {type(error).__name__} {error}")
                connection.close()

    def end(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join()


def request(connection: Connection, method: str, path: str, body: dict | None = None) -> bytes:
    connection.request(method, path, json.dumps(body) if body else None, connection.headers)
    response = connection.getresponse()
    data = response.read()
    if response.status in (502, 503) and response.getheader("retry-after"):
        raise Unavailable(f"{response.status} with Retry-After")
    assert response.status == 200, f"{method} {path}: {response.status} {data[:300]!r}"
    return data


def chat(connection: Connection) -> None:
    assert json.loads(request(connection, "POST", "/v1/chat/completions", CHAT))["choices"][0]["message"]["content"]


def stream(connection: Connection) -> None:
    text = request(connection, "POST", "/v1/chat/completions", CHAT | {"stream": True}).decode()
    events = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    assert events[-1] == "[DONE]", f"a stream was cut: {text[-300:]}"
    reasons = [choice["finish_reason"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    assert reasons[-1] in ("stop", "length"), reasons


def image(connection: Connection) -> None:
    body = {"model": "offline-image", "prompt": "a boat", "size": "64x64", "response_format": "b64_json"}
    assert json.loads(request(connection, "POST", "/v1/images/generations", body))["data"][0]["b64_json"]


def video(connection: Connection) -> str:
    """Creates a video, polls it until its end, and downloads it. Returns its id."""
    body = {"model": "offline-video", "prompt": "a boat", "size": "64x64", "seconds": "1"}
    job = json.loads(request(connection, "POST", "/v1/videos", body))
    while job["status"] != "completed":
        assert job["status"] != "failed", job["error"]
        time.sleep(0.1)
        job = json.loads(request(connection, "GET", f"/v1/videos/{job['id']}"))
    assert request(connection, "GET", f"/v1/videos/{job['id']}/content")[4:8] == b"ftyp"
    return job["id"]

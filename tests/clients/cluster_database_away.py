"""Checks the responses of a node whose database is away: creates are refused with a message, and calls that need no database are
served."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from cluster_clients import Clients

CHAT = {"model": "offline-chat", "messages": [{"role": "user", "content": "Hello"}]}
VIDEO = {"model": "scripted", "prompt": "while the database is away", "size": "64x64", "seconds": "1"}
# The longest time to a response, in seconds. After a connection was lost during a commit, a node tries for 15 seconds to find out its
# outcome, and later writes wait. They then wait for a connection, and are retried on another one.
LONGEST = 25


def probe(clients: Clients, number: int) -> list[str]:
    """Sends calls to a node, all at once. Returns the wrong answers."""
    server, services, channel = clients.nodes[number], clients.services, clients.channels[number]

    def rest(method: str, path: str, body: dict | None = None) -> tuple[object, str]:
        connection = http.client.HTTPConnection(server.host, server.port, timeout=3 * LONGEST)
        connection.request(method, path, json.dumps(body) if body else None, {"content-type": "application/json"})
        response = connection.getresponse()
        result = response.status, response.read().decode()
        connection.close()
        return result

    def call(method: str, members: dict) -> tuple[object, str]:
        try:
            return "OK", str(services.call(f"triptych.v1.{method}", members, 3 * LONGEST, via=channel))
        except grpc.RpcError as error:
            return error.code().name, error.details()

    video = {name: value for name, value in VIDEO.items() if name != "seconds"} | {"duration_seconds": 1}
    chat = {"model": CHAT["model"], "messages": [{"role": "user", "text": "Hello"}]}
    calls = {
        "a create over REST": (503, "storage_unavailable", lambda: rest("POST", "/v1/videos", VIDEO)),
        "a create over gRPC": ("UNAVAILABLE", "", lambda: call("VideoService/CreateVideo", video)),
        "a read": (503, "storage_unavailable", lambda: rest("GET", "/v1/videos?limit=1")),
        "chat over REST": (200, "", lambda: rest("POST", "/v1/chat/completions", CHAT)),
        "chat over gRPC": ("OK", "", lambda: call("ChatService/CreateChat", {"chat": chat})),
        "the models": (200, "", lambda: rest("GET", "/v1/models")),
        "the liveness probe": (200, "", lambda: rest("GET", "/healthz")),
    }

    def one(name: str) -> str:
        status, word, send = calls[name]
        start = time.monotonic()
        try:
            got, text = send()
        except OSError as error:
            got, text = type(error).__name__, str(error)
        took = time.monotonic() - start
        print(f"   database away, {name}: {got} after {took:.1f} s{f': {text.strip()[:200]}' if got not in (200, 'OK') else ''}", flush=True)
        return "" if got == status and word in text and text and took < LONGEST else f"database away, {name}: {got} after {took:.1f} s: {text[:200]}"

    with ThreadPoolExecutor() as pool:
        return [problem for problem in pool.map(one, calls) if problem]

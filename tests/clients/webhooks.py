"""Real webhook deliveries, verified by OpenAI's official SDK.

    webhooks.py PATH_OF_TRIPTYCH

Starts Triptych with an endpoint in its configuration, and a receiver that verifies the deliveries with
`client.webhooks.unwrap`. The SDK also manages another endpoint.
"""

import base64
import json
import os
import queue
import sys
import tempfile
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
from fake_provider import start_triptych

PROGRAM = sys.argv.pop(1)


def new_secret():
    return "whsec_" + base64.b64encode(os.urandom(32)).decode()


class Receiver:
    """Collects requests: path, headers, body. The first attempt at `/failing` is answered with 500."""

    def __init__(self):
        self.requests = queue.Queue()
        outer, failed = self, []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.put((self.path, dict(self.headers), body))
                fails = self.path == "/failing" and not failed
                if fails:
                    failed.append(True)
                self.send_response(500 if fails else 204)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"

    def next(self):
        return self.requests.get(timeout=120)


def call(rest, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(rest + path, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def check(client, received, secret, video, event_type):
    """Verifies a delivery with the SDK. A changed body, a missing signature and another secret must be refused."""
    _, headers, body = received
    event = client.webhooks.unwrap(body, headers, secret=secret)
    assert (event.type, event.data.id, event.object) == (event_type, video, "event"), event
    assert event.id == headers["webhook-id"], (event.id, headers)
    client.webhooks.verify_signature(body.decode(), headers, secret=secret)
    for wrong_body, wrong_secret in [(body + b" ", secret), (body, new_secret())]:
        try:
            client.webhooks.unwrap(wrong_body, headers, secret=wrong_secret)
        except openai.InvalidWebhookSignatureError:
            continue
        raise AssertionError("the SDK accepted a wrong signature")
    return event.id


def main():
    receiver, operator_secret = Receiver(), new_secret()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory, "triptych.toml")
        config.write_text(f"""
[webhooks]
allow_private_addresses = true
retry_delays = ["100ms", "1s"]
[[webhooks.endpoints]]
url = "{receiver.url}/operator"
secret_env = "HOOK_SECRET"
""")
        with start_triptych(PROGRAM, {"TRIPTYCH_CONFIG": str(config), "HOOK_SECRET": operator_secret}) as rest:
            client = openai.OpenAI(base_url=rest, api_key="none")
            video = client.videos.create_and_poll(model="offline-video", prompt="Pan left", seconds="1", size="64x64")
            check(client, receiver.next(), operator_secret, video.id, "video.completed")

            webhooks = client.webhooks
            endpoint = webhooks.create(name="failures", url=f"{receiver.url}/failing", event_types=["video.failed"])
            old, path = endpoint.signing_secret, f"/webhook_endpoints/{endpoint.id}"
            new = webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=True).signing_secret
            assert {"video.completed", "video.failed"} == set(webhooks.event_types.list().data)
            assert [known.id for known in webhooks.list(limit=1)][0] == endpoint.id
            assert webhooks.update(endpoint.id, name="all failures").name == webhooks.retrieve(endpoint.id).name == "all failures"
            failing = client.videos.create_and_poll(
                model="offline-video-fault-fails", prompt="Pan left", seconds="1", size="64x64"
            )
            assert failing.status == "failed", failing
            # From both endpoints, and the repetition of the attempt that was answered with 500.
            received = [receiver.next() for _ in range(3)]
            ids = set()
            for request in received:
                secrets = [operator_secret] if request[0] == "/operator" else [new, old]
                ids.update(check(client, request, secret, failing.id, "video.failed") for secret in secrets)
            assert len(ids) == 1, ids
            assert sorted(path for path, _, _ in received) == ["/failing", "/failing", "/operator"], received

            test = webhooks.test(endpoint.id, event_type="video.completed")
            assert (test.success, test.status_code, test.webhook_endpoint_id) == (True, 204, endpoint.id), test
            check(client, receiver.next(), new, test.delivery["video_id"], "video.completed")
            deliveries = call(rest, "GET", f"/videos/{failing.id}/deliveries")["data"]
            delivery = next(delivery for delivery in deliveries if delivery["endpoint_id"] == endpoint.id)
            call(rest, "POST", f"{path}/deliveries/{delivery['id']}/redeliver")
            assert check(client, receiver.next(), new, failing.id, "video.failed") in ids
            assert webhooks.delete(endpoint.id).deleted
    print("  ok   real deliveries are verified by the official SDK")


main()

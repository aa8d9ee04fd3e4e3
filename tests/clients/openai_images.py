"""Reads the openai image fixtures with OpenAI's official client, directly and through Triptych.

    openai_images.py PATH_OF_TRIPTYCH

The name of a model is the name of a fixture in tests/fixtures/image/openai.
"""

import base64
import io
import json
import sys
import threading
import time
import urllib.request
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import openai
from fake_provider import start_triptych
from openai.types import (
    ImageEditCompletedEvent,
    ImageEditPartialImageEvent,
    ImageGenCompletedEvent,
    ImageGenPartialImageEvent,
    ImagesResponse,
)
from PIL import Image

FIXTURES = Path(__file__).parents[1] / "fixtures/image/openai"
NAMES = sorted(path.name for path in FIXTURES.iterdir() if path.name != "README.md")
SLOW = 2.0  # seconds before the model "slow" responds


class FakeUpstream(BaseHTTPRequestHandler):
    """Responds with the fixture that the model names."""

    protocol_version = "HTTP/1.1"
    received = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        kind = self.headers["content-type"]
        if kind.startswith("multipart/"):
            form = BytesParser().parsebytes(f"content-type: {kind}\r\n\r\n".encode() + body)
            parts = [(part.get_param("name", header="content-disposition"), part) for part in form.get_payload()]
            request = {name: part.get_payload(decode=True).decode() for name, part in parts if not part.get_filename()}
            request["files"] = [name for name, part in parts if part.get_filename()]
        else:
            request = json.loads(body)
        type(self).received.append(request)
        name = request["model"]
        if name == "slow":
            time.sleep(SLOW)
            name = "gpt-image.json"
        # The status is in the name, such as `rate.429.json`.
        status = int(parts[-2]) if len(parts := name.split(".")) > 2 and parts[-2].isdigit() else 200
        url = f"http://{self.headers['host']}"
        self.send(status, (FIXTURES / name).read_bytes().replace(b"UPSTREAM", url.encode()), name.endswith(".sse"))

    def do_GET(self):
        out = io.BytesIO()
        Image.radial_gradient("L").resize((256, 256)).convert("RGB").save(out, "PNG")
        self.send(200, out.getvalue(), False)

    def send(self, status, body, stream):
        self.send_response(status)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def settings(upstream):
    """Returns the settings of Triptych with the fake upstream for images."""
    return {
        "IMAGE_SERVICE_TYPE": "openai",
        "IMAGE_BASE_URL": f"{upstream}/v1",
        "IMAGE_API_KEY": "sk-upstream",
        "IMAGE_MODELS": ",".join([*NAMES, "slow"]),
        # The parameters and sizes that all of these models accept.
        "TRIPTYCH_IMAGE_OPENAI_FAMILY": "gpt-image-1",
    }


def sample_png(size=(96, 64)):
    out = io.BytesIO()
    Image.new("RGBA", size, (200, 60, 20, 0)).save(out, "PNG")
    return "upload.png", out.getvalue(), "image/png"


def size_of(data):
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    image.load()
    return image.size


def check_types(kind, response):
    """Asserts that the response has every member of the SDK's type, and in its type."""
    kind.model_validate(response.to_dict(), strict=True)
    return response


def check_failures(client, expected):
    for name, (error, code) in expected.items():
        try:
            client.images.generate(model=name, prompt="x")
        except openai.APIStatusError as raised:
            assert type(raised) is error and raised.code == code, f"{name}: {raised!r}"
        else:
            raise AssertionError(f"{name} raised no error")


def check_client(base):
    """Reads the fixtures with the client."""
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0)
    for name, count in [("gpt-image.json", 1), ("gpt-image-two.json", 2), ("dall-e-3.json", 1), ("one-failed.json", 2)]:
        response = check_types(ImagesResponse, client.images.generate(model=name, prompt="x"))
        assert len(response.data) == count and max(size_of(response.data[0].b64_json)) >= 1024, name
    response = client.images.generate(model="gpt-image.json", prompt="x")
    assert response.usage.total_tokens == 1084 and response.usage.input_tokens_details.text_tokens == 28, response.usage
    assert client.images.generate(model="dall-e-2-link.json", prompt="x").data[0].url.startswith(base)
    edited = client.images.edit(model="gpt-image-edit.json", image=[sample_png(), sample_png()], mask=sample_png(), prompt="x")
    assert check_types(ImagesResponse, edited).usage.input_tokens_details.image_tokens == 323
    assert FakeUpstream.received[-1]["files"] == ["image[]", "image[]", "mask"], FakeUpstream.received[-1]
    events = list(client.images.generate(model="stream.sse", prompt="x", stream=True, partial_images=2))
    for event, kind in zip(events, [ImageGenPartialImageEvent] * 2 + [ImageGenCompletedEvent], strict=True):
        assert type(check_types(kind, event)) is kind, event
    events = list(client.images.edit(model="edit-stream.sse", image=sample_png(), prompt="x", stream=True))
    for event, kind in zip(events, [ImageEditPartialImageEvent, ImageEditCompletedEvent], strict=True):
        assert type(check_types(kind, event)) is kind, event
    try:
        list(client.images.generate(model="stream-error.sse", prompt="x", stream=True))
        raise AssertionError("the stream raised no error")
    except openai.APIError as raised:
        assert raised.code == "moderation_blocked", raised
    check_failures(client, {
        "moderation.400.json": (openai.BadRequestError, "moderation_blocked"),
        "content-policy.400.json": (openai.BadRequestError, "content_policy_violation"),
        "size.400.json": (openai.BadRequestError, "invalid_value"),
        "billing.400.json": (openai.BadRequestError, "billing_hard_limit_reached"),
        "invalid-key.401.json": (openai.AuthenticationError, "invalid_api_key"),
        "organization.403.json": (openai.PermissionDeniedError, None),
        "model.404.json": (openai.NotFoundError, "model_not_found"),
        "rate.429.json": (openai.RateLimitError, "rate_limit_exceeded"),
        "quota.429.json": (openai.RateLimitError, "insufficient_quota"),
        "internal-error.500.json": (openai.InternalServerError, None),
        "overloaded.503.json": (openai.InternalServerError, None),
    })
    print(f"  ok   the client reads the fixtures ({len(FakeUpstream.received)} responses)")


def check_triptych(base):
    """Reads the fixtures through Triptych: exact sizes, its error codes, no duplicate requests upstream."""
    client = openai.OpenAI(base_url=base, api_key="k", max_retries=0, timeout=120)
    for name in ["gpt-image.json", "dall-e-2-link.json", "compatible-jpeg.json"]:
        response = check_types(ImagesResponse, client.images.generate(model=name, prompt="x", size="320x200", response_format="b64_json"))
        assert size_of(response.data[0].b64_json) == (320, 200), name
    response = client.images.generate(model="gpt-image-two.json", prompt="x", n=2, size="1024x1024")
    assert len(response.data) == 2 and response.usage.total_tokens == 1084, response
    # As from OpenAI, these models return no links unless links are requested.
    assert size_of(response.data[0].b64_json) == (1024, 1024) and response.data[0].url is None, response
    response = client.images.generate(model="gpt-image-two.json", prompt="x", n=2, size="1024x1024", response_format="url")
    with urllib.request.urlopen(response.data[0].url) as download:
        assert Image.open(download).size == (1024, 1024)
    response = client.images.generate(model="one-failed.json", prompt="x", n=2, size="64x64")
    assert len(response.data) == 1 and response.failures == [{"index": 1, "code": "content_policy_violation", "message": "withheld"}], response
    edited = client.images.edit(model="gpt-image-edit.json", image=[sample_png(), sample_png()], mask=sample_png(), prompt="x", size="100x150")
    assert edited.usage.input_tokens_details.image_tokens == 323
    assert FakeUpstream.received[-1]["files"] == ["image[]", "image[]", "mask"], FakeUpstream.received[-1]
    events = list(client.images.generate(model="stream.sse", prompt="x", size="320x200", stream=True, partial_images=2))
    for event, kind in zip(events, [ImageGenPartialImageEvent] * 2 + [ImageGenCompletedEvent], strict=True):
        assert type(event) is kind and size_of(event.b64_json) == (320, 200), event
    check_failures(client, {
        "moderation.400.json": (openai.BadRequestError, "moderation_blocked"),
        "size.400.json": (openai.BadRequestError, "invalid_value"),
        "invalid-key.401.json": (openai.InternalServerError, "provider_credentials"),
        "rate.429.json": (openai.RateLimitError, "rate_limit_exceeded"),
        "internal-error.500.json": (openai.InternalServerError, "upstream_unavailable"),
        "html-page.json": (openai.InternalServerError, "upstream_unreadable"),
    })
    print("  ok   the client reads the fixtures through Triptych")
    requests = len(FakeUpstream.received)
    retrying = openai.OpenAI(base_url=base, api_key="k", max_retries=4, timeout=0.75 * SLOW)
    assert size_of(retrying.images.generate(model="slow", prompt="x", size="64x64", response_format="b64_json").data[0].b64_json) == (64, 64)
    assert len(FakeUpstream.received) == requests + 1, "the client's automatic retries reached the upstream"
    keyed = [retrying.images.generate(model="slow", prompt="y", extra_headers={"idempotency-key": "k-1"}) for _ in range(2)]
    assert keyed[0] == keyed[1] and len(FakeUpstream.received) == requests + 2
    try:
        retrying.images.generate(model="slow", prompt="z", extra_headers={"idempotency-key": "k-1"})
        raise AssertionError("another request with the same key raised no error")
    except openai.ConflictError as raised:
        assert raised.code == "idempotency_conflict" and raised.response.headers["x-should-retry"] == "false"
    print("  ok   retries and reused keys reach the upstream once")


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeUpstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    upstream = f"http://127.0.0.1:{server.server_port}"
    check_client(upstream)
    with start_triptych(sys.argv[1], settings(upstream)) as rest:
        check_triptych(rest)

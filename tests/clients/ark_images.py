"""Reads the doubao fixtures with Ark's official client directly, then through Triptych, and compares the members that
Triptych and the client send.

    ark_images.py PATH_OF_TRIPTYCH

The name of a model is the name of a fixture in tests/fixtures/image/doubao.
"""

import base64
import io
import sys

from PIL import Image
from fake_provider import FIXTURES, fake_provider, generate_images, start_triptych
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime import _exceptions as errors

NAMES = sorted(path.name for path in (FIXTURES / "doubao").iterdir() if path.name != "README.md")


def size_of(encoded):
    image = Image.open(io.BytesIO(base64.b64decode(encoded)))
    image.load()
    return image.size


def check_client(base, received):
    """Reads the fixtures with the client. Returns the members of its requests."""
    client = Ark(api_key="k", base_url=f"{base}/api/v3", max_retries=0)

    def generate(name, **members):
        return client.images.generate(model=name, prompt="a boat", **members)

    response = generate("image.json", size="1320x825", response_format="b64_json", watermark=False)
    assert size_of(response.data[0].b64_json) == (1320, 825) and response.data[0].size == "1320x825", response.data[0].size
    assert (response.usage.generated_images, response.usage.total_tokens) == (1, 4254), response.usage
    assert "X-Tos-Expires=86400" in generate("link.json").data[0].url
    assert not generate("empty.json").data
    assert generate("blocked-in-success.json").error.code == "InputTextSensitiveContentDetected"
    events = list(generate("series.sse", stream=True, sequential_image_generation="auto"))
    kinds = [event.type.rsplit(".", 1)[1] for event in events]
    assert kinds == ["partial_succeeded", "partial_succeeded", "completed"], kinds
    assert [event.image_index for event in events[:2]] == [0, 1] and events[2].usage["total_tokens"] == 8508
    events = iter(generate("series-withheld.sse", stream=True))
    assert size_of(next(events).b64_json) == (1320, 825)
    try:
        raise AssertionError(f"a rejected image raised no error: {next(events)}")
    except errors.ArkAPIError as raised:  # the client ends the stream here, even if more events follow
        assert "second picture withheld" in str(raised), raised
    for name, (error, code) in {
        "size.400.json": (errors.ArkBadRequestError, "InvalidParameter"),
        "person.400.json": (errors.ArkBadRequestError, "InputImageSensitiveContentDetected.PrivacyInformation"),
        "invalid-key.401.json": (errors.ArkAuthenticationError, "AuthenticationError"),
        "overdue.403.json": (errors.ArkPermissionDeniedError, "AccountOverdueError"),
        "model.404.json": (errors.ArkNotFoundError, "InvalidEndpointOrModel.NotFound"),
        "rate.429.json": (errors.ArkRateLimitError, "RateLimitExceeded.EndpointRPMExceeded"),
        "internal-error.500.json": (errors.ArkInternalServerError, "InternalServiceError"),
    }.items():
        try:
            generate(name)
        except errors.ArkAPIStatusError as raised:
            assert type(raised) is error and raised.code == code, f"{name}: {raised!r}"
        else:
            raise AssertionError(f"{name} raised no error")
    print("  ok   the client reads the fixtures")
    return set().union(*(request for _, _, request in received))  # the client sends null for unset members


def check_triptych(rest, received, known):
    """Reads the fixtures through Triptych, which may only send members that the client has too."""
    del received[:]
    status, response = generate_images(rest, model="image.json", prompt="a boat", size="1792x1024", response_format="b64_json")
    assert status == 200 and size_of(response["data"][0]["b64_json"]) == (1792, 1024), response
    assert response["usage"]["total_tokens"] == 4254, response["usage"]
    path, headers, request = received[0]
    assert path == "/api/v3/images/generations" and headers["authorization"] == "Bearer k", (path, headers)
    assert set(request) <= known, set(request) - known
    status, response = generate_images(rest, model="image.json", prompt="a boat", n=2, size="64x64")
    assert status == 200 and len(response["data"]) == 2, response
    status, response = generate_images(rest, model="series-withheld.sse", prompt="a boat", n=2, size="64x64", sequential_image_generation="auto")
    assert status == 200 and [failure["code"] for failure in response["failures"]] == ["content_policy_violation"], response
    assert set(received[-1][2]) <= known, set(received[-1][2]) - known
    for name, expected in [
        ("withheld.json", (400, "OutputImageSensitiveContentDetected")), ("size.400.json", (400, "InvalidParameter")),
        ("invalid-key.401.json", (500, "provider_credentials")), ("overdue.403.json", (500, "provider_credentials")),
        ("rate.429.json", (429, "RateLimitExceeded.EndpointRPMExceeded")), ("internal-error.500.json", (502, "InternalServiceError")),
        ("html-page.json", (500, "upstream_unreadable")),
    ]:
        status, response = generate_images(rest, model=name, prompt="a boat")
        assert (status, response["error"]["code"]) == expected, f"{name}: {status} {response}"
    print("  ok   Triptych reads the fixtures, and sends the client's members")


if __name__ == "__main__":
    with fake_provider("doubao", lambda _, request: request["model"]) as (upstream, received):
        known = check_client(upstream, received)
        settings = {
            "IMAGE_SERVICE_TYPE": "doubao",
            "ARK_API_KEY": "k",
            "TRIPTYCH_IMAGE_DOUBAO_BASE_URL": f"{upstream}/api/v3",
            "TRIPTYCH_IMAGE_DOUBAO_MODELS": ",".join(NAMES),
        }
        with start_triptych(sys.argv[1], settings) as rest:
            check_triptych(rest, received, known)

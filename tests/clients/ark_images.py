"""Ark's own client reads the answers that the tests' scripted upstream plays, first from a server that plays them here;
then Triptych reads them from that server, and what it asked is held against what the client asks.

    ark_images.py PATH_OF_TRIPTYCH

The name of a model is the name of the answer: tests/fixtures/image/doubao holds them.
"""

import base64
import io
import sys

from PIL import Image
from playing import FIXTURES, generated, playing, triptych
from volcenginesdkarkruntime import Ark
from volcenginesdkarkruntime import _exceptions as errors

NAMES = sorted(path.name for path in (FIXTURES / "doubao").iterdir() if path.name != "README.md")


def sized(encoded):
    picture = Image.open(io.BytesIO(base64.b64decode(encoded)))
    picture.load()
    return picture.size


def direct(base, seen):
    """The fixtures as the client reads them, nothing in between; the members that it asks with."""
    client = Ark(api_key="k", base_url=f"{base}/api/v3", max_retries=0)

    def ask(name, **members):
        return client.images.generate(model=name, prompt="a boat", **members)

    made = ask("picture.json", size="1320x825", response_format="b64_json", watermark=False)
    assert sized(made.data[0].b64_json) == (1320, 825) and made.data[0].size == "1320x825", made.data[0].size
    assert (made.usage.generated_images, made.usage.total_tokens) == (1, 4254), made.usage
    assert "X-Tos-Expires=86400" in ask("link.json").data[0].url
    assert not ask("empty.json").data
    assert ask("blocked-in-success.json").error.code == "InputTextSensitiveContentDetected"
    events = list(ask("series.sse", stream=True, sequential_image_generation="auto"))
    kinds = [event.type.rsplit(".", 1)[1] for event in events]
    assert kinds == ["partial_succeeded", "partial_succeeded", "completed"], kinds
    assert [event.image_index for event in events[:2]] == [0, 1] and events[2].usage["total_tokens"] == 8508
    events = iter(ask("series-withheld.sse", stream=True))
    assert sized(next(events).b64_json) == (1320, 825)
    try:
        raise AssertionError(f"a refused picture was no failure: {next(events)}")
    except errors.ArkAPIError as raised:  # the client leaves the stream here, though others might follow
        assert "second picture withheld" in str(raised), raised
    for name, (error, code) in {
        "size.400.json": (errors.ArkBadRequestError, "InvalidParameter"),
        "person.400.json": (errors.ArkBadRequestError, "InputImageSensitiveContentDetected.PrivacyInformation"),
        "key.401.json": (errors.ArkAuthenticationError, "AuthenticationError"),
        "overdue.403.json": (errors.ArkPermissionDeniedError, "AccountOverdueError"),
        "model.404.json": (errors.ArkNotFoundError, "InvalidEndpointOrModel.NotFound"),
        "rate.429.json": (errors.ArkRateLimitError, "RateLimitExceeded.EndpointRPMExceeded"),
        "broken.500.json": (errors.ArkInternalServerError, "InternalServiceError"),
    }.items():
        try:
            ask(name)
        except errors.ArkAPIStatusError as raised:
            assert type(raised) is error and raised.code == code, f"{name}: {raised!r}"
        else:
            raise AssertionError(f"{name} was no failure")
    print("  ok   the client reads what the upstream plays")
    return set().union(*(request for _, _, request in seen))  # those that are not set are sent as null


def through(rest, seen, known):
    """The same with Triptych in between, and what it asked in members that the client has too."""
    del seen[:]
    status, made = generated(rest, model="picture.json", prompt="a boat", size="1792x1024", response_format="b64_json")
    assert status == 200 and sized(made["data"][0]["b64_json"]) == (1792, 1024), made
    assert made["usage"]["total_tokens"] == 4254, made["usage"]
    path, headers, request = seen[0]
    assert path == "/api/v3/images/generations" and headers["authorization"] == "Bearer k", (path, headers)
    assert set(request) <= known, set(request) - known
    status, some = generated(rest, model="picture.json", prompt="a boat", n=2, size="64x64")
    assert status == 200 and len(some["data"]) == 2, some
    status, some = generated(rest, model="series-withheld.sse", prompt="a boat", n=2, size="64x64", sequential_image_generation="auto")
    assert status == 200 and [failure["code"] for failure in some["failures"]] == ["content_policy_violation"], some
    assert set(seen[-1][2]) <= known, set(seen[-1][2]) - known
    for name, expected in [
        ("withheld.json", (400, "content_policy_violation")), ("size.400.json", (400, "upstream_refused")),
        ("key.401.json", (500, "provider_credentials")), ("overdue.403.json", (500, "provider_credentials")),
        ("rate.429.json", (429, "rate_limit_exceeded")), ("broken.500.json", (502, "upstream_unavailable")),
        ("page.json", (500, "upstream_unreadable")),
    ]:
        status, answer = generated(rest, model=name, prompt="a boat")
        assert (status, answer["error"]["code"]) == expected, f"{name}: {status} {answer}"
    print("  ok   Triptych reads the same, and asks in the client's words")


if __name__ == "__main__":
    with playing("doubao", lambda _, request: request["model"]) as (upstream, seen):
        known = direct(upstream, seen)
        settings = {
            "IMAGE_SERVICE_TYPE": "doubao",
            "ARK_API_KEY": "k",
            "TRIPTYCH_IMAGE_DOUBAO_BASE_URL": f"{upstream}/api/v3",
            "TRIPTYCH_IMAGE_DOUBAO_MODELS": ",".join(NAMES),
        }
        with triptych(sys.argv[1], settings) as rest:
            through(rest, seen, known)

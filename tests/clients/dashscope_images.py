"""DashScope's own client reads the answers that the tests' scripted upstream plays, first from a server that plays them
here; then Triptych reads them from that server, and what it asks is held against what the client asks.

    dashscope_images.py PATH_OF_TRIPTYCH

The name of a model is the name of the answer: tests/fixtures/image/dashscope holds them.
"""

import base64
import io
import sys

import dashscope
from PIL import Image
from playing import FIXTURES, generated, playing, triptych

NAMES = sorted(path.name for path in (FIXTURES / "dashscope").iterdir() if path.name != "README.md")
PATH = "/api/v1/services/aigc/multimodal-generation/generation"


def png():
    out = io.BytesIO()
    Image.radial_gradient("L").resize((1024, 640)).convert("RGB").save(out, "PNG")
    return out.getvalue()


def direct(base, seen):
    """The fixtures as the client reads them, nothing in between; what it asked."""
    dashscope.base_http_api_url = f"{base}/api/v1"

    def ask(name, **parameters):
        messages = [{"role": "user", "content": [{"text": "a boat"}]}]
        return dashscope.MultiModalConversation.call(api_key="k", model=name, messages=messages, **parameters)

    made = ask("picture.json", size="1792*1024", n=1, seed=7, watermark=False)
    asked = seen[-1]
    assert made.status_code == 200 and made.output.choices[0].finish_reason == "stop", made
    assert "/oss/1.png?Expires=" in made.output.choices[0].message.content[0]["image"]
    assert made.usage["image_count"] == 1, made.usage
    assert len(ask("two.json").output.choices[0].message.content) == 2
    assert [len(choice.message.content) for choice in ask("two-choices.json").output.choices] == [1, 1]
    for name in [name for name in NAMES if name.split(".")[-2].isdigit() and name.endswith(".json")]:
        refused = ask(name)
        assert refused.status_code == int(name.split(".")[-2]) and refused.code and refused.message, f"{name}: {refused}"
    print("  ok   the client reads what the upstream plays")
    return asked


def through(rest, seen, asked):
    """The same with Triptych in between, asked as the client asks."""
    del seen[:]
    status, made = generated(rest, model="picture.json", prompt="a boat", size="1792x1024", seed=7, response_format="b64_json")
    assert status == 200, made
    assert Image.open(io.BytesIO(base64.b64decode(made["data"][0]["b64_json"]))).size == (1792, 1024)
    (path, headers, request), (wanted_path, wanted_headers, wanted) = seen[0], asked
    headers, wanted_headers = ({name.lower(): value for name, value in each.items()} for each in (headers, wanted_headers))
    assert path == wanted_path == PATH and headers["authorization"] == wanted_headers["authorization"] == "Bearer k"
    assert request == wanted, f"{request} instead of {wanted}"
    status, some = generated(rest, model="two.json", prompt="a boat", n=2, size="64x64")
    assert status == 200 and len(some["data"]) == 2, some
    for name, expected in [
        ("blocked.400.json", (400, "content_policy_violation")), ("blocked-in-success.json", (400, "content_policy_violation")),
        ("size.400.json", (400, "upstream_refused")), ("arrears.400.json", (500, "provider_credentials")),
        ("key.401.json", (500, "provider_credentials")), ("rate.429.json", (429, "rate_limit_exceeded")),
        ("unavailable.503.json", (502, "upstream_unavailable")), ("page.json", (500, "upstream_unreadable")),
    ]:
        status, answer = generated(rest, model=name, prompt="a boat")
        assert (status, answer["error"]["code"]) == expected, f"{name}: {status} {answer}"
    print("  ok   Triptych reads the same, and asks in the client's words")


if __name__ == "__main__":
    with playing("dashscope", lambda _, request: request["model"], png()) as (upstream, seen):
        asked = direct(upstream, seen)
        settings = {
            "IMAGE_SERVICE_TYPE": "dashscope",
            "DASHSCOPE_API_KEY": "k",
            "TRIPTYCH_IMAGE_DASHSCOPE_BASE_URL": upstream,
            "TRIPTYCH_IMAGE_DASHSCOPE_MODELS": ",".join(NAMES),
        }
        with triptych(sys.argv[1], settings) as rest:
            through(rest, seen, asked)

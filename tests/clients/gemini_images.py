"""Reads the nano_banana fixtures with Google's official client directly, then through Triptych, and compares their
requests.

    gemini_images.py PATH_OF_TRIPTYCH

The name of a model is the name of a fixture in tests/fixtures/image/nano_banana.
"""

import base64
import io
import sys

from google import genai
from google.genai import errors, types
from PIL import Image
from fake_provider import FIXTURES, fake_provider, generate_images, start_triptych

NAMES = sorted(path.name for path in (FIXTURES / "nano_banana").iterdir() if path.name != "README.md")


def size_of(data):
    image = Image.open(io.BytesIO(data))
    image.load()
    return image.size


def check_client(base):
    """Reads the fixtures with the client."""
    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=base))
    config = types.GenerateContentConfig(
        response_modalities=["IMAGE"], image_config=types.ImageConfig(aspect_ratio="16:9", image_size="2K"), seed=7
    )

    def generate(name):
        return client.models.generate_content(model=name, contents="a boat", config=config)

    response = generate("image.json")
    draft, image = response.candidates[0].content.parts
    assert draft.thought and size_of(draft.inline_data.data) == (316, 212), draft
    assert not image.thought and size_of(image.inline_data.data) == (632, 424) and image.inline_data.mime_type == "image/png"
    usage = response.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (9, 1120, 60, 1189)
    assert generate("jpeg-and-text.json").candidates[0].content.parts[0].text == "A small boat on a wide lake."
    assert generate("edit.json").usage_metadata.prompt_tokens_details[1].modality == types.MediaModality.IMAGE
    for name, reason in [
        ("text-only.json", "STOP"), ("no-image.json", "NO_IMAGE"), ("generation-failed.json", "IMAGE_OTHER"), ("blocked-image.json", "IMAGE_SAFETY"),
        ("blocked-with-text.json", "PROHIBITED_CONTENT"), ("too-long.json", "MAX_TOKENS"), ("limited.json", "PUP_LIMITED_DISABLED"),
    ]:
        candidate = generate(name).candidates[0]
        assert candidate.finish_reason == types.FinishReason(reason), f"{name}: {candidate}"
        assert not any(part.inline_data for part in (candidate.content.parts if candidate.content else [])), name
    blocked = generate("blocked-prompt.json")
    assert not blocked.candidates and blocked.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    chunks = list(client.models.generate_content_stream(model="stream.sse", contents="a boat", config=config))
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert [bool(part.thought) for part in parts if part.inline_data] == [True, True, False], parts
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP and chunks[-1].usage_metadata.total_token_count == 1189
    for name, status in [
        ("invalid-key.400.json", "INVALID_ARGUMENT"), ("region.400.json", "FAILED_PRECONDITION"), ("size.400.json", "INVALID_ARGUMENT"),
        ("leaked-key.403.json", "PERMISSION_DENIED"), ("model.404.json", "NOT_FOUND"), ("rate.429.json", "RESOURCE_EXHAUSTED"),
        ("no-free-tier.429.json", "RESOURCE_EXHAUSTED"), ("internal-error.500.json", "INTERNAL"), ("overloaded.503.json", "UNAVAILABLE"),
        ("timeout.504.json", "DEADLINE_EXCEEDED"),
    ]:
        try:
            generate(name)
        except errors.APIError as error:
            assert (error.code, error.status) == (int(name.split(".")[1]), status), f"{name}: {error!r}"
        else:
            raise AssertionError(f"{name} raised no error")
    print("  ok   the client reads the fixtures")


def check_triptych(rest, received):
    """Reads the fixtures through Triptych, whose first request must be that of the client."""
    expected_request = received[0]
    del received[:]
    status, response = generate_images(rest, model="image.json", prompt="a boat", size="1792x1024", response_format="b64_json", seed=7)
    assert status == 200 and size_of(base64.b64decode(response["data"][0]["b64_json"])) == (1792, 1024), response
    assert response["usage"]["total_tokens"] == 1189, response["usage"]
    path, headers, request = received[0]
    assert path.endswith("/models/image.json:generateContent") and headers["x-goog-api-key"] == "k", (path, headers)
    assert request == expected_request[2], f"{request}, expected {expected_request[2]}"
    status, response = generate_images(rest, model="image.json", prompt="a boat", n=2, size="64x64")
    assert status == 200 and len(response["data"]) == 2, response
    for name, expected in [
        ("blocked-prompt.json", (400, "content_policy_violation")), ("text-only.json", (400, "upstream_refused")),
        ("invalid-key.400.json", (500, "provider_credentials")), ("rate.429.json", (429, "rate_limit_exceeded")),
        ("overloaded.503.json", (502, "upstream_unavailable")), ("html-page.json", (500, "upstream_unreadable")),
    ]:
        status, response = generate_images(rest, model=name, prompt="a boat")
        assert (status, response["error"]["code"]) == expected, f"{name}: {status} {response}"
    print("  ok   Triptych reads the fixtures, and sends the client's request")


if __name__ == "__main__":
    with fake_provider("nano_banana", lambda path, _: path.split("/models/")[1].split(":")[0]) as (upstream, received):
        check_client(upstream)
        settings = {
            "IMAGE_SERVICE_TYPE": "nano_banana",
            "GEMINI_API_KEY": "k",
            "TRIPTYCH_IMAGE_NANO_BANANA_BASE_URL": f"{upstream}/v1beta",
            "TRIPTYCH_IMAGE_NANO_BANANA_MODELS": ",".join(NAMES),
        }
        with start_triptych(sys.argv[1], settings) as rest:
            check_triptych(rest, received)

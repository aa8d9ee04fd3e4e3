"""Google's own client reads the answers that the tests' scripted upstream plays, first from a server that plays them
here; then Triptych reads them from that server, and asks it what the client had asked.

    gemini_images.py PATH_OF_TRIPTYCH

The name of a model is the name of the answer: tests/fixtures/image/nano_banana holds them.
"""

import base64
import io
import sys

from google import genai
from google.genai import errors, types
from PIL import Image
from playing import FIXTURES, generated, playing, triptych

NAMES = sorted(path.name for path in (FIXTURES / "nano_banana").iterdir() if path.name != "README.md")


def sized(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture.size


def direct(base):
    """The fixtures as the client reads them, nothing in between."""
    client = genai.Client(api_key="k", http_options=types.HttpOptions(base_url=base))
    config = types.GenerateContentConfig(
        response_modalities=["IMAGE"], image_config=types.ImageConfig(aspect_ratio="16:9", image_size="2K"), seed=7
    )

    def ask(name):
        return client.models.generate_content(model=name, contents="a boat", config=config)

    made = ask("picture.json")
    draft, picture = made.candidates[0].content.parts
    assert draft.thought and sized(draft.inline_data.data) == (316, 212), draft
    assert not picture.thought and sized(picture.inline_data.data) == (632, 424) and picture.inline_data.mime_type == "image/png"
    usage = made.usage_metadata
    assert (usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count, usage.total_token_count) == (9, 1120, 60, 1189)
    assert ask("jpeg-and-words.json").candidates[0].content.parts[0].text == "A small boat on a wide lake."
    assert ask("edit.json").usage_metadata.prompt_tokens_details[1].modality == types.MediaModality.IMAGE
    for name, reason in [
        ("words.json", "STOP"), ("no-image.json", "NO_IMAGE"), ("stumbled.json", "IMAGE_OTHER"), ("blocked-picture.json", "IMAGE_SAFETY"),
        ("blocked-with-words.json", "PROHIBITED_CONTENT"), ("too-long.json", "MAX_TOKENS"), ("limited.json", "PUP_LIMITED_DISABLED"),
    ]:
        candidate = ask(name).candidates[0]
        assert candidate.finish_reason == types.FinishReason(reason), f"{name}: {candidate}"
        assert not any(part.inline_data for part in (candidate.content.parts if candidate.content else [])), name
    blocked = ask("blocked-prompt.json")
    assert not blocked.candidates and blocked.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
    pieces = list(client.models.generate_content_stream(model="stream.sse", contents="a boat", config=config))
    parts = [part for piece in pieces for part in piece.candidates[0].content.parts]
    assert [bool(part.thought) for part in parts if part.inline_data] == [True, True, False], parts
    assert pieces[-1].candidates[0].finish_reason == types.FinishReason.STOP and pieces[-1].usage_metadata.total_token_count == 1189
    for name, status in [
        ("key.400.json", "INVALID_ARGUMENT"), ("region.400.json", "FAILED_PRECONDITION"), ("size.400.json", "INVALID_ARGUMENT"),
        ("leaked.403.json", "PERMISSION_DENIED"), ("model.404.json", "NOT_FOUND"), ("rate.429.json", "RESOURCE_EXHAUSTED"),
        ("nothing-free.429.json", "RESOURCE_EXHAUSTED"), ("broken.500.json", "INTERNAL"), ("overloaded.503.json", "UNAVAILABLE"),
        ("late.504.json", "DEADLINE_EXCEEDED"),
    ]:
        try:
            ask(name)
        except errors.APIError as error:
            assert (error.code, error.status) == (int(name.split(".")[1]), status), f"{name}: {error!r}"
        else:
            raise AssertionError(f"{name} was no failure")
    print("  ok   the client reads what the upstream plays")


def through(rest, seen):
    """The same with Triptych in between, which must ask as the client did in the first place."""
    asked = seen[0]
    del seen[:]
    status, made = generated(rest, model="picture.json", prompt="a boat", size="1792x1024", response_format="b64_json", seed=7)
    assert status == 200 and sized(base64.b64decode(made["data"][0]["b64_json"])) == (1792, 1024), made
    assert made["usage"]["total_tokens"] == 1189, made["usage"]
    path, headers, request = seen[0]
    assert path.endswith("/models/picture.json:generateContent") and headers["x-goog-api-key"] == "k", (path, headers)
    assert request == asked[2], f"{request} instead of {asked[2]}"
    status, some = generated(rest, model="picture.json", prompt="a boat", n=2, size="64x64")
    assert status == 200 and len(some["data"]) == 2, some
    for name, expected in [
        ("blocked-prompt.json", (400, "content_policy_violation")), ("words.json", (400, "upstream_refused")),
        ("key.400.json", (500, "provider_credentials")), ("rate.429.json", (429, "rate_limit_exceeded")),
        ("overloaded.503.json", (502, "upstream_unavailable")), ("page.json", (500, "upstream_unreadable")),
    ]:
        status, answer = generated(rest, model=name, prompt="a boat")
        assert (status, answer["error"]["code"]) == expected, f"{name}: {status} {answer}"
    print("  ok   Triptych reads the same, and asks in the client's words")


if __name__ == "__main__":
    with playing("nano_banana", lambda path, _: path.split("/models/")[1].split(":")[0]) as (upstream, seen):
        direct(upstream)
        settings = {
            "IMAGE_SERVICE_TYPE": "nano_banana",
            "GEMINI_API_KEY": "k",
            "TRIPTYCH_IMAGE_NANO_BANANA_BASE_URL": f"{upstream}/v1beta",
            "TRIPTYCH_IMAGE_NANO_BANANA_MODELS": ",".join(NAMES),
        }
        with triptych(sys.argv[1], settings) as rest:
            through(rest, seen)

"""Checks responses against the types of OpenAI's SDK, which OpenAI generates from its own description of the API.

    openapi_sdk.py PATH_OF_TRIPTYCH

Members of ours that OpenAI does not have are allowed; those that both have must have OpenAI's types. Starts Triptych on free ports.
"""

import json
import sys
import urllib.request

from fake_provider import start_triptych
from openai.types import ImageEditStreamEvent, ImageGenStreamEvent, ImagesResponse, Model, Video
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.video_delete_response import VideoDeleteResponse
from openapi_narrow import DATA_URL
from pydantic import TypeAdapter, ValidationError

HELLO = {"model": "offline-chat", "messages": [{"role": "user", "content": "Hello"}]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
ASK = {"model": "offline-chat", "messages": [{"role": "user", "content": "What is the weather in Paris?"}], "tools": [TOOL]}
PICTURE = {"prompt": "A boat", "size": "64x64", "n": 2}
CLIP = {"prompt": "A boat", "size": "64x64", "seconds": "1"}


def call(method, url, body=None):
    """Returns the text of a response."""
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read().decode()


def events(text):
    """Returns the data of the events of a stream as JSON."""
    return [line[6:] for line in text.splitlines() if line.startswith("data: ") and line != "data: [DONE]"]


checked = 0


def check(kind, text, but=()):
    """Validates JSON, strictly: a number is not a text. `but` are the members whose values may be other than OpenAI's."""
    global checked
    try:
        TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        wrong = [item for item in error.errors() if item["loc"][-1] not in but]
        assert not wrong, f"{kind}: {wrong} in {text[:500]}"
    checked += 1


def check_all(rest):
    for body in (HELLO, ASK, HELLO | {"n": 2, "max_tokens": 3}):
        check(ChatCompletion, call("POST", f"{rest}/chat/completions", body))
        for data in events(call("POST", f"{rest}/chat/completions", body | {"stream": True, "stream_options": {"include_usage": True}})):
            check(ChatCompletionChunk, data)
    for model in json.loads(call("GET", f"{rest}/models"))["data"]:
        check(Model, json.dumps(model))
        check(Model, call("GET", f"{rest}/models/{model['id']}"))
    # OpenAI's models have fixed sizes; ours have the requested ones.
    sizes = ("size",)
    for body in (PICTURE, PICTURE | {"response_format": "b64_json", "quality": "high", "background": "opaque"}):
        check(ImagesResponse, call("POST", f"{rest}/images/generations", body), but=sizes)
        check(ImagesResponse, call("POST", f"{rest}/images/edits", body | {"image": DATA_URL}), but=sizes)
    for data in events(call("POST", f"{rest}/images/generations", PICTURE | {"stream": True, "partial_images": 1})):
        check(ImageGenStreamEvent, data, but=sizes)
    for data in events(call("POST", f"{rest}/images/edits", PICTURE | {"image": DATA_URL, "stream": True, "partial_images": 1})):
        check(ImageEditStreamEvent, data, but=sizes)
    created = call("POST", f"{rest}/videos", CLIP)
    check(Video, created, but=sizes)
    url = f"{rest}/videos/{json.loads(created)['id']}"
    for data in events(call("GET", f"{url}/events")):
        check(Video, data, but=sizes)
    check(Video, call("GET", url), but=sizes)
    check(Video, call("POST", f"{url}/remix", {"prompt": "A ship"}), but=sizes)
    check(VideoDeleteResponse, call("DELETE", url))


def check_failure():
    """Asserts that the check finds a wrong type."""
    try:
        check(Model, '{"id": "a", "object": "model", "created": "1", "owned_by": "b"}')
    except AssertionError:
        return
    raise AssertionError("a wrong type was not found")


with start_triptych(sys.argv[1], {"TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND": "0"}) as rest:
    check_failure()
    check_all(rest)
print(f"  ok   {checked} responses and events have the types of OpenAI's SDK")

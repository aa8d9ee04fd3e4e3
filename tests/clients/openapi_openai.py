"""Checks responses and events against OpenAI's own OpenAPI description, and against Triptych's.

    openapi_openai.py PATH_OF_TRIPTYCH [DOCUMENT]

DOCUMENT is a file instead of Triptych's document that is served. Starts Triptych on free ports: first with its built-in engines, then with a chat upstream for what these do not generate.
"""

import json
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from fake_provider import start_triptych
from openai_description import Description, OwnDocument
from openai_upstream import SCRIPTS, chat_upstream
from openapi_narrow import DATA_URL

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
HELLO = {"model": "offline-chat", "messages": [{"role": "user", "content": "Hello"}]}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS, "strict": True}}
TOOLS = {"tools": [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}], "tool_choice": "required"}
FUNCTION = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": True}
CUSTOM = {"type": "custom", "name": "run_code", "description": "Runs code", "format": {"type": "text"}}
PICTURE = {"prompt": "A boat", "size": "64x64"}
CLIP = {"prompt": "A boat", "size": "64x64", "seconds": "1", "model": "sora-2"}
# The members that each response is created with, beside its model.
RESPONSES = [
    {"input": "Hello", "instructions": "Be brief.", "metadata": {"a": "b"}, "reasoning": {"effort": "low", "summary": "auto"}, "user": "u"},
    {"input": "Write a long story", "max_output_tokens": 16, "temperature": 0.5, "truncation": "auto", "store": False},
    {"input": "Paris", "text": {"format": {"type": "json_schema", "name": "place", "schema": PARAMETERS, "strict": True}}},
    {"input": "Weather?", "tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False},
    {"input": "Run it", "tools": [CUSTOM], "tool_choice": {"type": "custom", "name": "run_code"}},
    {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}, {"type": "input_image", "image_url": DATA_URL}]}]},
    {
        "input": "Draw a boat",
        "tools": [{"type": "image_generation", "size": "64x64", "partial_images": 1}],
        "tool_choice": {"type": "image_generation"},
    },
]


def call(method, url, body=None):
    """Returns the status and the text of a response."""
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, {"content-type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def events(text):
    """Returns the data of the events of a stream."""
    return [json.loads(data) for data in re.findall("^data: (.*)$", text, re.MULTILINE) if data != "[DONE]"]


class Client:
    """Sends requests to an endpoint of the description, and checks each response with it and with Triptych's own document."""

    def __init__(self, rest, description, document):
        self.rest, self.description = rest, description
        text = Path(document).read_text() if document else call("GET", f"{rest.removesuffix('/v1')}/openapi.json")[1]
        self.own = OwnDocument(json.loads(text))
        self.types = set()

    def send(self, method, path, body=None, identity="", query=""):
        """Returns the JSON of a response. `identity` replaces the parameter of the path."""
        url = self.rest + re.sub(r"{\w+}", identity, path) + query
        status, text = call(method.upper(), url, body)
        assert status == 200, text
        value = json.loads(text)
        self.description.check(self.description.of(method, path), value)
        self.own.check(method, path, "application/json", value)
        return value

    def stream(self, path, body):
        """Returns the events of a stream."""
        status, text = call("POST", self.rest + path, body | {"stream": True})
        assert status == 200, text
        return self.check_events(self.description.of("post", path, "text/event-stream"), "post", path, text)

    def check_events(self, schema, method, path, text):
        found = events(text)
        for event in found:
            self.description.check(schema, event)
            self.own.check(method, path, "text/event-stream", event)
            self.types.add(event.get("type"))
        return found

    def refused(self, status, method, path, body=None):
        """Checks an error."""
        got, text = call(method, self.rest + path, body)
        assert got == status, text
        self.description.check("ErrorResponse", json.loads(text))


def check_chat(client):
    for body in (HELLO, HELLO | TOOLS, HELLO | {"n": 2, "max_tokens": 3}, HELLO | {"response_format": SCHEMA}):
        client.send("post", "/chat/completions", body)
        client.stream("/chat/completions", body)
        client.stream("/chat/completions", body | {"stream_options": {"include_usage": True}})


def check_models(client):
    for model in client.send("get", "/models")["data"]:
        client.send("get", "/models/{model}", identity=model["id"])


def check_images(client):
    for path, more in (("/images/generations", {}), ("/images/edits", {"images": [{"image_url": DATA_URL}]})):
        for body in (PICTURE, PICTURE | {"n": 2, "response_format": "b64_json", "quality": "high", "output_format": "jpeg"}):
            client.send("post", path, body | more)
        client.stream(path, PICTURE | more | {"partial_images": 2})
    # The built-in engine has no previews of edits.
    assert {"image_generation.partial_image", "image_generation.completed", "image_edit.completed"} <= client.types, client.types


def check_responses(client, model, bodies):
    for body in bodies:
        response = client.send("post", "/responses", {"model": model} | body)
        if body.get("store", True):
            client.send("get", "/responses/{response_id}", identity=response["id"])
            client.send("get", "/responses/{response_id}/input_items", identity=response["id"])
        client.stream("/responses", {"model": model} | body)


def check_background(client):
    body = {"model": "offline-chat", "input": "Write a long story", "background": True}
    seen = client.stream("/responses", body)
    identity = seen[0]["response"]["id"]
    _, text = call("GET", f"{client.rest}/responses/{identity}?stream=true&starting_after=2")
    assert client.check_events("ResponseStreamEvent", "get", "/responses/{response_id}", text) == [event for event in seen if event["sequence_number"] > 2]
    waiting = [client.send("post", "/responses", body) for _ in range(3)]
    assert waiting[0]["status"] == "queued"
    client.send("post", "/responses/{response_id}/cancel", identity=waiting[2]["id"])
    deadline = time.monotonic() + 60
    while client.send("get", "/responses/{response_id}", identity=waiting[1]["id"])["status"] != "completed":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    failed = client.stream("/responses", body | {"model": "offline-chat-fault-cut", "background": False})
    assert failed[-1]["type"] == "response.failed", failed[-1]
    client.send("get", "/responses/{response_id}", identity=failed[-1]["response"]["id"])


def check_videos(client):
    def finish(video):
        deadline = time.monotonic() + 120
        while video["status"] in ("queued", "in_progress"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
            video = client.send("get", "/videos/{video_id}", identity=video["id"])
        return video

    video = finish(client.send("post", "/videos", CLIP))
    assert video["status"] == "completed", video
    source = {"prompt": "A ship", "video": {"id": video["id"]}}
    made = [client.send("post", "/videos/{video_id}/remix", {"prompt": "A ship"}, video["id"])]
    made += [client.send("post", "/videos/edits", source), client.send("post", "/videos/extensions", source | {"seconds": "1"})]
    failed = finish(client.send("post", "/videos", CLIP | {"model": "offline-video-fault-fails"}))
    assert failed["status"] == "failed", failed
    assert client.send("get", "/videos")["data"]
    for one in (*made, video):
        client.send("delete", "/videos/{video_id}", identity=one["id"])


def check_upstream(client):
    include = {"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}
    for script in SCRIPTS:
        body = {"model": "m", "messages": [{"role": "user", "content": script}], "logprobs": True}
        message = client.send("post", "/chat/completions", body)["choices"][0]["message"]
        assert message["content"] or message["refusal"], message
        client.stream("/chat/completions", body)
    check_responses(client, "m", [{"input": script} | include for script in SCRIPTS])
    check_responses(client, "m", [{"input": "reason", "reasoning": {"summary": "auto"}}])
    for kind in ("refusal.delta", "reasoning_text.done", "reasoning_summary_text.done", "output_text.annotation.added"):
        assert f"response.{kind}" in client.types, client.types


def check_errors(client):
    client.refused(400, "POST", "/chat/completions", HELLO | {"n": 0})
    client.refused(404, "POST", "/chat/completions", HELLO | {"model": "no-such-model"})
    client.refused(429, "POST", "/chat/completions", HELLO | {"model": "offline-chat-fault-429"})
    client.refused(502, "POST", "/responses", {"model": "offline-chat-fault-500", "input": "Hello"})
    client.refused(400, "POST", "/responses", {"model": "offline-chat", "input": "Hello", "tools": [{"type": "web_search"}]})
    client.refused(400, "POST", "/images/generations", {"prompt": ""})
    for path in ("/models/no-such-model", "/responses/resp_0", "/videos/video_0", "/embeddings"):
        client.refused(404, "GET", path)


def check_failure(description):
    """Asserts that a missing member and a wrong type are found."""
    model = {"id": "a", "object": "model", "created": 1, "owned_by": "b"}
    delta = {"type": "response.refusal.delta", "item_id": "a", "output_index": 0, "content_index": 0, "delta": "b"}
    for schema, wrong in (("Model", model | {"created": "1"}), ("ResponseStreamEvent", delta), ("ResponseStreamEvent", {"type": "response.x"})):
        try:
            description.check(schema, wrong)
        except AssertionError:
            continue
        raise AssertionError(f"not found: {wrong}")


def main(program, document=None):
    description = Description()
    check_failure(description)
    with start_triptych(program, {"TRIPTYCH_OFFLINE_CHAT_TOKENS_PER_SECOND": "0"}) as rest:
        client = Client(rest, description, document)
        # Each type of event has its own schema.
        client.own.refuse("post", "/responses", "text/event-stream", {"type": "response.x", "sequence_number": 0})
        client.own.refuse("post", "/responses", "text/event-stream", {"type": "response.output_text.delta", "sequence_number": 0})
        for check in (check_models, check_chat, check_images, check_background, check_errors, check_videos):
            check(client)
        check_responses(client, "offline-chat", RESPONSES)
    with chat_upstream() as upstream, start_triptych(program, {"CHAT_BASE_URL": upstream, "CHAT_MODEL": "m"}) as rest:
        check_upstream(Client(rest, description, document))
    description.finish()
    counts = description.counts
    print(f"  ok   {sum(counts.values())} responses and events are valid by {len(counts)} schemas of OpenAI's description")


main(*sys.argv[1:])

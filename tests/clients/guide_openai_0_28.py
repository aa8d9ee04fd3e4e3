"""Runs every Python code block of the compatibility guide (see `guide_file.py`) unchanged, with the SDK `openai` 0.28.

The blocks get `image_base64` and `requests`, which the guide uses without defining them, real messages in place of `[...]`,
and a name resolution that sends its two host names to the server under test. Each block is checked by the responses that
it received.

    guide_openai_0_28.py                all blocks
    guide_openai_0_28.py images         those that generate images, with whichever provider is connected
    guide_openai_0_28.py videos CLIP    those that generate videos, with a provider whose videos begin with this file
"""

import base64
import contextlib
import io
import os
import pathlib
import re
import socket
import sys
import time

import guide_file
import openai
import requests
from common import REST, check_image, check_video, sample_png
from PIL import Image

# The pattern that the code of the selected blocks contains, and the file of the argument CLIP.
MODE = sys.argv[1] if len(sys.argv) > 1 else ""
SELECTION = {"images": r"openai\.Image|/images/", "videos": "/videos"}.get(MODE, "")
CLIP = pathlib.Path(sys.argv[2]).read_bytes() if MODE == "videos" else None
# A request without a size gets that of the built-in engine; other providers choose their own.
DEFAULT_SIZE = None if MODE == "images" else (1024, 1024)
HOSTS = {"localhost": 8000, "another-server": 8000}
MESSAGES = '[{"role": "user", "content": "Hello"}]'


def blocks(text):
    """Yields each Python code block with the heading above it."""
    matches = re.finditer(r"^#+ (.+)$|^```python\n([\s\S]*?)^```", text, re.M)
    heading = ""
    for match in matches:
        if match[1]:
            heading = match[1]
        else:
            yield heading, match[2]


def redirect_hosts():
    """Makes the guide's host names resolve to the server under test, and others fail."""
    original = socket.getaddrinfo
    address, port = REST.removeprefix("http://").split(":")

    def resolve(host, wanted, *rest, **kwargs):
        if HOSTS.get(host) == wanted:
            host, wanted = address, int(port)
        assert host == address, f"the guide's code connects to another host: {host}"
        return original(host, wanted, *rest, **kwargs)

    socket.getaddrinfo = resolve


class Recorder:
    """Records the SDK's HTTP exchanges."""

    def __init__(self):
        self.exchanges = []
        original = requests.Session.request

        def record(session, method, url, **kwargs):
            response = original(session, method, url, **kwargs)
            self.exchanges.append((method.upper(), url, response))
            return response

        requests.Session.request = record

    def responses(self, method, path):
        """Returns the bodies of the responses to requests with this method and with a path that begins so. All must be 200."""
        found = [response for verb, url, response in self.exchanges if verb == method and url.split("/v1")[-1].startswith(path)]
        for response in found:
            assert response.status_code == 200, f"{response.status_code} {response.text}"
            assert response.headers["x-request-id"], response.headers
        return [response.json() for response in found]


recorder = Recorder()
# The variables of the code blocks.
names = {"__name__": "guide", "requests": requests, "image_base64": base64.b64encode(sample_png()).decode()}


def fetch(url):
    assert url.startswith("http"), f"not an absolute URL: {url}"
    response = requests.get(url)
    assert response.status_code == 200, (url, response.status_code)
    return response.content


# The checks of `EXPECTED`, or functions that return one. A check gets the text that its block has printed.


def chat_responses(count):
    def check(printed):
        responses = recorder.responses("POST", "/chat/completions")
        assert len(responses) == count, f"{len(responses)} responses"
        for response in responses:
            assert response["choices"][0]["message"]["content"].strip()
            assert response["usage"]["total_tokens"] == response["usage"]["prompt_tokens"] + response["usage"]["completion_tokens"]

    return check


def prints_the_response(count):
    def check(printed):
        chat_responses(count)(printed)
        assert names["response"].choices[0].message.content.strip() in printed

    return check


def response_of_at_most_500_tokens(printed):
    prints_the_response(1)(printed)
    assert names["response"].usage.completion_tokens <= 500


def images(*sizes):
    def check(printed):
        responses = recorder.responses("POST", "/images/generations")
        assert len(responses) == len(sizes)
        for response, size in zip(responses, sizes):
            assert isinstance(response["created"], int) and len(response["data"]) == 1, response.keys()
            item = response["data"][0]
            data = base64.b64decode(item["b64_json"], validate=True) if "b64_json" in item else fetch(item["url"])
            check_image(data, size)

    return check


def prints_the_image_url(printed):
    assert names["image_url"] in printed
    images((1024, 1024))(printed)


def saves_the_image(printed):
    images((1024, 1024))(printed)
    assert Image.open("output.png").size == (1024, 1024)


def video_is_completed(printed):
    (created,) = recorder.responses("POST", "/videos")
    polled = recorder.responses("GET", "/videos/")
    assert created["status"] in ("queued", "in_progress") and created["progress"] == 0, created
    progress = [created["progress"]] + [response["progress"] for response in polled]
    assert progress == sorted(progress) and progress[-1] == 100, progress
    assert polled[-1]["status"] == "completed" and polled[-1]["video_url"] in printed, polled[-1]
    if CLIP:
        assert fetch(polled[-1]["video_url"]).startswith(CLIP), "not the video of the provider"
        return
    facts = check_video(fetch(polled[-1]["video_url"]), (1920, 1080), 5)
    print(f"       video: {facts.frames} frames, {facts.seconds} s, progress {progress} %", flush=True)


def prints_no_error(printed):
    chat_responses(1)(printed)
    assert "error" not in printed and "exceeded" not in printed, printed


def retry_is_not_needed(printed):
    response = names["chat_with_retry"]([{"role": "user", "content": "Hello"}])
    assert response.choices[0].message.content.strip()


def environment_is_not_read(printed):
    assert openai.api_base == "http://localhost:8000/v1" and openai.api_key == "not-needed"


def other_server_is_called(printed):
    chat_responses(1)(printed)
    assert recorder.exchanges[0][1].startswith("http://another-server:8000/"), recorder.exchanges


def sends_a_request(printed):
    assert recorder.exchanges, "the block sent no request"


def sends_nothing(printed):
    assert not recorder.exchanges, recorder.exchanges


def complete_example(printed):
    chat_responses(1)(printed)
    assert names["prompt"].strip() and "Image generated!" in printed
    images((1024, 1024))(printed)
    video_is_completed(printed)


def run_streaming_block(source):
    """Runs the streaming block, which has no model, so that the SDK rejects it before it sends anything, as the block's
    comment says. Then runs it with a model."""
    try:
        exec(compile(source, "guide", "exec"), names)
        raise AssertionError("the SDK accepted a call without a model")
    except openai.error.InvalidRequestError as refused:
        assert "model" in str(refused)
    loop = source[source.index("for chunk in") :].replace("...,", f'model="gpt-4", messages={MESSAGES},')
    exec(compile(loop, "guide", "exec"), names)
    assert names["chunk"].choices[0].finish_reason == "stop"


# One row for each block in the guide's order: its heading, and the check of its outcome.
EXPECTED = [
    ("2. Configure API Base", sends_nothing),
    ("Basic Usage", prints_the_response(1)),
    ("With Temperature", response_of_at_most_500_tokens),
    ("Conversation Context", prints_the_response(2)),
    ("Basic Usage", prints_the_image_url),
    ("Different Sizes", images((256, 256), (1792, 1024), (1024, 1792))),
    ("Base64 Response", saves_the_image),
    ("High Quality", images((1024, 1024))),
    ("Basic Usage", video_is_completed),
    ("Custom Wrapper", video_is_completed),
    ("Standard Error Format", prints_no_error),
    ("Retry with Backoff", retry_is_not_needed),
    ("Environment Variables", environment_is_not_read),
    ("Per-Request Configuration", other_server_is_called),
    ("1. No API Key Required (Development)", sends_nothing),
    ("2. Model Names", chat_responses(2)),
    ("3. Image Services", images(DEFAULT_SIZE, DEFAULT_SIZE)),
    ("4. Video Generation", sends_nothing),
    ("5. Streaming", sends_a_request),
    ("From OpenAI to This API", sends_nothing),
    ("From OpenAI to This API", sends_nothing),
    ("From OpenAI to This API", sends_nothing),
    ("To OpenAI from This API", sends_nothing),
    ("Complete Example", complete_example),
]


def check_other_features():
    """Checks features of the SDK that the guide does not use: error classes, async calls, engines."""
    import asyncio

    hello = [{"role": "user", "content": "Hello"}]
    for model, expected, status in [
        ("offline-chat-fault-429", openai.error.RateLimitError, 429),
        ("offline-chat-fault-500", openai.error.APIError, 502),
        ("no-such-model", openai.error.InvalidRequestError, 404),
    ]:
        try:
            openai.ChatCompletion.create(model=model, messages=hello)
            raise AssertionError(f"{model} did not fail")
        except expected as error:
            assert error.http_status == status, error.http_status
            assert type(error) is expected, type(error)
    try:
        openai.Image.create(prompt="x", size="0x0")
        raise AssertionError("an image of size 0x0 was generated")
    except openai.error.InvalidRequestError as error:
        assert error.param == "size", error.param

    chunks = list(openai.ChatCompletion.create(model="gpt-4", messages=hello, stream=True))
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[-1].choices[0].finish_reason == "stop"
    by_engine = openai.ChatCompletion.create(engine="gpt-4", messages=hello)
    assert by_engine.choices[0].message.content

    async def streamed():
        stream = await openai.ChatCompletion.acreate(model="gpt-4", messages=hello, stream=True)
        return "".join([chunk.choices[0].delta.get("content", "") async for chunk in stream])

    assert asyncio.run(streamed()).strip()
    aborted = openai.ChatCompletion.create(model="offline-chat-fault-cut", messages=hello, stream=True)
    try:
        list(aborted)
        raise AssertionError("an aborted stream looked complete")
    except openai.error.APIError as error:
        assert "cut" in str(error), error


def wait_less():
    """Shortens the waits between polls: these videos are finished at once."""
    wait = time.sleep
    time.sleep = lambda seconds: wait(min(seconds, 0.3))


def run():
    found = list(blocks(guide_file.path().read_text()))
    assert [heading for heading, _ in found] == [heading for heading, _ in EXPECTED], "the guide's headings have changed: " + str([h for h, _ in found])
    for name in ("OPENAI_API_BASE", "OPENAI_API_KEY"):
        os.environ.pop(name, None)
    redirect_hosts()
    if CLIP:
        wait_less()
    for number, ((heading, source), (_, check)) in enumerate(zip(found, EXPECTED), 1):
        if check is not sends_nothing and not re.search(SELECTION, source):
            continue
        source = source.replace("[...]", MESSAGES)
        recorder.exchanges.clear()
        printed, start = io.StringIO(), time.monotonic()
        with contextlib.redirect_stdout(printed):
            run_streaming_block(source) if heading == "5. Streaming" else exec(compile(source, heading, "exec"), names)
        check(printed.getvalue())
        print(f"  ok   block {number:2} of {len(found)}: {heading} ({time.monotonic() - start:.1f} s)", flush=True)
    if SELECTION:
        return
    check_other_features()
    print("  ok   other features: error classes, streaming, async, engines", flush=True)


run()

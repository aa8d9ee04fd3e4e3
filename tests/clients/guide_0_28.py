"""Runs every Python block of the customer's compatibility guide, as it stands there, with the SDK it was written for.

Supplied around the blocks: `image_base64` and `requests`, which the guide uses without defining them, real messages
where it writes `[...]`, and an address book that sends its two host names to the server under test. Each block's real
outcome is then checked, from the answers that went over the wire.

    guide_0_28.py [pictures]    all of it, or what makes pictures, with whichever provider makes them
"""

import base64
import contextlib
import io
import os
import re
import socket
import sys
import time

import guide
import openai
import requests
from checks import REST, clip, picture, png
from PIL import Image

PICTURES = sys.argv[1:] == ["pictures"]
# Who asks for no size gets that of the built-in engine, or whatever another provider thinks best.
UNASKED = None if PICTURES else (1024, 1024)
HOSTS = {"localhost": 8000, "another-server": 8000}
MESSAGES = '[{"role": "user", "content": "Hello"}]'


def blocks(text):
    """Each Python block with the heading above it."""
    pieces = re.finditer(r"^#+ (.+)$|^```python\n([\s\S]*?)^```", text, re.M)
    heading = ""
    for piece in pieces:
        if piece[1]:
            heading = piece[1]
        else:
            yield heading, piece[2]


def send_its_hosts_here():
    real = socket.getaddrinfo
    address, port = REST.removeprefix("http://").split(":")

    def resolve(host, wanted, *rest, **named):
        if HOSTS.get(host) == wanted:
            host, wanted = address, int(port)
        assert host == address, f"the guide's code would leave this machine for {host}"
        return real(host, wanted, *rest, **named)

    socket.getaddrinfo = resolve


class Wire:
    """Every exchange since the last look."""

    def __init__(self):
        self.exchanges = []
        real = requests.Session.request

        def record(session, method, url, **named):
            answer = real(session, method, url, **named)
            self.exchanges.append((method.upper(), url, answer))
            return answer

        requests.Session.request = record

    def answers(self, method, path):
        found = [answer for verb, url, answer in self.exchanges if verb == method and url.split("/v1")[-1].startswith(path)]
        for answer in found:
            assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
            assert answer.headers["x-request-id"], answer.headers
        return [answer.json() for answer in found]


wire = Wire()
names = {"__name__": "guide", "requests": requests, "image_base64": base64.b64encode(png()).decode()}


def fetch(url):
    assert url.startswith("http"), f"not absolute: {url}"
    answer = requests.get(url)
    assert answer.status_code == 200, (url, answer.status_code)
    return answer.content


def chats(count):
    def check(printed):
        answers = wire.answers("POST", "/chat/completions")
        assert len(answers) == count, f"{len(answers)} answers"
        for answer in answers:
            assert answer["choices"][0]["message"]["content"].strip()
            assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]

    return check


def prints_the_answer(count):
    def check(printed):
        chats(count)(printed)
        assert names["response"].choices[0].message.content.strip() in printed

    return check


def with_at_most_500_tokens(printed):
    prints_the_answer(1)(printed)
    assert names["response"].usage.completion_tokens <= 500


def pictures(*sizes):
    def check(printed):
        answers = wire.answers("POST", "/images/generations")
        assert len(answers) == len(sizes)
        for answer, size in zip(answers, sizes):
            assert isinstance(answer["created"], int) and len(answer["data"]) == 1, answer.keys()
            item = answer["data"][0]
            data = base64.b64decode(item["b64_json"], validate=True) if "b64_json" in item else fetch(item["url"])
            picture(data, size)

    return check


def an_image_url(printed):
    assert names["image_url"] in printed
    pictures((1024, 1024))(printed)


def a_saved_file(printed):
    pictures((1024, 1024))(printed)
    assert Image.open("output.png").size == (1024, 1024)


def a_clip(printed):
    (created,) = wire.answers("POST", "/videos")
    polled = wire.answers("GET", "/videos/")
    assert created["status"] in ("queued", "in_progress") and created["progress"] == 0, created
    progress = [created["progress"]] + [answer["progress"] for answer in polled]
    assert progress == sorted(progress) and progress[-1] == 100, progress
    assert polled[-1]["status"] == "completed" and polled[-1]["video_url"] in printed, polled[-1]
    facts = clip(fetch(polled[-1]["video_url"]), (1920, 1080), 5)
    print(f"       clip: {facts.frames} frames, {facts.seconds} s, seen at {progress} %", flush=True)


def no_error(printed):
    chats(1)(printed)
    assert "error" not in printed and "exceeded" not in printed, printed


def a_retry_that_need_not(printed):
    answer = names["chat_with_retry"]([{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content.strip()


def an_environment_that_changes_nothing(printed):
    assert openai.api_base == "http://localhost:8000/v1" and openai.api_key == "not-needed"


def another_server(printed):
    chats(1)(printed)
    assert wire.exchanges[0][1].startswith("http://another-server:8000/"), wire.exchanges


def nothing_sent(printed):
    assert not wire.exchanges, wire.exchanges


def the_whole_example(printed):
    chats(1)(printed)
    assert names["prompt"].strip() and "Image generated!" in printed
    pictures((1024, 1024))(printed)
    a_clip(printed)


def the_streaming_block(source):
    """It names no model, which the SDK refuses before it sends anything: what the block's comment promises. What it
    stands for must work nevertheless, so it is run again with a model."""
    try:
        exec(compile(source, "guide", "exec"), names)
        raise AssertionError("the old SDK took a call without a model")
    except openai.error.InvalidRequestError as refused:
        assert "model" in str(refused)
    loop = source[source.index("for chunk in") :].replace("...,", f'model="gpt-4", messages={MESSAGES},')
    exec(compile(loop, "guide", "exec"), names)
    assert names["chunk"].choices[0].finish_reason == "stop"


# One row for each block, in the guide's order: its heading, what its outcome must be.
EXPECTED = [
    ("2. Configure API Base", nothing_sent),
    ("Basic Usage", prints_the_answer(1)),
    ("With Temperature", with_at_most_500_tokens),
    ("Conversation Context", prints_the_answer(2)),
    ("Basic Usage", an_image_url),
    ("Different Sizes", pictures((256, 256), (1792, 1024), (1024, 1792))),
    ("Base64 Response", a_saved_file),
    ("High Quality", pictures((1024, 1024))),
    ("Basic Usage", a_clip),
    ("Custom Wrapper", a_clip),
    ("Standard Error Format", no_error),
    ("Retry with Backoff", a_retry_that_need_not),
    ("Environment Variables", an_environment_that_changes_nothing),
    ("Per-Request Configuration", another_server),
    ("1. No API Key Required (Development)", nothing_sent),
    ("2. Model Names", chats(2)),
    ("3. Image Services", pictures(UNASKED, UNASKED)),
    ("4. Video Generation", nothing_sent),
    ("5. Streaming", lambda printed: wire.exchanges or 1 / 0),
    ("From OpenAI to This API", nothing_sent),
    ("From OpenAI to This API", nothing_sent),
    ("From OpenAI to This API", nothing_sent),
    ("To OpenAI from This API", nothing_sent),
    ("Complete Example", the_whole_example),
]


def beyond_the_guide():
    """What callers of the old SDK do besides: its error classes, its async half, its engines."""
    import asyncio

    hello = [{"role": "user", "content": "Hello"}]
    for model, expected, status in [
        ("offline-chat-fault-429", openai.error.RateLimitError, 429),
        ("offline-chat-fault-500", openai.error.APIError, 502),
        ("no-such-model", openai.error.InvalidRequestError, 404),
    ]:
        try:
            openai.ChatCompletion.create(model=model, messages=hello)
            raise AssertionError(f"{model} answered")
        except expected as error:
            assert error.http_status == status, error.http_status
            assert type(error) is expected, type(error)
    try:
        openai.Image.create(prompt="x", size="0x0")
        raise AssertionError("a picture without pixels")
    except openai.error.InvalidRequestError as error:
        assert error.param == "size", error.param

    pieces = list(openai.ChatCompletion.create(model="gpt-4", messages=hello, stream=True))
    assert pieces[0].choices[0].delta.role == "assistant" and pieces[-1].choices[0].finish_reason == "stop"
    by_engine = openai.ChatCompletion.create(engine="gpt-4", messages=hello)
    assert by_engine.choices[0].message.content

    async def streamed():
        stream = await openai.ChatCompletion.acreate(model="gpt-4", messages=hello, stream=True)
        return "".join([piece.choices[0].delta.get("content", "") async for piece in stream])

    assert asyncio.run(streamed()).strip()
    cut = openai.ChatCompletion.create(model="offline-chat-fault-cut", messages=hello, stream=True)
    try:
        list(cut)
        raise AssertionError("a cut stream looked whole")
    except openai.error.APIError as error:
        assert "cut" in str(error), error


def run():
    found = list(blocks(guide.path().read_text()))
    assert [heading for heading, _ in found] == [heading for heading, _ in EXPECTED], "the guide has changed: " + str([h for h, _ in found])
    for name in ("OPENAI_API_BASE", "OPENAI_API_KEY"):
        os.environ.pop(name, None)
    send_its_hosts_here()
    for number, ((heading, source), (_, check)) in enumerate(zip(found, EXPECTED), 1):
        if PICTURES and check is not nothing_sent and "openai.Image" not in source and "/images/" not in source:
            continue
        source = source.replace("[...]", MESSAGES)
        wire.exchanges.clear()
        printed, start = io.StringIO(), time.monotonic()
        with contextlib.redirect_stdout(printed):
            the_streaming_block(source) if heading == "5. Streaming" else exec(compile(source, heading, "exec"), names)
        check(printed.getvalue())
        print(f"  ok   block {number:2} of {len(found)}: {heading} ({time.monotonic() - start:.1f} s)", flush=True)
    if PICTURES:
        return
    beyond_the_guide()
    print("  ok   beyond the guide: error classes, streaming, async, engines", flush=True)


run()

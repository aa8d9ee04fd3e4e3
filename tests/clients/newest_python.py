"""Today's official Python SDK, as its own documentation uses it, with nothing changed but the base URL."""

import asyncio
import base64
import io
import json
import time

import openai
import requests
from checks import REST, clip, main, picture, png
from PIL import Image
from pydantic import BaseModel

MODEL = "qwen3-next-80b-a3b-instruct"
HELLO = [{"role": "user", "content": "Hello"}]
SMALL = {"size": "320x180", "seconds": "1"}

client = openai.OpenAI(base_url=f"{REST}/v1", api_key="not-needed", max_retries=0, timeout=120)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather at a place",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}


def refused(error, status, call, **expected):
    try:
        call()
    except openai.APIStatusError as raised:
        assert type(raised) is error, type(raised)
        assert raised.status_code == status and raised.request_id, (raised.status_code, raised.request_id)
        for name, value in expected.items():
            assert getattr(raised, name) == value, f"{name}: {getattr(raised, name)!r}"
        return raised
    raise AssertionError(f"it was not refused with {status}")


def a_chat_is_answered():
    answer = client.chat.completions.create(model=MODEL, messages=HELLO, temperature=0, seed=1)
    assert answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL and answer.object == "chat.completion" and answer._request_id
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    again = client.chat.completions.create(model=MODEL, messages=HELLO, temperature=0, seed=1)
    assert again.choices[0].message.content == answer.choices[0].message.content
    short = client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=3, n=2)
    assert [choice.finish_reason for choice in short.choices] == ["length", "length"]
    assert short.usage.completion_tokens == 6, short.usage


def a_chat_is_streamed_with_its_usage():
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}, seed=1)
    chunks = list(stream)
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    whole = client.chat.completions.create(model=MODEL, messages=HELLO, seed=1)
    assert text == whole.choices[0].message.content
    plain = list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert all(len(chunk.choices) == 1 for chunk in plain)


def tools_make_their_round_trip():
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], tool_choice="required")
    call = answer.choices[0].message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert call.id and call.type == "function" and call.function.name == "get_weather"
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("c", "f"), arguments
    assert answer.choices[0].finish_reason == "tool_calls"
    messages += [answer.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'}]
    after = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert after.choices[0].message.content and after.choices[0].finish_reason == "stop"


def a_streamed_tool_call_is_put_together_by_the_sdk():
    with client.chat.completions.stream(model=MODEL, messages=HELLO, tools=[WEATHER], tool_choice="required") as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert set(json.loads(message.tool_calls[0].function.arguments)) == {"city", "unit"}


class Step(BaseModel):
    explanation: str
    output: str


class Solution(BaseModel):
    steps: list[Step]
    final_answer: str
    certain: bool


def a_reply_is_parsed_into_a_model():
    answer = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Solution)
    assert isinstance(answer.choices[0].message.parsed, Solution), answer


def every_answer_has_an_id_of_its_own():
    raw = [client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO) for _ in range(2)]
    ids = {answer.request_id for answer in raw}
    assert len(ids) == 2 and None not in ids, ids
    named = client.models.with_raw_response.list(extra_headers={"x-request-id": "mine-1"})
    assert named.request_id == "mine-1"


def errors_have_the_class_their_status_promises():
    chat = client.chat.completions
    refused(openai.NotFoundError, 404, lambda: chat.create(model="qwen3-next", messages=HELLO), code="model_not_found", param="model", type="invalid_request_error")
    refused(openai.BadRequestError, 400, lambda: chat.create(model=MODEL, messages=[]), param="messages")
    refused(openai.BadRequestError, 400, lambda: chat.create(model=MODEL, messages=HELLO, n=-1), param="n")
    slow = refused(openai.RateLimitError, 429, lambda: chat.create(model="offline-chat-fault-429", messages=HELLO), code="rate_limit_exceeded", type="rate_limit_error")
    assert slow.response.headers["retry-after"] == "2", slow.response.headers
    refused(openai.InternalServerError, 502, lambda: chat.create(model="offline-chat-fault-500", messages=HELLO), type="server_error")
    refused(openai.NotFoundError, 404, lambda: client.embeddings.create(model="x", input="y"), code="unsupported_endpoint")
    refused(openai.NotFoundError, 404, lambda: client.videos.retrieve("video_none"), code="video_not_found")
    refused(openai.BadRequestError, 400, lambda: client.images.generate(prompt="x", size="0x0"), param="size")
    refused(openai.BadRequestError, 400, lambda: client.videos.create(prompt="x", seconds="-1"), param="seconds")


def a_rate_limit_is_waited_out_by_the_sdk():
    start = time.monotonic()
    retrying = client.with_options(max_retries=1)
    refused(openai.RateLimitError, 429, lambda: retrying.chat.completions.create(model="offline-chat-fault-429", messages=HELLO))
    assert 2 <= time.monotonic() - start < 6


def an_error_within_a_stream_is_raised():
    received = []
    try:
        for chunk in client.chat.completions.create(model="offline-chat-fault-cut", messages=HELLO, stream=True):
            received.append(chunk)
    except openai.APIError as error:
        assert "cut" in error.message, error
    else:
        raise AssertionError("a cut stream looked whole")
    assert received


def a_stream_can_be_left():
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    a_chat_is_answered()


def a_timeout_is_the_callers():
    try:
        client.with_options(timeout=0.5).chat.completions.create(model="offline-chat-fault-slow", messages=HELLO)
    except openai.APITimeoutError:
        return
    raise AssertionError("the slow fault was quick")


def the_async_client_does_the_same_at_once():
    async def all_at_once():
        async with openai.AsyncOpenAI(base_url=f"{REST}/v1", api_key="k", max_retries=0) as many:
            answers = await asyncio.gather(*(many.chat.completions.create(model=MODEL, messages=HELLO) for _ in range(20)))
            stream = await many.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            return answers, [chunk async for chunk in stream]

    answers, chunks = asyncio.run(all_at_once())
    assert len(answers) == 20 and all(answer.choices[0].message.content for answer in answers)
    assert chunks[-1].choices[0].finish_reason == "stop"


def pictures_come_as_links_and_as_text():
    linked = client.images.generate(prompt="A lighthouse in a storm", size="512x512")
    answer = requests.get(linked.data[0].url)
    assert answer.headers["content-type"] == "image/png" and linked.data[0].b64_json is None
    picture(answer.content, (512, 512))
    inline = client.images.generate(prompt="雪山日出", size="640x384", n=2, response_format="b64_json", quality="high", output_format="jpeg")
    assert len(inline.data) == 2 and inline.data[0].url is None
    for item in inline.data:
        picture(base64.b64decode(item.b64_json, validate=True), (640, 384), "JPEG")


def previews_come_before_the_picture():
    events = list(client.images.generate(prompt="A quiet harbour", size="512x512", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    picture(base64.b64decode(events[-1].b64_json), (512, 512))


def an_edit_stays_within_its_mask():
    source = png((256, 256))
    mask = Image.new("RGBA", (256, 256), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (128, 0, 256, 256))
    encoded = io.BytesIO()
    mask.save(encoded, "PNG")
    answer = client.images.edit(image=io.BytesIO(source), mask=encoded.getvalue(), prompt="A red sun over the sea", size="256x256", response_format="b64_json")
    edited = picture(base64.b64decode(answer.data[0].b64_json), (256, 256)).convert("RGB")
    original = Image.open(io.BytesIO(source)).convert("RGB")
    left, right = (0, 0, 100, 256), (156, 0, 256, 256)
    assert list(edited.crop(left).getdata()) == list(original.crop(left).getdata()), "it painted beside the mask"
    assert list(edited.crop(right).getdata()) != list(original.crop(right).getdata()), "it painted nothing"


def a_video_lives_its_whole_life():
    reference = ("start.png", png(), "image/png")
    video = client.videos.create_and_poll(prompt="A slow pan to the left", input_reference=reference, poll_interval_ms=200, **SMALL)
    assert (video.status, video.progress, video.size, video.seconds, video.error) == ("completed", 100, "320x180", "1", None), video
    for member in ("id", "object", "model", "created_at", "completed_at", "expires_at", "prompt", "remixed_from_video_id", "video_url"):
        assert hasattr(video, member), member
    data = client.videos.download_content(video.id).read()
    clip(data, (320, 180), 1)
    assert requests.get(video.video_url).content == data
    thumbnail = client.videos.download_content(video.id, variant="thumbnail").read()
    Image.open(io.BytesIO(thumbnail)).load()
    Image.open(io.BytesIO(client.videos.download_content(video.id, variant="spritesheet").read())).load()
    refused(openai.BadRequestError, 400, lambda: client.videos.download_content(video.id, variant="hologram"), param="variant")

    remix = client.videos.remix(video.id, prompt="Now zoom in")
    assert remix.remixed_from_video_id == video.id and remix.id != video.id
    refused(openai.BadRequestError, 400, lambda: client.videos.download_content(remix.id), code="video_not_ready")
    assert client.videos.poll(remix.id, poll_interval_ms=200).status == "completed"

    page = client.videos.list(limit=1)
    assert [item.id for item in page.data] == [remix.id] and page.has_more
    assert video.id in [item.id for item in client.videos.list(limit=2)], "the second page is not reached"
    oldest = client.videos.list(order="asc", limit=100)
    assert [item.created_at for item in oldest.data] == sorted(item.created_at for item in oldest.data)

    deleted = client.videos.delete(video.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (video.id, "video.deleted", True)
    refused(openai.NotFoundError, 404, lambda: client.videos.retrieve(video.id), code="video_not_found")
    assert requests.get(video.video_url).status_code == 404


def a_video_needs_no_picture_and_any_file_will_do():
    plain = client.videos.create_and_poll(prompt="Waves at night", **SMALL)
    nameless = client.videos.create_and_poll(prompt="Waves at night", input_reference=io.BytesIO(png()), **SMALL)
    assert plain.status == nameless.status == "completed"
    refused(openai.BadRequestError, 400, lambda: client.videos.create(prompt="x", input_reference=b"not a picture", **SMALL), param="input_reference")


def a_polite_poll_is_told_when_to_come_back():
    raw = client.videos.with_raw_response.create(prompt="Clouds", size="1280x720", seconds="4")
    poll = client.videos.with_raw_response.retrieve(raw.parse().id)
    if poll.parse().status in ("queued", "in_progress"):
        assert int(poll.headers["openai-poll-after-ms"]) > 0
    client.videos.delete(raw.parse().id)
    refused(openai.NotFoundError, 404, lambda: client.videos.retrieve(raw.parse().id))


def models_are_listed_and_found():
    models = client.models.list().data
    assert MODEL in [model.id for model in models] and len(models) >= 3
    for model in models:
        assert model.object == "model" and isinstance(model.created, int) and model.owned_by
        assert client.models.retrieve(model.id).id == model.id
    refused(openai.NotFoundError, 404, lambda: client.models.retrieve("no/such"), code="model_not_found")


main([test for name, test in list(globals().items()) if callable(test) and getattr(test, "__module__", "") == "__main__" and name not in ("refused", "Step", "Solution")])

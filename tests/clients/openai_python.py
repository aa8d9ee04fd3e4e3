"""OpenAI's current Python SDK, with only the base URL changed."""

import asyncio
import base64
import io
import json
import time

import openai
import requests
from common import REST, check_image, check_video, run_tests, sample_png
from PIL import Image
from pydantic import BaseModel

MODEL = "qwen3-next-80b-a3b-instruct"
HELLO = [{"role": "user", "content": "Hello"}]
# A video that renders quickly.
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


def assert_fails(error, status, call, **expected):
    try:
        call()
    except openai.APIStatusError as raised:
        assert type(raised) is error, type(raised)
        assert raised.status_code == status and raised.request_id, (raised.status_code, raised.request_id)
        for name, value in expected.items():
            assert getattr(raised, name) == value, f"{name}: {getattr(raised, name)!r}"
        return raised
    raise AssertionError(f"the call did not fail with {status}")


def test_chat_completion_is_returned():
    response = client.chat.completions.create(model=MODEL, messages=HELLO, temperature=0, seed=1)
    assert response.choices[0].message.content and response.choices[0].finish_reason == "stop"
    assert response.model == MODEL and response.object == "chat.completion" and response._request_id
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens > 0
    again = client.chat.completions.create(model=MODEL, messages=HELLO, temperature=0, seed=1)
    assert again.choices[0].message.content == response.choices[0].message.content
    short = client.chat.completions.create(model=MODEL, messages=HELLO, max_completion_tokens=3, n=2)
    assert [choice.finish_reason for choice in short.choices] == ["length", "length"]
    assert short.usage.completion_tokens == 6, short.usage


def test_chat_completion_is_streamed_with_usage():
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, stream_options={"include_usage": True}, seed=1)
    chunks = list(stream)
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks[:-1])
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    unary = client.chat.completions.create(model=MODEL, messages=HELLO, seed=1)
    assert text == unary.choices[0].message.content
    plain = list(client.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert all(len(chunk.choices) == 1 for chunk in plain)


def test_tool_call_makes_the_round_trip():
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    response = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], tool_choice="required")
    call = response.choices[0].message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert call.id and call.type == "function" and call.function.name == "get_weather"
    assert set(arguments) == {"city", "unit"} and arguments["unit"] in ("c", "f"), arguments
    assert response.choices[0].finish_reason == "tool_calls"
    messages += [response.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": '{"degrees": 21}'}]
    after = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert after.choices[0].message.content and after.choices[0].finish_reason == "stop"


def test_streamed_tool_call_is_assembled_by_the_sdk():
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


def test_structured_output_is_parsed():
    response = client.chat.completions.parse(model=MODEL, messages=HELLO, response_format=Solution)
    assert isinstance(response.choices[0].message.parsed, Solution), response


def test_every_response_has_its_own_request_id():
    raw = [client.chat.completions.with_raw_response.create(model=MODEL, messages=HELLO) for _ in range(2)]
    ids = {response.request_id for response in raw}
    assert len(ids) == 2 and None not in ids, ids
    named = client.models.with_raw_response.list(extra_headers={"x-request-id": "mine-1"})
    assert named.request_id == "mine-1"


def test_errors_raise_the_class_of_their_status():
    chat = client.chat.completions
    assert_fails(openai.NotFoundError, 404, lambda: chat.create(model="qwen3-next", messages=HELLO), code="model_not_found", param="model", type="invalid_request_error")
    assert_fails(openai.BadRequestError, 400, lambda: chat.create(model=MODEL, messages=[]), param="messages")
    assert_fails(openai.BadRequestError, 400, lambda: chat.create(model=MODEL, messages=HELLO, n=-1), param="n")
    slow = assert_fails(openai.RateLimitError, 429, lambda: chat.create(model="offline-chat-fault-429", messages=HELLO), code="rate_limit_exceeded", type="rate_limit_error")
    assert slow.response.headers["retry-after"] == "2", slow.response.headers
    assert_fails(openai.InternalServerError, 502, lambda: chat.create(model="offline-chat-fault-500", messages=HELLO), type="server_error")
    assert_fails(openai.NotFoundError, 404, lambda: client.embeddings.create(model="x", input="y"), code="unsupported_endpoint")
    assert_fails(openai.NotFoundError, 404, lambda: client.videos.retrieve("video_none"), code="video_not_found")
    assert_fails(openai.BadRequestError, 400, lambda: client.images.generate(prompt="x", size="0x0"), param="size")
    assert_fails(openai.BadRequestError, 400, lambda: client.videos.create(prompt="x", seconds="-1"), param="seconds")


def test_retry_after_is_honoured_by_the_sdk():
    start = time.monotonic()
    retrying = client.with_options(max_retries=1)
    assert_fails(openai.RateLimitError, 429, lambda: retrying.chat.completions.create(model="offline-chat-fault-429", messages=HELLO))
    assert 2 <= time.monotonic() - start < 6


def test_error_within_a_stream_is_raised():
    received = []
    try:
        for chunk in client.chat.completions.create(model="offline-chat-fault-cut", messages=HELLO, stream=True):
            received.append(chunk)
    except openai.APIError as error:
        assert "cut" in error.message, error
    else:
        raise AssertionError("an aborted stream looked complete")
    assert received


def test_stream_can_be_closed_early():
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    test_chat_completion_is_returned()


def test_client_timeout_is_raised():
    try:
        client.with_options(timeout=0.5).chat.completions.create(model="offline-chat-fault-slow", messages=HELLO)
    except openai.APITimeoutError:
        return
    raise AssertionError("the slow model responded in time")


def test_async_client_sends_concurrent_calls():
    async def concurrent_calls():
        async with openai.AsyncOpenAI(base_url=f"{REST}/v1", api_key="k", max_retries=0) as async_client:
            responses = await asyncio.gather(*(async_client.chat.completions.create(model=MODEL, messages=HELLO) for _ in range(20)))
            stream = await async_client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            return responses, [chunk async for chunk in stream]

    responses, chunks = asyncio.run(concurrent_calls())
    assert len(responses) == 20 and all(response.choices[0].message.content for response in responses)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_images_are_returned_as_links_and_as_base64():
    linked = client.images.generate(prompt="A lighthouse in a storm", size="512x512")
    response = requests.get(linked.data[0].url)
    assert response.headers["content-type"] == "image/png" and linked.data[0].b64_json is None
    check_image(response.content, (512, 512))
    inline = client.images.generate(prompt="雪山日出", size="640x384", n=2, response_format="b64_json", quality="high", output_format="jpeg")
    assert len(inline.data) == 2 and inline.data[0].url is None
    for item in inline.data:
        check_image(base64.b64decode(item.b64_json, validate=True), (640, 384), "JPEG")


def test_previews_precede_the_final_image():
    events = list(client.images.generate(prompt="A quiet harbour", size="512x512", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert [event.partial_image_index for event in events[:2]] == [0, 1]
    check_image(base64.b64decode(events[-1].b64_json), (512, 512))


def test_edit_changes_only_the_masked_area():
    source = sample_png((256, 256))
    mask = Image.new("RGBA", (256, 256), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (128, 0, 256, 256))
    encoded = io.BytesIO()
    mask.save(encoded, "PNG")
    response = client.images.edit(image=io.BytesIO(source), mask=encoded.getvalue(), prompt="A red sun over the sea", size="256x256", response_format="b64_json")
    edited = check_image(base64.b64decode(response.data[0].b64_json), (256, 256)).convert("RGB")
    original = Image.open(io.BytesIO(source)).convert("RGB")
    # The mask is transparent from the middle on. Both areas keep a distance from its edge.
    left, right = (0, 0, 100, 256), (156, 0, 256, 256)
    assert list(edited.crop(left).getdata()) == list(original.crop(left).getdata()), "pixels outside of the mask have changed"
    assert list(edited.crop(right).getdata()) != list(original.crop(right).getdata()), "no pixel within the mask has changed"


def test_video_is_created_downloaded_remixed_listed_and_deleted():
    reference = ("start.png", sample_png(), "image/png")
    video = client.videos.create_and_poll(prompt="A slow pan to the left", input_reference=reference, poll_interval_ms=200, **SMALL)
    assert (video.status, video.progress, video.size, video.seconds, video.error) == ("completed", 100, "320x180", "1", None), video
    for member in ("id", "object", "model", "created_at", "completed_at", "expires_at", "prompt", "remixed_from_video_id", "video_url"):
        assert hasattr(video, member), member
    data = client.videos.download_content(video.id).read()
    check_video(data, (320, 180), 1)
    assert requests.get(video.video_url).content == data
    thumbnail = client.videos.download_content(video.id, variant="thumbnail").read()
    Image.open(io.BytesIO(thumbnail)).load()
    Image.open(io.BytesIO(client.videos.download_content(video.id, variant="spritesheet").read())).load()
    assert_fails(openai.BadRequestError, 400, lambda: client.videos.download_content(video.id, variant="hologram"), param="variant")

    remix = client.videos.remix(video.id, prompt="Now zoom in")
    assert remix.remixed_from_video_id == video.id and remix.id != video.id
    assert_fails(openai.BadRequestError, 400, lambda: client.videos.download_content(remix.id), code="video_not_ready")
    assert client.videos.poll(remix.id, poll_interval_ms=200).status == "completed"

    page = client.videos.list(limit=1)
    assert [item.id for item in page.data] == [remix.id] and page.has_more
    assert video.id in [item.id for item in client.videos.list(limit=2)], "the second page was not requested"
    oldest = client.videos.list(order="asc", limit=100)
    assert [item.created_at for item in oldest.data] == sorted(item.created_at for item in oldest.data)

    deleted = client.videos.delete(video.id)
    assert (deleted.id, deleted.object, deleted.deleted) == (video.id, "video.deleted", True)
    assert_fails(openai.NotFoundError, 404, lambda: client.videos.retrieve(video.id), code="video_not_found")
    assert requests.get(video.video_url).status_code == 404


def test_video_is_edited_and_extended_by_its_id_and_as_a_file():
    # The SDK's types have `video={"id": ...}`, but its check for files refuses it before sending.
    def by_id(path, **members):
        return client.post(path, body=members, cast_to=type(source))

    source = client.videos.create_and_poll(prompt="Pan left", poll_interval_ms=200, **SMALL)
    edit = by_id("/videos/edits", prompt="Zoom in", video={"id": source.id})
    assert (edit.object, edit.model, edit.size, edit.seconds, edit.remixed_from_video_id) == ("video", source.model, "320x180", "1", None), edit
    data = client.videos.download_content(source.id).read()
    extension = client.videos.extend(prompt="Pan right", seconds="4", video=("clip.mp4", data, "video/mp4"))
    assert (extension.size, extension.seconds) == ("320x180", "4"), extension
    of_file = client.videos.edit(prompt="Zoom out", video=io.BytesIO(data))
    for video, seconds in ((edit, 1), (extension, 4), (of_file, 1)):
        assert client.videos.poll(video.id, poll_interval_ms=200).status == "completed"
        check_video(client.videos.download_content(video.id).read(), (320, 180), seconds)
    assert_fails(openai.NotFoundError, 404, lambda: by_id("/videos/edits", prompt="x", video={"id": "video_unknown"}), code="video_not_found")
    assert_fails(openai.BadRequestError, 400, lambda: client.videos.edit(prompt="x", video=("clip.mp4", b"not a video")), param="video")
    assert_fails(openai.BadRequestError, 400, lambda: by_id("/videos/extensions", prompt="x", seconds="61", video={"id": source.id}), param="seconds")


def test_video_reference_is_optional_and_may_be_a_nameless_file():
    plain = client.videos.create_and_poll(prompt="Waves at night", **SMALL)
    nameless = client.videos.create_and_poll(prompt="Waves at night", input_reference=io.BytesIO(sample_png()), **SMALL)
    assert plain.status == nameless.status == "completed"
    assert_fails(openai.BadRequestError, 400, lambda: client.videos.create(prompt="x", input_reference=b"not a picture", **SMALL), param="input_reference")


def test_video_frames_and_further_parameters_are_sent_beside_the_sdk():
    def frame(end):
        url = f"data:image/png;base64,{base64.b64encode(sample_png()).decode()}"
        return {"type": "image_url", "image_url": {"url": url}, "frame_type": end}

    def create(**members):
        return client.videos.create_and_poll(prompt="Waves", extra_body={"resolution": "144p", "duration": 1, **members})

    video = create(frame_images=[frame("first_frame")], aspect_ratio="9:16", seed=7)
    assert (video.status, video.size, video.seconds, video.aspect_ratio) == ("completed", "144x256", "1", "9:16"), video
    both = [frame("first_frame"), frame("last_frame")]
    for frames in (both, json.dumps(both)):
        assert create(frame_images=frames).status == "completed"
    with_sound = create(generate_audio=True)
    assert with_sound.generate_audio and not hasattr(with_sound, "adjustments"), with_sound
    # The built-in engine ignores negative prompts.
    assert_fails(openai.BadRequestError, 400, lambda: create(negative_prompt="people", fit_policy="strict"), param="negative_prompt")
    nearest = create(negative_prompt="people")
    assert [(one["field"], one["requested"]) for one in nearest.adjustments] == [("negative_prompt", "people")], nearest


def test_poll_response_has_a_poll_interval():
    raw = client.videos.with_raw_response.create(prompt="Clouds", size="1280x720", seconds="4")
    poll = client.videos.with_raw_response.retrieve(raw.parse().id)
    if poll.parse().status in ("queued", "in_progress"):
        assert int(poll.headers["openai-poll-after-ms"]) > 0
    client.videos.delete(raw.parse().id)
    assert_fails(openai.NotFoundError, 404, lambda: client.videos.retrieve(raw.parse().id))


def test_models_are_listed_and_retrieved():
    models = client.models.list().data
    assert MODEL in [model.id for model in models] and len(models) >= 3
    for model in models:
        assert model.object == "model" and isinstance(model.created, int) and model.owned_by
        assert client.models.retrieve(model.id).id == model.id
    assert_fails(openai.NotFoundError, 404, lambda: client.models.retrieve("no/such"), code="model_not_found")


run_tests(globals())

"""The Responses API with OpenAI's current Python SDK. Every document and event is also validated strictly with the models of the SDK:
no member may be missing, and none may be there that the models do not have."""

import asyncio
import base64
import json
import time

import openai
import pydantic
import requests
from common import REST, check_image, run_tests
from openai.types.responses import Response, ResponseItem, ResponseStreamEvent

MODEL = "qwen3-next-80b-a3b-instruct"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather at a place",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
    "strict": True,
}
IMAGE = {"type": "image_generation", "size": "256x256", "output_format": "png"}
# Members that OpenAI's API sends and the models of the SDK do not have.
NOT_IN_MODELS = {("Response", "store"), ("ResponseFunctionCallArgumentsDoneEvent", "name")}
# Members that OpenAI's API does not have.
OWN = {("ResponseUsage", "cost")}

client = openai.OpenAI(base_url=f"{REST}/v1", api_key="not-needed", max_retries=0, timeout=120)
responses, items, events = (pydantic.TypeAdapter(kind) for kind in (Response, ResponseItem, ResponseStreamEvent))


def check_known(value):
    """Fails for a member that a model of the SDK does not have."""
    if isinstance(value, pydantic.BaseModel):
        name = type(value).__name__
        unknown = {(name, member) for member in value.model_extra or {}} - NOT_IN_MODELS - OWN
        assert not unknown, unknown
        for member in type(value).model_fields:
            check_known(getattr(value, member))
    elif isinstance(value, list):
        for item in value:
            check_known(item)


def strict(adapter, text):
    """Validates a JSON text strictly, and returns its model."""
    model = adapter.validate_json(text, strict=True)
    check_known(model)
    return model


def raw_stream(response):
    """Validates the raw events of a response, their order and their names; returns the models."""
    assert response.status_code == 200, response.text
    found = []
    for block in response.text.removesuffix("\n\n").split("\n\n"):
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        model = strict(events, data.removeprefix("data: "))
        assert name == f"event: {model.type}", name
        assert model.sequence_number == len(found) + (found[0].sequence_number if found else model.sequence_number), block
        found.append(model)
    return found


def post(body):
    return requests.post(f"{REST}/v1/responses", json={"model": MODEL} | body, timeout=120)


def create(**body):
    """Creates a response with the SDK, and validates its text."""
    raw = client.responses.with_raw_response.create(model=MODEL, **body)
    strict(responses, raw.http_response.text)
    return raw.parse()


def assert_refused(status, code, **body):
    try:
        client.responses.create(model=MODEL, **body)
    except openai.APIStatusError as error:
        assert error.status_code == status and error.request_id, error
        assert code in (None, error.code), error.code
        return error
    raise AssertionError(f"the call did not fail with {status}")


def test_text_is_returned_and_stored():
    response = create(input="Hello", instructions="Be brief.", metadata={"a": "b"}, max_output_tokens=200)
    assert response.output_text and response.status == "completed" and response.model == MODEL
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
    stored = client.responses.with_raw_response.retrieve(response.id)
    assert strict(responses, stored.http_response.text).output_text == response.output_text
    page = client.responses.input_items.list(response.id)
    assert page.data[0].content[0].text == "Hello"
    raw = requests.get(f"{REST}/v1/responses/{response.id}/input_items", timeout=60).json()
    for item in raw["data"]:
        strict(items, json.dumps(item))
    client.responses.delete(response.id)
    try:
        client.responses.retrieve(response.id)
        raise AssertionError("the response was not deleted")
    except openai.NotFoundError as error:
        assert error.code == "response_not_found", error.code


def test_text_is_streamed_with_every_event():
    found = raw_stream(post({"input": "Hello", "stream": True}))
    assert [event.type for event in found[:4]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert found[-1].type == "response.completed" and found[-1].response.usage.output_tokens > 0
    text = "".join(event.delta for event in found if event.type == "response.output_text.delta")
    assert text == found[-1].response.output_text
    with client.responses.stream(model=MODEL, input="Hello") as stream:
        for event in stream:
            assert event.type
        assert stream.get_final_response().output_text == text


def test_response_at_the_token_limit_is_incomplete_with_its_reason():
    response = create(input="Hello", max_output_tokens=16)
    if response.status == "incomplete":
        assert response.incomplete_details.reason == "max_output_tokens"
    found = raw_stream(post({"input": "Write a long story", "max_output_tokens": 16, "stream": True}))
    assert found[-1].type == "response.incomplete", found[-1].type


def test_structured_output_is_parsed():
    class Answer(pydantic.BaseModel):
        title: str
        tags: list[str]
        count: int

    response = client.responses.parse(model=MODEL, input="Describe a boat", text_format=Answer)
    assert isinstance(response.output_parsed, Answer), response.output_text
    with client.responses.stream(model=MODEL, input="Describe a boat", text_format=Answer) as stream:
        for _ in stream:
            pass
        assert isinstance(stream.get_final_response().output_parsed, Answer)


def test_function_calls_make_the_round_trip():
    first = create(input="What is the weather in Paris?", tools=[WEATHER], tool_choice="required")
    calls = [item for item in first.output if item.type == "function_call"]
    assert calls and json.loads(calls[0].arguments)["unit"] in ("c", "f")
    outputs = [{"type": "function_call_output", "call_id": call.call_id, "output": '{"degrees": 21}'} for call in calls]
    second = create(input=outputs, tools=[WEATHER], previous_response_id=first.id)
    assert second.output_text and second.previous_response_id == first.id
    # The whole conversation in the input.
    conversation = [{"role": "user", "content": "What is the weather in Paris?"}, *first.output, *outputs]
    assert create(input=conversation, tools=[WEATHER], store=False).output_text
    found = raw_stream(post({"input": "Weather?", "tools": [WEATHER], "tool_choice": "required", "stream": True}))
    assert "response.function_call_arguments.done" in [event.type for event in found]


def test_conversation_continues_over_three_turns():
    previous = None
    for text in ("I am Ada.", "I like boats.", "Who am I?"):
        response = create(input=text, previous_response_id=previous)
        previous = response.id
    error = assert_refused(400, "previous_response_not_found", input="Hi", previous_response_id=f"resp_{'0' * 48}")
    assert error.param == "previous_response_id"


def test_background_response_is_polled_resumed_and_cancelled():
    response = create(input="Hello", background=True)
    assert response.status == "queued"
    deadline = time.monotonic() + 60
    while response.status in ("queued", "in_progress"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        response = client.responses.retrieve(response.id)
    assert response.status == "completed" and response.output_text

    stream = client.responses.create(model=MODEL, input="Write a long story", background=True, stream=True)
    seen = []
    for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    stream.close()
    assert [event.type for event in seen[:3]] == ["response.created", "response.queued", "response.in_progress"]
    identity, last = seen[0].response.id, seen[-1].sequence_number
    rest = list(client.responses.retrieve(identity, stream=True, starting_after=last))
    assert rest[0].sequence_number == last + 1 and rest[-1].type == "response.completed"
    every = raw_stream(requests.get(f"{REST}/v1/responses/{identity}?stream=true", timeout=60))
    assert [event.type for event in every] == [event.type for event in seen + rest]
    assert client.responses.cancel(identity).status == "completed"

    running = create(input="Write a long story", background=True)
    cancelled = client.responses.with_raw_response.cancel(running.id)
    assert strict(responses, cancelled.http_response.text).status in ("cancelled", "completed")
    try:
        client.responses.cancel(create(input="Hello").id)
        raise AssertionError("a response that is not in the background was cancelled")
    except openai.BadRequestError:
        pass


def test_hosted_tool_generates_an_image():
    forced = {"type": "image_generation"}
    response = create(input="Draw a lighthouse", tools=[IMAGE], tool_choice=forced)
    calls = [item for item in response.output if item.type == "image_generation_call"]
    assert calls[0].status == "completed", response.output
    check_image(base64.b64decode(calls[0].result), (256, 256))
    tool = IMAGE | {"partial_images": 1}
    found = raw_stream(post({"input": "Draw a boat", "tools": [tool], "tool_choice": forced, "stream": True}))
    types = [event.type for event in found]
    for kind in ("in_progress", "generating", "partial_image", "completed"):
        assert f"response.image_generation_call.{kind}" in types, types
    assert types[-1] == "response.completed"


def test_unsupported_tools_and_endpoints_are_refused_by_name():
    for tool in ({"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}, {"type": "code_interpreter", "container": {"type": "auto"}}):
        assert tool["type"] in assert_refused(400, None, input="Hi", tools=[tool]).message
    assert "conversation" in assert_refused(400, None, input="Hi", conversation="conv_1").message
    for call in (lambda: client.conversations.create(), lambda: client.responses.input_tokens.count(model=MODEL, input="Hi")):
        try:
            call()
            raise AssertionError("it is served")
        except openai.NotFoundError as error:
            assert error.code == "unsupported_endpoint", error.code


def test_asynchronous_client_streams_several_responses_at_once():
    async def run():
        async with openai.AsyncOpenAI(base_url=f"{REST}/v1", api_key="not-needed", max_retries=0, timeout=120) as other:

            async def one(number):
                stream = await other.responses.create(model=MODEL, input=f"Count to {number}", stream=True)
                return [event.type async for event in stream][-1]

            assert set(await asyncio.gather(*map(one, range(8)))) == {"response.completed"}

    asyncio.run(run())


if __name__ == "__main__":
    run_tests(globals())

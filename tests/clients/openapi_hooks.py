"""Checks that schemathesis makes in addition to its own, and the rules of the API that a schema cannot express. `openapi.py` names
this module in SCHEMATHESIS_HOOKS."""

import json
import os
import re

import schemathesis
from schemathesis.specs.openapi.checks import negative_data_rejection

# Refusals of requests that are valid by the document: the `param` or `code` of the error, its message, and the reason.
STATE = "depends on the state of the object"
ENGINE = "a limit of the built-in engine, not of the API"
CONTENT = "depends on other members, or on the content of a file"
REFUSALS = [
    (r"video_not_ready", r"is not ready", STATE),
    (r"name", r"belongs to a key (of the configuration|that was revoked)", STATE),
    (r"id", r"belongs to|cannot be sent again", STATE),
    (r"video", r"was not completed|is not ready|no longer|has no file|was cancelled", STATE),
    (r"url", r"at most \d+ endpoints", STATE),
    (r"(start|end)_date", r"must not be (before|after)", CONTENT),
    (r"logprobs|top_logprobs", r"built-in engine", ENGINE),
    (r"tools.*|response_format.*", r"schema|Schema", ENGINE),
    (r"tool_choice(\.name)?", r"must not be `required` without `tools`|must name a function|is not one of `tools`|expected `tools`", CONTENT),
    (r"input\[\d+\]\.call_id", r"no call with this id precedes", CONTENT),
    (r"frame_images.*", r"already an image for this end", CONTENT),
    (r"input_reference.*|frame_images.*", r"cannot be combined|accepts sounds only beside|must be", CONTENT),
    (r".*", r"the model `offline-video`", "`fit_policy` is `strict`, or the inputs are those of another model"),
    (r"image", r"at most 16 images", "`image` and `image[]` together"),
    (r"limits\.models.*", r"must have 1 to 256 bytes", "JSON Schema counts characters"),
]
# Requests that are invalid by the document and accepted: what schemathesis says about them, and the reason.
ACCEPTANCES = [
    (r"unexpected properties", "other headers than those of the document are ignored"),
]


def _events(response):
    """Returns the names and the data of the complete events of a stream."""
    events = []
    for block in response.content.decode().split("\n\n")[:-1]:
        fields = [line.partition(": ")[::2] for line in block.split("\n") if not line.startswith(":")]
        if fields:
            events.append((dict(fields).get("event"), "\n".join(value for name, value in fields if name == "data")))
    return events


@schemathesis.deserializer("text/event-stream")
def event_data(_context, response):
    """Returns the data of the events, each of which schemathesis compares with the schema."""
    return [json.loads(data) for _, data in _events(response) if data != "[DONE]"]


@schemathesis.check
def events_are_described(_context, response, _case):
    """The names of the events, and the last one, are those of the description."""
    if not response.headers.get("content-type", [""])[0].startswith("text/event-stream"):
        return
    events = _events(response)
    assert events, "a stream without events"
    data = [json.loads(text) for _, text in events if text != "[DONE]"]
    is_chat = "choices" in data[0]
    failed = [item for item in data if "error" in item and "type" not in item and "object" not in item]
    assert failed in ([], data[-1:]), "an error is not the last event"
    # schemathesis stops reading a long stream.
    if not response.stream_cut_short:
        assert (events[-1][1] == "[DONE]") == (is_chat and not failed), f"the stream ends with {events[-1]}"
    for (name, _), item in zip(events, data):
        expected = None if is_chat else "error" if item in failed else item.get("type")
        assert name == expected, f"event {name}: {item}"


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """Lengthens deadlines, since a short one is valid and ends in 504, and keeps the video that all requests share."""
    deadline = str((case.headers or {}).get("x-request-timeout-ms", ""))
    if deadline.isdigit() and 0 < int(deadline) < 60_000:
        case.headers["x-request-timeout-ms"] = "60000"
    if case.method == "DELETE" and case.path_parameters.get("id") == os.environ["OPENAPI_VIDEO"]:
        case.path_parameters["id"] = "video_deleted"


@schemathesis.hook
def filter_case(_context, case):
    """Leaves out forms whose fields have names with control characters, which cannot be sent."""
    is_form = case.media_type == "multipart/form-data" and isinstance(case.body, dict)
    return not (is_form and any(re.search(r"[\x00-\x1f\x7f-\x9f\"\\]", name) for name in case.body))


@schemathesis.check
def valid_is_accepted(_context, response, case):
    """What is valid by the document is accepted, except for the rules of REFUSALS."""
    if not case.meta.generation.mode.is_positive or response.status_code not in (400, 413, 415, 422):
        return
    error = response.json()["error"] if response.content else {"code": "", "param": None, "message": ""}
    if case.method == "HEAD":
        # The response to HEAD has no body; the same request is checked with GET.
        return
    for word, message, _ in REFUSALS:
        if re.fullmatch(word, error["param"] or error["code"]) and re.search(message, error["message"]):
            return
    raise AssertionError(f"a valid request is refused: {error}")


@schemathesis.check
def invalid_is_refused(context, response, case):
    """What is invalid by the document is refused, except for the rules of ACCEPTANCES."""
    try:
        negative_data_rejection(context, response, case)
    except Exception as failure:
        text = str(getattr(failure, "message", failure))
        if not any(re.search(rule, text) for rule, _ in ACCEPTANCES):
            raise

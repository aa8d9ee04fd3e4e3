"""Reads the dashscope fixtures with DashScope's official client directly, then through Triptych, and compares their
requests.

    dashscope_images.py PATH_OF_TRIPTYCH

The name of a model is the name of a fixture in tests/fixtures/image/dashscope. With the prefix WAN it is the fixture that a
task ends with.
"""

import base64
import io
import sys

import dashscope
from PIL import Image
from fake_provider import FIXTURES, fake_provider, generate_images, start_triptych, status_of

FILES = sorted(path.name for path in (FIXTURES / "dashscope").iterdir() if path.name != "README.md")
CALLS = [name for name in FILES if not name.startswith("task-")]
WAN = "wan2.5-"
TASK_RESULTS = [name for name in FILES if name.startswith("task-") and status_of(name) == 200]
PATH = "/api/v1/services/aigc/multimodal-generation/generation"
TASKS = "/api/v1/services/aigc/text2image/image-synthesis"
TASK = "/api/v1/tasks/0385dc79-5ff8-4d82-bcb6-7f8a3a1b2c3d"


class Script:
    """Chooses fixtures by the names of models. A task is running at the first poll, and has its result at the second."""

    def __init__(self):
        self.polls = iter(())

    def post_fixture(self, path, request):
        if path.endswith("/cancel"):
            return "task-not-pending.400.json"
        model = request["model"]
        if not model.startswith(WAN):
            return model
        result = model.removeprefix(WAN)
        if result in CALLS or result == "task-without-id.json":
            return result
        self.polls = iter(["task-running.json", result])
        return "task-submitted.json"

    def get_fixture(self, path):
        return next(self.polls) if path.startswith("/api/v1/tasks/") else None


def sample_png():
    out = io.BytesIO()
    Image.radial_gradient("L").resize((1024, 640)).convert("RGB").save(out, "PNG")
    return out.getvalue()


def check_client_calls(received):
    """Reads the fixtures of synchronous calls with the client. Returns the first request."""

    def call(name, **parameters):
        messages = [{"role": "user", "content": [{"text": "a boat"}]}]
        return dashscope.MultiModalConversation.call(api_key="k", model=name, messages=messages, **parameters)

    response = call("image.json", size="1792*1024", n=1, seed=7, watermark=False)
    request = received[-1]
    assert response.status_code == 200 and response.output.choices[0].finish_reason == "stop", response
    assert "/oss/1.png?Expires=" in response.output.choices[0].message.content[0]["image"]
    assert response.usage["image_count"] == 1, response.usage
    assert len(call("two.json").output.choices[0].message.content) == 2
    assert [len(choice.message.content) for choice in call("two-choices.json").output.choices] == [1, 1]
    for name in [name for name in CALLS if status_of(name) != 200 and name.endswith(".json")]:
        refused = call(name)
        assert refused.status_code == status_of(name) and refused.code and refused.message, f"{name}: {refused}"
    print("  ok   the client reads the fixtures")
    return request


def check_client_tasks(received):
    """Submits, polls and cancels tasks with the client. Returns the requests to submit, poll and cancel."""
    synthesis = dashscope.ImageSynthesis

    def submit(name):
        return synthesis.async_call(
            WAN + name, "a boat", api_key="k", negative_prompt="fog", size="1792*1024", n=1, seed=7, watermark=False
        )

    task = submit("task-succeeded.json")
    request = received[-1]
    assert task.status_code == 200 and task.output.task_status == "PENDING", task
    assert synthesis.fetch(task, api_key="k").output.task_status == "RUNNING"
    poll = received[-1]
    done = synthesis.wait(task, api_key="k")
    assert done.output.task_status == "SUCCEEDED" and done.usage.image_count == 1, done
    assert "/oss/1.png?Expires=" in done.output.results[0].url
    refused = synthesis.cancel(task, api_key="k")
    assert (refused.status_code, refused.code) == (400, "UnsupportedOperation"), refused
    cancel = received[-1]
    results = {}
    for name in TASK_RESULTS:
        task = submit(name)
        if name != "task-without-id.json":
            synthesis.fetch(task, api_key="k")
            results[name] = synthesis.fetch(task, api_key="k").output
    partly = results["task-one-image-failed.json"].results
    assert (bool(partly[0].url), partly[1]["code"]) == (True, "DataInspectionFailed"), partly
    assert results["task-rewritten.json"].results[0]["actual_prompt"] == "A small boat on a wide lake."
    assert results["task-status-unknown.json"].task_status == "UNKNOWN" and results["task-cancelled.json"].task_status == "CANCELED"
    assert results["task-blocked.json"]["code"] == "DataInspectionFailed", results["task-blocked.json"]
    assert submit("async-not-allowed.403.json").status_code == 403
    print("  ok   the client submits, polls, cancels and reads tasks")
    return request, poll, cancel


def assert_same_request(one, other):
    """Compares path, body and the relevant headers of two requests."""
    lower = lambda headers: {name.lower(): value for name, value in headers.items()}
    (path, headers, request), (expected_path, expected_headers, expected) = one, other
    headers, expected_headers = lower(headers), lower(expected_headers)
    assert path == expected_path and request == expected, f"{path} {request}, expected {expected_path} {expected}"
    for name in ("authorization", "x-dashscope-async"):
        assert headers.get(name) == expected_headers.get(name), f"{name}: {headers}, expected {expected_headers}"
    assert headers["authorization"] == "Bearer k"


def assert_same_requests(rest, received, model, expected, **extra):
    del received[:]
    members = {"model": model, "prompt": "a boat", "size": "1792x1024", "seed": 7, "response_format": "b64_json", **extra}
    status, response = generate_images(rest, **members)
    assert status == 200, response
    assert Image.open(io.BytesIO(base64.b64decode(response["data"][0]["b64_json"]))).size == (1792, 1024)
    for one, other in zip(received, expected, strict=True):
        assert_same_request(one, other)


def check_triptych(rest, received, call, task):
    """Reads the fixtures through Triptych, which must send the client's requests."""
    assert call[0] == PATH and [each[0] for each in task] == [TASKS, TASK, f"{TASK}/cancel"]
    assert_same_requests(rest, received, "image.json", [call])
    submit, poll, _ = task
    submit[2]["model"] = WAN + "task-succeeded.json"
    assert_same_requests(rest, received, WAN + "task-succeeded.json", [submit, poll, poll], negative_prompt="fog")
    for model in ("two.json", WAN + "task-two.json"):
        status, response = generate_images(rest, model=model, prompt="a boat", n=2, size="64x64")
        assert status == 200 and len(response["data"]) == 2, response
    status, response = generate_images(rest, model=WAN + "task-one-image-failed.json", prompt="a boat", n=2, size="64x64")
    assert (status, response["failures"][0]["code"]) == (200, "content_policy_violation"), response
    for name, expected in [
        ("blocked.400.json", (400, "DataInspectionFailed")), ("blocked-in-success.json", (400, "DataInspectionFailed")),
        ("size.400.json", (400, "InvalidParameter")), ("arrears.400.json", (500, "provider_credentials")),
        ("invalid-key.401.json", (500, "provider_credentials")), ("rate.429.json", (429, "Throttling.RateQuota")),
        ("unavailable.503.json", (502, "ModelUnavailable")), ("html-page.json", (500, "upstream_unreadable")),
        (WAN + "task-blocked.json", (400, "DataInspectionFailed")), (WAN + "task-size.json", (400, "InvalidParameter")),
        (WAN + "task-timeout.json", (504, "InternalError.Timeout")), (WAN + "task-cancelled.json", (502, "upstream_unavailable")),
        (WAN + "task-without-id.json", (500, "upstream_unreadable")), (WAN + "rate.429.json", (429, "Throttling.RateQuota")),
        (WAN + "async-not-allowed.403.json", (500, "provider_credentials")),
    ]:
        status, response = generate_images(rest, model=name, prompt="a boat")
        assert (status, response["error"]["code"]) == expected, f"{name}: {status} {response}"
    print("  ok   Triptych reads the fixtures, and sends the client's requests")


if __name__ == "__main__":
    script = Script()
    with fake_provider("dashscope", script.post_fixture, sample_png(), script.get_fixture) as (upstream, received):
        dashscope.base_http_api_url = f"{upstream}/api/v1"
        call, task = check_client_calls(received), check_client_tasks(received)
        settings = {
            "IMAGE_SERVICE_TYPE": "dashscope",
            "DASHSCOPE_API_KEY": "k",
            "TRIPTYCH_IMAGE_DASHSCOPE_BASE_URL": upstream,
            "TRIPTYCH_IMAGE_DASHSCOPE_MODELS": ",".join(CALLS + [WAN + name for name in TASK_RESULTS + CALLS]),
            "TRIPTYCH_IMAGE_DASHSCOPE_POLL_INTERVAL": "10ms",
        }
        with start_triptych(sys.argv[1], settings) as rest:
            check_triptych(rest, received, call, task)

"""DashScope's own client reads the answers that the tests' scripted upstream plays, first from a server that plays them
here; then Triptych reads them from that server, and what it asks is held against what the client asks.

    dashscope_images.py PATH_OF_TRIPTYCH

The name of a model is the name of the answer, tests/fixtures/image/dashscope holds them. Where it begins with WAN, that is
what a task comes to.
"""

import base64
import io
import sys

import dashscope
from PIL import Image
from playing import FIXTURES, generated, playing, status_of, triptych

FILES = sorted(path.name for path in (FIXTURES / "dashscope").iterdir() if path.name != "README.md")
CALLS = [name for name in FILES if not name.startswith("task-")]
WAN = "wan2.5-"
ENDS = [name for name in FILES if name.startswith("task-") and status_of(name) == 200]
PATH = "/api/v1/services/aigc/multimodal-generation/generation"
TASKS = "/api/v1/services/aigc/text2image/image-synthesis"
TASK = "/api/v1/tasks/0385dc79-5ff8-4d82-bcb6-7f8a3a1b2c3d"


class Script:
    """Plays calls by the names of their models, and tasks that run for one look and then come to theirs."""

    def __init__(self):
        self.looks = iter(())

    def answer(self, path, request):
        if path.endswith("/cancel"):
            return "task-not-pending.400.json"
        model = request["model"]
        if not model.startswith(WAN):
            return model
        end = model.removeprefix(WAN)
        if end in CALLS or end == "task-nameless.json":
            return end
        self.looks = iter(["task-running.json", end])
        return "task-taken.json"

    def look(self, path):
        return next(self.looks) if path.startswith("/api/v1/tasks/") else None


def png():
    out = io.BytesIO()
    Image.radial_gradient("L").resize((1024, 640)).convert("RGB").save(out, "PNG")
    return out.getvalue()


def calls(seen):
    """The calls' fixtures as the client reads them, nothing in between; what it asked."""

    def ask(name, **parameters):
        messages = [{"role": "user", "content": [{"text": "a boat"}]}]
        return dashscope.MultiModalConversation.call(api_key="k", model=name, messages=messages, **parameters)

    made = ask("picture.json", size="1792*1024", n=1, seed=7, watermark=False)
    asked = seen[-1]
    assert made.status_code == 200 and made.output.choices[0].finish_reason == "stop", made
    assert "/oss/1.png?Expires=" in made.output.choices[0].message.content[0]["image"]
    assert made.usage["image_count"] == 1, made.usage
    assert len(ask("two.json").output.choices[0].message.content) == 2
    assert [len(choice.message.content) for choice in ask("two-choices.json").output.choices] == [1, 1]
    for name in [name for name in CALLS if status_of(name) != 200 and name.endswith(".json")]:
        refused = ask(name)
        assert refused.status_code == status_of(name) and refused.code and refused.message, f"{name}: {refused}"
    print("  ok   the client reads what the upstream plays")
    return asked


def tasks(seen):
    """The same of tasks: submitted, waited for, cancelled; what it asked."""
    synthesis = dashscope.ImageSynthesis

    def ask(name):
        return synthesis.async_call(
            WAN + name, "a boat", api_key="k", negative_prompt="fog", size="1792*1024", n=1, seed=7, watermark=False
        )

    taken = ask("task-done.json")
    asked = seen[-1]
    assert taken.status_code == 200 and taken.output.task_status == "PENDING", taken
    assert synthesis.fetch(taken, api_key="k").output.task_status == "RUNNING"
    look = seen[-1]
    done = synthesis.wait(taken, api_key="k")
    assert done.output.task_status == "SUCCEEDED" and done.usage.image_count == 1, done
    assert "/oss/1.png?Expires=" in done.output.results[0].url
    refused = synthesis.cancel(taken, api_key="k")
    assert (refused.status_code, refused.code) == (400, "UnsupportedOperation"), refused
    cancel = seen[-1]
    told = {}
    for name in ENDS:
        taken = ask(name)
        if name != "task-nameless.json":
            synthesis.fetch(taken, api_key="k")
            told[name] = synthesis.fetch(taken, api_key="k").output
    partly = told["task-partly.json"].results
    assert (bool(partly[0].url), partly[1]["code"]) == (True, "DataInspectionFailed"), partly
    assert told["task-rewritten.json"].results[0]["actual_prompt"] == "A small boat on a wide lake."
    assert told["task-unknown.json"].task_status == "UNKNOWN" and told["task-cancelled.json"].task_status == "CANCELED"
    assert told["task-blocked.json"]["code"] == "DataInspectionFailed", told["task-blocked.json"]
    assert ask("not-by-tasks.403.json").status_code == 403
    print("  ok   the client submits, waits for and reads tasks as the upstream plays them")
    return asked, look, cancel


def same(one, other):
    """Whether both asked the same, in the headers that count."""
    lower = lambda headers: {name.lower(): value for name, value in headers.items()}
    (path, headers, request), (wanted_path, wanted_headers, wanted) = one, other
    headers, wanted_headers = lower(headers), lower(wanted_headers)
    assert path == wanted_path and request == wanted, f"{path} {request} instead of {wanted_path} {wanted}"
    for name in ("authorization", "x-dashscope-async"):
        assert headers.get(name) == wanted_headers.get(name), f"{name}: {headers} instead of {wanted_headers}"
    assert headers["authorization"] == "Bearer k"


def asks_the_same(rest, seen, model, wanted, **more):
    del seen[:]
    members = {"model": model, "prompt": "a boat", "size": "1792x1024", "seed": 7, "response_format": "b64_json", **more}
    status, made = generated(rest, **members)
    assert status == 200, made
    assert Image.open(io.BytesIO(base64.b64decode(made["data"][0]["b64_json"]))).size == (1792, 1024)
    for one, other in zip(seen, wanted, strict=True):
        same(one, other)


def through(rest, seen, call, task):
    """The same with Triptych in between, asked as the client asks."""
    assert call[0] == PATH and [each[0] for each in task] == [TASKS, TASK, f"{TASK}/cancel"]
    asks_the_same(rest, seen, "picture.json", [call])
    submit, look, _ = task
    submit[2]["model"] = WAN + "task-done.json"
    asks_the_same(rest, seen, WAN + "task-done.json", [submit, look, look], negative_prompt="fog")
    for model in ("two.json", WAN + "task-two.json"):
        status, some = generated(rest, model=model, prompt="a boat", n=2, size="64x64")
        assert status == 200 and len(some["data"]) == 2, some
    status, some = generated(rest, model=WAN + "task-partly.json", prompt="a boat", n=2, size="64x64")
    assert (status, some["failures"][0]["code"]) == (200, "content_policy_violation"), some
    for name, expected in [
        ("blocked.400.json", (400, "content_policy_violation")), ("blocked-in-success.json", (400, "content_policy_violation")),
        ("size.400.json", (400, "upstream_refused")), ("arrears.400.json", (500, "provider_credentials")),
        ("key.401.json", (500, "provider_credentials")), ("rate.429.json", (429, "rate_limit_exceeded")),
        ("unavailable.503.json", (502, "upstream_unavailable")), ("page.json", (500, "upstream_unreadable")),
        (WAN + "task-blocked.json", (400, "content_policy_violation")), (WAN + "task-size.json", (400, "upstream_refused")),
        (WAN + "task-late.json", (504, "upstream_timeout")), (WAN + "task-cancelled.json", (502, "upstream_unavailable")),
        (WAN + "task-nameless.json", (500, "upstream_unreadable")), (WAN + "rate.429.json", (429, "rate_limit_exceeded")),
        (WAN + "not-by-tasks.403.json", (500, "provider_credentials")),
    ]:
        status, answer = generated(rest, model=name, prompt="a boat")
        assert (status, answer["error"]["code"]) == expected, f"{name}: {status} {answer}"
    print("  ok   Triptych reads the same, and asks in the client's words")


if __name__ == "__main__":
    script = Script()
    with playing("dashscope", script.answer, png(), script.look) as (upstream, seen):
        dashscope.base_http_api_url = f"{upstream}/api/v1"
        call, task = calls(seen), tasks(seen)
        settings = {
            "IMAGE_SERVICE_TYPE": "dashscope",
            "DASHSCOPE_API_KEY": "k",
            "TRIPTYCH_IMAGE_DASHSCOPE_BASE_URL": upstream,
            "TRIPTYCH_IMAGE_DASHSCOPE_MODELS": ",".join(CALLS + [WAN + name for name in ENDS + CALLS]),
            "TRIPTYCH_IMAGE_DASHSCOPE_POLL_INTERVAL": "10ms",
        }
        with triptych(sys.argv[1], settings) as rest:
            through(rest, seen, call, task)

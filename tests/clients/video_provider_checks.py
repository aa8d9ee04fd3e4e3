"""Checks of clients with Triptych in front of one scripted provider: OpenAI's Python SDK, gRPC, and the code blocks of the
compatibility guide."""

import base64
import io
import os
import subprocess
import tempfile
import time
from pathlib import Path

import openai
from by_reflection import Services
from common import sample_png
from PIL import Image
from scripted_video_provider import ENDLESS

PICTURE = sample_png()
# Size and duration of the file that each scripted provider returns for every request.
SIZE, SECONDS = "128x96", 1
# The blocks of the guide that create a video.
GUIDE_VIDEOS = 3


def client_of(rest):
    return openai.OpenAI(base_url=rest, api_key="not-needed", max_retries=0, timeout=60)


def only_task(provider, prompt):
    """Returns the task with a prompt. There must be exactly one: a second would be paid for as well."""
    (task,) = provider.tasks_of(prompt)
    return task


def assert_file(provider, prompt, data):
    assert data == provider.file(only_task(provider, prompt)), f"{provider.name}: not the video of {prompt!r}"


def reference(provider):
    """Returns the first frame for a provider that requires one."""
    return {"input_reference": ("start.png", PICTURE, "image/png")} if provider.provider.needs_picture else {}


def check_python_sdk(provider, rest, model):
    """Checks the calls of the SDK: create, poll, download, remix, list and delete."""
    videos, prompt = client_of(rest).videos, f"python, {model}"
    more = {"size": "1280x720", "seconds": "4", "poll_interval_ms": 50}
    video = videos.create_and_poll(model=model, prompt=prompt, **more, **reference(provider))
    facts = (video.status, video.progress, video.error, video.model, video.size, video.seconds)
    assert facts == ("completed", 100, None, model, SIZE, str(SECONDS)), video
    assert_file(provider, prompt, videos.download_content(video.id).read())
    for variant in ("thumbnail", "spritesheet"):
        Image.open(io.BytesIO(videos.download_content(video.id, variant=variant).read())).load()

    framed = videos.create_and_poll(model=model, prompt=f"framed, {model}", input_reference=("start.png", PICTURE, "image/png"), poll_interval_ms=50)
    assert framed.status == "completed", framed
    assert_file(provider, framed.prompt, videos.download_content(framed.id).read())

    remix = videos.remix(video.id, prompt=f"remix, {model}")
    remix = videos.poll(remix.id, poll_interval_ms=50)
    assert (remix.status, remix.remixed_from_video_id, remix.model) == ("completed", video.id, model), remix
    assert_file(provider, remix.prompt, videos.download_content(remix.id).read())

    listed = [item.id for item in videos.list(limit=3).data]
    assert listed == [remix.id, framed.id, video.id], listed
    assert videos.delete(video.id).deleted
    assert video.id not in [item.id for item in videos.list().data]
    assert_not_found(videos, video.id)


def check_inputs_and_parameters(provider, rest, model):
    """Requests all parameters that the list of models has for the model: once with frames, once with references."""
    client = client_of(rest)
    listed = client.get("/videos/models", cast_to=object)["data"]
    facts = next(item for item in listed if item["id"] == model)
    last = lambda name: (facts[f"supported_{name}s"] or [None])[-1]
    members = {"resolution": last("resolution"), "aspect_ratio": last("aspect_ratio"), "duration": last("duration")}
    members |= {"seed": 7} if facts["seed"] else {}
    members |= {"negative_prompt": "rain"} if facts["negative_prompt"] else {}
    members |= {"generate_audio": False} if (facts["audio"] or "").startswith("default") else {}
    picture = f"data:image/png;base64,{base64.b64encode(PICTURE).decode()}"
    image = {"type": "image_url", "image_url": {"url": picture}}
    frames = [image | {"frame_type": end} for end in facts["supported_frame_images"]]
    references = [image] * min(facts["max_reference_images"], 2)
    references += [{"type": f"{kind}_url", f"{kind}_url": {"url": f"https://example.com/{kind}"}} for kind, most in [
        ("video", facts["max_reference_videos"]), ("audio", facts["max_reference_sounds"]),
    ] if most]
    for inputs in [{"frame_images": frames}, {"input_references": references}]:
        if not any(inputs.values()):
            continue
        prompt = f"{', '.join(inputs)}, {model}"
        body = {"model": model, "prompt": prompt} | members | inputs
        created = client.post("/videos", body={name: value for name, value in body.items() if value is not None}, cast_to=object)
        video = client.videos.poll(created["id"], poll_interval_ms=50)
        assert video.status == "completed", video
        text = only_task(provider, prompt).text
        sent = text.count(base64.b64encode(PICTURE).decode()) + text.count('"input_reference"') + text.count("https://example.com/")
        assert sent == len(next(iter(inputs.values()))), f"{prompt}: {sent} inputs were sent"


def assert_not_found(videos, id):
    try:
        videos.retrieve(id)
    except openai.NotFoundError:
        return
    raise AssertionError(f"{id} is still there")


def wait_for(condition, failure):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, failure
        time.sleep(0.02)


def check_cancellation(provider, rest, model):
    """Cancels a video that would run forever. A provider that can stop tasks must get the request to stop it."""
    client, prompt = client_of(rest), f"{ENDLESS}, {model}"
    video = client.videos.create(model=model, prompt=prompt, **reference(provider))
    wait_for(lambda: any("poll" in task.calls for task in provider.tasks_of(prompt)), f"{provider.name}: the task is not polled")
    client.post(f"/videos/{video.id}/cancel", cast_to=object)
    video = client.videos.poll(video.id, poll_interval_ms=50)
    assert (video.status, video.error.code) == ("failed", "cancelled"), video
    task = only_task(provider, prompt)
    if task.api.cancel:
        wait_for(lambda: "cancel" in task.calls, f"{provider.name}: the task is not cancelled")


def check_grpc(provider, grpc_address, model):
    """Creates a video, watches it to the end, and downloads it and its thumbnail."""
    services, prompt = Services(grpc_address), f"grpc, {model}"

    def call(name, **members):
        return services.call(f"triptych.v1.VideoService/{name}", members)

    picture = {"input_reference": {"data": PICTURE}} if provider.provider.needs_picture else {}
    video = call("CreateVideo", model=model, prompt=prompt, size="1280x720", duration_seconds=4, **picture).video
    snapshots = [response.video for response in call("WatchVideo", id=video.id)]
    last, states = snapshots[-1], type(video).DESCRIPTOR.enum_types_by_name["State"].values_by_name
    assert (last.state, last.progress_percent) == (states["STATE_SUCCEEDED"].number, 100), last
    assert (last.size, last.duration_seconds) == (SIZE, SECONDS), last
    progress = [snapshot.progress_percent for snapshot in snapshots]
    assert progress == sorted(progress) and len(progress) > 2, progress
    for variant, check in [("VIDEO_VARIANT_VIDEO", None), ("VIDEO_VARIANT_THUMBNAIL", Image.open)]:
        first, *rest = call("DownloadVideo", id=video.id, variant=variant)
        data = b"".join(part.data for part in rest)
        assert len(data) == first.media.size_bytes, first
        check(io.BytesIO(data)).load() if check else assert_file(provider, prompt, data)


def check_guide(provider, rest, clip_file, python):
    """Runs the guide's blocks about videos, which name no model."""
    before = len(provider.tasks)
    environment = os.environ | {"TRIPTYCH_REST": rest.removesuffix("/v1")}
    command = [python, Path(__file__).with_name("guide_openai_0_28.py"), "videos", clip_file]
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(command, env=environment, cwd=directory, check=True, timeout=100, stdout=subprocess.DEVNULL)
    assert len(provider.tasks) == before + GUIDE_VIDEOS, f"{provider.name} received {len(provider.tasks) - before} requests"

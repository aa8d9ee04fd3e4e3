"""The official clients of vendors create, follow, list and cancel videos at the scripted providers that Triptych is tested with.

    video_vendors.py

A scripted provider refuses requests that its vendor does not document, and a client fails to read responses that its vendor
does not send.
"""

import io

import dashscope
import fal_client
import openai
import requests
import runwayml
from dashscope import VideoSynthesis
from google import genai
# ENDLESS is a prompt whose task runs until it is cancelled.
from scripted_video_provider import ENDLESS, ScriptedProvider
from video_provider_tables import KEY
from volcenginesdkarkruntime import Ark

CLIP = b"the video"
# A PNG as far as clients look at it.
PICTURE = "data:image/png;base64,iVBORw0KGgo="


def assert_file(provider, prompt, data):
    (task,) = provider.tasks_of(prompt)
    assert data == provider.file(task), f"{provider.name}: not the video of {prompt!r}"


def fetch(url):
    response = requests.get(url, timeout=30)
    assert response.status_code == 200, (url, response.status_code)
    return response.content


def check_seedance(provider):
    tasks = Ark(api_key=KEY, base_url=f"{provider.url}/api/v3", max_retries=0).content_generation.tasks
    text = {"type": "text", "text": "a boat"}
    model = provider.provider.models[0]
    created = tasks.create(model=model, content=[text], resolution="720p", ratio="16:9", duration=4, seed=7)
    polls = [tasks.get(task_id=created.id) for _ in range(3)]
    assert [task.status for task in polls] == ["queued", "running", "succeeded"], polls
    last = polls[-1]
    assert (last.id, last.resolution, last.ratio, last.duration, last.framespersecond) == (created.id, "720p", "16:9", 4, 24), last
    assert_file(provider, "a boat", fetch(last.content.video_url))
    frame = {"type": "image_url", "image_url": {"url": PICTURE}, "role": "first_frame"}
    running = tasks.create(model=model, content=[{**text, "text": ENDLESS}, frame], ratio="adaptive", duration=5)
    tasks.delete(running.id)
    assert tasks.get(task_id=running.id).status == "cancelled"
    listed = tasks.list(page_size=10)
    assert (listed.total, [task.id for task in listed.items]) == (2, [running.id, created.id]), listed


def check_wan(provider):
    dashscope.base_http_api_url = f"{provider.url}/api/v1"
    common = {"model": "wan3.0-video", "resolution": "720P", "duration": 5, "api_key": KEY}
    done = VideoSynthesis.call(prompt="a boat", ratio="16:9", **common)
    assert (done.status_code, done.output.task_status, done.usage.duration) == (200, "SUCCEEDED", 5), done
    assert_file(provider, "a boat", fetch(done.output.video_url))
    media = [{"type": "first_frame", "url": PICTURE}]
    running = VideoSynthesis.async_call(prompt=ENDLESS, media=media, **common)
    states = [VideoSynthesis.fetch(running, api_key=KEY).output.task_status for _ in range(2)]
    assert states == ["PENDING", "RUNNING"], states
    assert VideoSynthesis.cancel(running, api_key=KEY).status_code == 200
    assert VideoSynthesis.fetch(running, api_key=KEY).output.task_status == "CANCELED"
    listed = VideoSynthesis.list(api_key=KEY).output
    assert [task["task_status"] for task in listed["data"]] == ["CANCELED", "SUCCEEDED"], listed


def check_fal(provider):
    # The client has a variable for the host, and none for the scheme.
    fal_client.client.QUEUE_URL_FORMAT = f"{provider.url}/"
    client = fal_client.SyncClient(key=KEY)
    request = client.submit("fal-ai/veo3.1", {"prompt": "a boat", "duration": "8s"})
    events = [type(event) for event in request.iter_events(interval=0.01)]
    assert events == [fal_client.Queued, fal_client.InProgress, fal_client.Completed], events
    assert_file(provider, "a boat", fetch(request.get()["video"]["url"]))
    running = client.submit("fal-ai/veo3.1/image-to-video", {"prompt": ENDLESS, "image_url": PICTURE})
    running.cancel()
    (task,) = provider.tasks_of(ENDLESS)
    assert task.calls == ["cancel"], task.calls


def check_openai(provider):
    videos = openai.OpenAI(api_key=KEY, base_url=f"{provider.url}/v1", max_retries=0).videos
    reference = ("start.png", io.BytesIO(b"\x89PNG"), "image/png")
    video = videos.create_and_poll(prompt="a boat", model="sora-2", size="1280x720", seconds="4", input_reference=reference, poll_interval_ms=10)
    assert (video.status, video.progress, video.size, video.seconds) == ("completed", 100, "1280x720", "4"), video
    assert_file(provider, "a boat", videos.download_content(video.id).read())
    assert [item.id for item in videos.list(limit=10).data] == [video.id]
    assert videos.delete(video.id).deleted


def check_runway(provider):
    client = runwayml.RunwayML(api_key=KEY, base_url=provider.url, max_retries=0)
    created = client.text_to_video.create(model="gen4.5", prompt_text="a boat", ratio="1280:720", duration=5)
    polls = [client.tasks.retrieve(created.id) for _ in range(4)]
    assert [task.status for task in polls] == ["PENDING", "THROTTLED", "RUNNING", "SUCCEEDED"], polls
    assert_file(provider, "a boat", fetch(polls[-1].output[0]))
    frame = [{"uri": PICTURE, "position": "first"}]
    running = client.image_to_video.create(model="gen4.5", prompt_text=ENDLESS, prompt_image=frame, ratio="1280:720", duration=5)
    client.tasks.delete(running.id)
    assert client.tasks.retrieve(running.id).status == "CANCELLED"


def check_gemini(provider):
    client = genai.Client(api_key=KEY, http_options=genai.types.HttpOptions(base_url=provider.url, api_version="v1beta"))
    output = {"type": "video", "aspect_ratio": "16:9", "duration": "5s", "resolution": "720p", "delivery": "uri"}
    common = {"model": "gemini-omni-1.2-flash", "background": True, "response_format": output}
    created = client.interactions.create(input=[{"type": "text", "text": "a boat"}], **common)
    polls = [client.interactions.get(created.id) for _ in range(3)]
    assert [interaction.status for interaction in polls] == ["queued", "in_progress", "completed"], polls
    headers = {"x-goog-api-key": KEY}
    link = requests.get(f"{polls[-1].output_video.uri}?alt=media", headers=headers, timeout=30)
    assert_file(provider, "a boat", link.content)
    frame = {"type": "image", "data": PICTURE.split(",")[1], "mime_type": "image/png"}
    task = {"video_config": {"task": "image_to_video"}}
    running = client.interactions.create(input=[{"type": "text", "text": ENDLESS}, frame], generation_config=task, **common)
    client.interactions.cancel(running.id)
    assert client.interactions.get(running.id).status == "cancelled"


def main():
    for name, check in [
        ("seedance", check_seedance), ("wan", check_wan), ("fal", check_fal), ("openai", check_openai), ("runway", check_runway),
        ("gemini", check_gemini),
    ]:
        with ScriptedProvider(name, CLIP) as provider:
            check(provider)
            assert not provider.undocumented, provider.undocumented
        print(f"  ok   the client of {name}'s vendor and its scripted provider understand each other", flush=True)


main()

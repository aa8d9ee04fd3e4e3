"""Videos with Triptych in front of every provider, through LiteLLM, which treats it as OpenAI. LiteLLM's own clients of vendors
that have no official client call the scripted providers themselves.

    video_litellm.py

Reads the providers as JSON from the standard input, and writes a line for each video: provider, prompt, and the bytes in
hexadecimal form, with tabs between them.
"""

import base64
import io
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

# LiteLLM reads the prices in its package and does not download newer ones.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm

litellm.suppress_debug_info = True
# The scripted providers, whose links LiteLLM follows.
litellm.user_url_allowed_hosts = ["localhost", "127.0.0.1"]
INPUT = json.load(sys.stdin)
PICTURE = base64.b64decode(INPUT["picture"])
# The vendors that LiteLLM calls itself, each with a model.
VENDORS = {"minimax": "MiniMax-H3", "gemini": "veo-3.1-fast-generate-001"}


def final(video, connection):
    while video.status in ("queued", "in_progress", "processing"):
        time.sleep(0.1)
        video = litellm.video_status(video.id, **connection)
    assert video.status == "completed", video
    return video


def check_vendor(name, upstream):
    """Creates and downloads a video at a scripted provider. Returns the line."""
    connection = {"api_base": upstream, "api_key": INPUT["key"], "custom_llm_provider": name}
    prompt = f"{name} in litellm"
    created = litellm.video_generation(model=VENDORS[name], prompt=prompt, size="1280x720", seconds="4", **connection)
    return name, prompt, litellm.video_content(final(created, connection).id, **connection).hex()


def check(provider):
    """Creates two videos and a remix, and downloads them. Returns the lines."""
    triptych = {"api_base": provider["rest"], "api_key": "not-needed", "custom_llm_provider": "openai"}
    lines = []

    def finish(video, prompt):
        video = final(video, triptych)
        facts = (video.status, video.progress, video.size, video.seconds, video.model)
        assert facts == ("completed", 100, INPUT["size"], INPUT["seconds"], provider["model"]), video
        lines.append((provider["name"], prompt, litellm.video_content(video.id, **triptych).hex()))
        return video

    def create(prompt, **members):
        return finish(litellm.video_generation(model=provider["model"], prompt=prompt, **members, **triptych), prompt)

    def reference():
        return {"input_reference": io.BytesIO(PICTURE)}

    video = create("litellm", size="1280x720", seconds="4", **(reference() if provider["needsPicture"] else {}))
    create("litellm, image", **reference())
    url = f"data:image/png;base64,{INPUT['picture']}"
    frame = {"type": "image_url", "image_url": {"url": url}, "frame_type": "first_frame"}
    # LiteLLM passes known members on by their names, and frames only in `extra_body`.
    create("litellm, frames", duration=6, aspect_ratio="16:9", seed=7, extra_body={"frame_images": [frame]})
    assert litellm.video_content(video.id, variant="thumbnail", **triptych)[:3] == b"\xff\xd8\xff"
    remix = finish(litellm.video_remix(video.id, prompt="litellm, remix", **triptych), "litellm, remix")
    # Other clients create videos at the same time.
    listed = [item for item in litellm.video_list(limit=50, **triptych)["data"] if item["prompt"].startswith("litellm")]
    assert [item["prompt"] for item in listed] == [prompt for _, prompt, _ in reversed(lines)], listed
    assert listed[0]["remixed_from_video_id"] == remix.remixed_from_video_id, listed[0]
    if provider["name"] in VENDORS:
        lines.append(check_vendor(provider["name"], provider["upstream"]))
    return lines


def main():
    with ThreadPoolExecutor(4) as pool:
        for lines in pool.map(check, INPUT["providers"]):
            for line in lines:
                print("\t".join(line))


main()

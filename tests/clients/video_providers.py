"""Videos with Triptych in front of every provider: OpenAI's Python and Node clients, gRPC, the programs of the guide to
the old SDK `openai` 0.28 (guide_file.py), the AI SDK, LiteLLM.

    video_providers.py PATH_OF_TRIPTYCH PYTHON_WITH_OPENAI_0_28 PYTHON_WITH_LITELLM NODE_SCRIPT [PROVIDER]...

The providers are scripted (scripted_video_provider.py): they accept what the vendor documents, and each task has a video of its
own. Triptych is configured as its documentation says, with the key's customary variable and the base URL.
"""

import base64
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import guide_file
from common import REST, check_video
from fake_provider import start_both_apis
from scripted_video_provider import FIXTURES, ScriptedProvider
from video_provider_checks import (
    PICTURE, SECONDS, SIZE, assert_file, check_cancellation, check_grpc, check_guide, check_inputs_and_parameters, check_python_sdk,
    client_of, reference,
)
from video_provider_tables import KEY, PROVIDERS

PROGRAM, OLD_PYTHON, LITELLM_PYTHON, NODE_SCRIPT = sys.argv[1:5]
HERE = Path(__file__).parent
# Most providers' links lead to another host than their API. Here this host is a private address, which is refused by default.
SETTINGS = {"TRIPTYCH_MEDIA_FETCH_PRIVATE_ADDRESSES": "true"}


def ok(text, start):
    print(f"  ok   {text} ({time.monotonic() - start:.1f} s)", flush=True)


def render_clip():
    """Returns a video of the built-in engine."""
    videos = client_of(f"{REST}/v1").videos
    video = videos.create_and_poll(model="offline-video", prompt="Pan left", size=SIZE, seconds=str(SECONDS), poll_interval_ms=100)
    clip = videos.download_content(video.id).read()
    check_video(clip, (128, 96), SECONDS)
    return clip


def check_provider(provider, rest, grpc_address, clip_file, has_guide):
    start = time.monotonic()
    for model in provider.provider.models:
        check_python_sdk(provider, rest, model)
        check_grpc(provider, grpc_address, model)
        check_cancellation(provider, rest, model)
    for model in provider.provider.models + provider.provider.parameter_models:
        check_inputs_and_parameters(provider, rest, model)
    if has_guide:
        check_guide(provider, rest, clip_file, OLD_PYTHON)
    ok(f"{provider.name}: SDK, gRPC, cancellation, inputs and parameters{', guide' if has_guide else ''}", start)


def check_other_client(name, command, connected):
    """Runs a client that is no Python module of this process, with all providers."""
    start = time.monotonic()
    providers = [
        {
            "name": provider.name, "rest": rest, "upstream": provider.url, "model": provider.provider.models[0],
            "needsPicture": provider.provider.needs_picture,
        }
        for provider, rest, _ in connected
    ]
    given = {"picture": base64.b64encode(PICTURE).decode(), "size": SIZE, "seconds": str(SECONDS), "key": KEY, "providers": providers}
    done = subprocess.run(command, input=json.dumps(given), text=True, stdout=subprocess.PIPE, check=True, timeout=100)
    # A line for each video: the provider, the prompt, and the bytes in hexadecimal form.
    received = [line.split("\t") for line in done.stdout.splitlines()]
    for provider_name, prompt, data in received:
        assert_file(next(provider for provider, _, _ in connected if provider.name == provider_name), prompt, bytes.fromhex(data))
    assert {provider_name for provider_name, _, _ in received} == {provider.name for provider, _, _ in connected}, received
    ok(f"{name}: {len(received)} videos", start)


def check_several_providers(providers):
    """Connects all providers to one process: the name of the model chooses, and the service type the default."""
    start, default = time.monotonic(), providers[0]
    settings = {"VIDEO_SERVICE_TYPE": default.name} | SETTINGS
    for provider in providers:
        settings |= provider.settings()
    with start_both_apis(PROGRAM, settings) as (rest, _):
        client = client_of(rest)
        owners = {model.id: model.owned_by for model in client.models.list()}

        def create(provider, model):
            more = {"model": model} if model else {}
            prompt = f"several, {model}"
            video = client.videos.create_and_poll(prompt=prompt, **more, **reference(provider), poll_interval_ms=100)
            assert video.status == "completed", video
            assert_file(provider, prompt, client.videos.download_content(video.id).read())
            assert owners[video.model] == provider.name, (video.model, owners)
            others = [other.name for other in providers if other is not provider and other.tasks_of(prompt)]
            assert not others, f"{prompt} also reached {others}"

        wanted = [(provider, model) for provider in providers for model in provider.provider.models]
        wanted.append((default, None))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda pair: create(*pair), wanted))
    ok(f"{len(providers)} providers at once, {len(wanted)} videos", start)


def main():
    clip, has_guide = render_clip(), guide_file.find() is not None
    names = sys.argv[5:] or list(PROVIDERS)
    assert {directory.name for directory in FIXTURES.iterdir()} == set(PROVIDERS), "a provider with fixtures is not in the tables"
    with ExitStack() as stack:
        clip_file = Path(stack.enter_context(tempfile.TemporaryDirectory()), "clip.mp4")
        clip_file.write_bytes(clip)
        connected = []
        for name in names:
            provider = stack.enter_context(ScriptedProvider(name, clip))
            settings = {"VIDEO_SERVICE_TYPE": name} | SETTINGS | provider.settings()
            connected.append((provider, *stack.enter_context(start_both_apis(PROGRAM, settings))))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: check_provider(*one, clip_file, has_guide), connected))
        node, litellm = ["node", NODE_SCRIPT], [LITELLM_PYTHON, HERE / "video_litellm.py"]
        with ThreadPoolExecutor() as pool:
            checks = [pool.submit(check_other_client, *client, connected) for client in [("node", node), ("litellm", litellm)]]
            checks.append(pool.submit(check_several_providers, [provider for provider, _, _ in connected]))
            for check in checks:
                check.result()
        undocumented = [f"{provider.name}: {request}" for provider, _, _ in connected for request in provider.undocumented]
        assert not undocumented, "requests that the vendors do not document:\n" + "\n".join(undocumented)


main()

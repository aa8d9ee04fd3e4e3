"""Runs the image code blocks of the compatibility guide with Triptych in front of each image provider.

    guide_image_providers.py PATH_OF_TRIPTYCH
"""

import io
import os
import pathlib
import subprocess
import sys

from PIL import Image

import guide_file
from fake_provider import fake_provider, start_triptych

# The fixture for a request, the fixture for a poll of a task, and the settings that connect the provider.
PROVIDERS = {
    "doubao": ("image.json", None, lambda upstream: {
        "ARK_API_KEY": "k", "TRIPTYCH_IMAGE_DOUBAO_BASE_URL": f"{upstream}/api/v3",
    }),
    "nano_banana": ("image.json", None, lambda upstream: {
        "GEMINI_API_KEY": "k", "TRIPTYCH_IMAGE_NANO_BANANA_BASE_URL": f"{upstream}/v1beta",
    }),
    "midjourney": ("submitted.json", "singles.json", lambda upstream: {
        "MJ_BASE_URL": upstream, "MJ_API_SECRET": "k", "TRIPTYCH_IMAGE_MIDJOURNEY_POLL_INTERVAL": "100ms",
    }),
    "openai": ("gpt-image.json", None, lambda upstream: {"IMAGE_BASE_URL": f"{upstream}/v1", "IMAGE_API_KEY": "k"}),
}

# The number of images that the guide's code blocks request.
IMAGES = 9


def sample_png():
    out = io.BytesIO()
    Image.linear_gradient("L").resize((1232, 928)).convert("RGB").save(out, "PNG")
    return out.getvalue()


# Without the guide no provider would receive a request, which must not count as success.
guide_file.path()
for provider, (post_fixture, poll_fixture, settings) in PROVIDERS.items():
    get_fixture = lambda path, name=poll_fixture: name if "/task/" in path else None
    with fake_provider(provider, lambda *_, name=post_fixture: name, sample_png(), get_fixture) as (upstream, received):
        with start_triptych(sys.argv[1], {"IMAGE_SERVICE_TYPE": provider, **settings(upstream)}) as rest:
            blocks = pathlib.Path(__file__).with_name("guide_openai_0_28.py")
            environment = os.environ | {"TRIPTYCH_REST": rest.removesuffix("/v1")}
            subprocess.run([sys.executable, blocks, "images"], env=environment, check=True)
    requests = sum(request is not None for _, _, request in received)
    assert requests >= IMAGES, f"{provider} received {requests} requests, expected at least {IMAGES}"
    print(f"  ok   {provider}: {requests} images", flush=True)

"""The picture blocks of the customer's guide, as they stand there, against Triptych in front of each image provider.

    guide_images.py PATH_OF_TRIPTYCH
"""

import io
import os
import pathlib
import subprocess
import sys

from PIL import Image

import guide
from playing import playing, triptych

# What the scripted upstream answers to a request and to a look at a task, and what it takes to reach it.
PROVIDERS = {
    "doubao": ("picture.json", None, lambda upstream: {
        "ARK_API_KEY": "k", "TRIPTYCH_IMAGE_DOUBAO_BASE_URL": f"{upstream}/api/v3",
    }),
    "nano_banana": ("picture.json", None, lambda upstream: {
        "GEMINI_API_KEY": "k", "TRIPTYCH_IMAGE_NANO_BANANA_BASE_URL": f"{upstream}/v1beta",
    }),
    "midjourney": ("taken.json", "singles.json", lambda upstream: {
        "MJ_BASE_URL": upstream, "MJ_API_SECRET": "k", "TRIPTYCH_IMAGE_MIDJOURNEY_POLL_INTERVAL": "100ms",
    }),
    "openai": ("gpt-image.json", None, lambda upstream: {"IMAGE_BASE_URL": f"{upstream}/v1", "IMAGE_API_KEY": "k"}),
}

# How many pictures the guide's blocks ask for.
PICTURES = 9


def picture():
    out = io.BytesIO()
    Image.linear_gradient("L").resize((1232, 928)).convert("RGB").save(out, "PNG")
    return out.getvalue()


# Without it no provider would be asked anything, and that is no success.
guide.path()
for provider, (answer, look, settings) in PROVIDERS.items():
    looked_at = lambda path, look=look: look if "/task/" in path else None
    with playing(provider, lambda *_, answer=answer: answer, picture(), looked_at) as (upstream, seen):
        with triptych(sys.argv[1], {"IMAGE_SERVICE_TYPE": provider, **settings(upstream)}) as rest:
            blocks = pathlib.Path(__file__).with_name("guide_0_28.py")
            environment = os.environ | {"TRIPTYCH_REST": rest.removesuffix("/v1")}
            subprocess.run([sys.executable, blocks, "pictures"], env=environment, check=True)
    asked = sum(request is not None for _, _, request in seen)
    assert asked >= PICTURES, f"{provider} was asked for {asked} pictures, and not for the guide's {PICTURES}"
    print(f"  ok   {provider}: asked for {asked} pictures", flush=True)

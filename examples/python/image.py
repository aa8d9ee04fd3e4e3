"""An image with OpenAI's SDK, and an edit of it. pip install openai"""

import base64
import os
import pathlib

import openai

client = openai.OpenAI(
    base_url=os.environ.get("OPENAI_BASE_URL", "http://127.0.0.1:8000/v1"),
    api_key="not-needed",
)

linked = client.images.generate(prompt="A beautiful sunset over mountains", size="1024x1024")
print(linked.data[0].url)

inline = client.images.generate(prompt="一只可爱的猫", size="512x512", quality="hd", response_format="b64_json")
pathlib.Path("cat.png").write_bytes(base64.b64decode(inline.data[0].b64_json))

with open("cat.png", "rb") as file:
    edited = client.images.edit(image=file, prompt="the same by moonlight", size="512x512", response_format="b64_json")
pathlib.Path("cat-by-night.png").write_bytes(base64.b64decode(edited.data[0].b64_json))
print("cat.png, cat-by-night.png")

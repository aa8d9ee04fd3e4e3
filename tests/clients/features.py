"""Compares the table of providers in the README with the models that Triptych lists: features.py PATH_OF_TRIPTYCH

All providers are connected with keys that no request uses. `all` and `some` mean that all or some models of the default list have the
capability. The column for chat is about vendors and is not compared.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

from video_provider_tables import service_account

README = Path(__file__).parents[2] / "README.md"
# Columns of the table, with the modality and the capability of a model; None: the model itself.
COLUMNS = {
    "images": ("image", None), "edits": ("image", "edit"), "previews": ("image", "preview"), "videos": ("video", None),
    "last frame": ("video", "last_frame"), "references": ("video", "references"), "sound": ("video", "audio"), "edit": ("video", "edit"),
    "extend": ("video", "extend"),
}
# The beginning of each row, and its owners in the list of models (`owned_by`): of images, of videos.
ROWS = {
    "OpenAI": ("openai", "openai"), "Alibaba": ("dashscope", "wan"), "Volcengine": ("doubao", "seedance"), "Gemini": ("google", "gemini"),
    "Vertex": (None, "vertex"), "fal": (None, "fal"), "Kling": (None, "kling"), "Midjourney": ("midjourney", "midjourney"),
    "MiniMax": (None, "minimax"), "Runway": (None, "runway"), "Vidu": (None, "vidu"), "xAI": (None, "xai"),
    "built-in": ("offline", "offline"),
}
# The setting that connects each provider.
KEYS = {
    "image": {"openai": "api_key", "doubao": "api_key", "nano_banana": "api_key", "dashscope": "api_key", "midjourney": "base_url"},
    "video": {"openai": "api_key", "fal": "api_key", "gemini": "api_key", "kling": "api_key", "midjourney": "base_url", "minimax": "api_key",
              "runway": "api_key", "seedance": "api_key", "vidu": "api_key", "wan": "api_key", "xai": "api_key"},
}  # fmt: skip


def list_models(program: str, **variables: str) -> list[dict]:
    """Starts Triptych with these variables and returns its models."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH"}
    ports = {"TRIPTYCH_REST_LISTEN": "127.0.0.1:0", "TRIPTYCH_GRPC_LISTEN": "127.0.0.1:0", "TRIPTYCH_LOG_FILTER": "error"}
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen([program], cwd=directory, env=kept | ports | variables, stdout=subprocess.PIPE, text=True)
        try:
            for line in process.stdout:
                if found := re.match(r" *REST +(http\S+)", line):
                    with urllib.request.urlopen(f"{found[1]}/models") as response:
                        return json.load(response)["data"]
            raise AssertionError("Triptych did not start")
        finally:
            process.kill()
            process.wait()


def cell(models: list[dict], modality: str, capability: str | None, owner: str | None) -> str:
    """Returns what the table must have for a provider."""
    owned = [model for model in models if model["modality"] == modality and model["owned_by"] == owner]
    having = [model for model in owned if capability is None or capability in model["capabilities"]]
    return "" if not having else "all" if len(having) == len(owned) else "some"


def main() -> None:
    # A model of both the Gemini API and Vertex AI is listed once, so that Vertex AI has a server of its own.
    others = {
        f"TRIPTYCH_{modality}_{name}_{key}".upper(): "key" if key == "api_key" else "http://127.0.0.1:9"
        for modality, providers in KEYS.items()
        for name, key in providers.items()
    }
    models = list_models(sys.argv[1], **others)
    vertex = list_models(sys.argv[1], TRIPTYCH_VIDEO_VERTEX_CREDENTIALS=service_account().replace("URL", "http://127.0.0.1:9"))
    models += [model for model in vertex if model["owned_by"] == "vertex"]

    table = re.findall(r"^\| (.*) \|$", README.read_text("utf-8").split("\n## Providers and features\n")[1].split("\n## ")[0], re.MULTILINE)
    head, _, *rows = ([re.sub(r"\[(\w+)\]\(.*\)", r"\1", text.strip()) for text in re.split(r" ?\|", row)] for row in table)
    for row in rows:
        (owners,) = [owners for name, owners in ROWS.items() if row[0].startswith(name)]
        for name, (modality, capability) in COLUMNS.items():
            expected = cell(models, modality, capability, owners[modality == "video"])
            assert row[head.index(name)] == expected, f"README.md, {row[0]}, {name}: expected {expected!r}, found {row[head.index(name)]!r}"
    assert len(rows) == len(ROWS), f"{len(rows)} rows, expected {len(ROWS)}"
    print(f"  ok   table of providers: {len(rows)} rows, {len(models)} models")


if __name__ == "__main__":
    main()

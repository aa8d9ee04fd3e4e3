"""Finds the compatibility guide: a Markdown document, not part of this repository, whose code blocks with the SDK `openai` 0.28
must run unchanged with Triptych."""

import os
import pathlib
import sys


def find():
    """Returns the path of the guide, or None."""
    root = pathlib.Path(__file__).resolve().parents[2]
    path = pathlib.Path(os.environ.get("COMPATIBILITY_GUIDE") or root.parent / "shared/openai-sdk-compatibility-guide.md")
    if path.is_file():
        return path
    print(f"SKIPPED guide: no file at {path}; COMPATIBILITY_GUIDE sets another path", flush=True)
    return None


def path():
    """Returns the path of the guide. Without one the program ends with a message and status 0."""
    return find() or sys.exit(0)

"""Where the customer's guide lies, which is no part of this repository."""

import os
import pathlib
import sys


def path():
    """The guide. Without one there is nothing to run, which is said and ends the program well."""
    root = pathlib.Path(__file__).resolve().parents[2]
    path = pathlib.Path(os.environ.get("COMPATIBILITY_GUIDE") or root.parent / "shared/openai-sdk-compatibility-guide.md")
    if not path.is_file():
        print(f"SKIPPED: there is no guide at {path}; COMPATIBILITY_GUIDE names another place", flush=True)
        sys.exit(0)
    return path

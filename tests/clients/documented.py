"""Runs the programs of a page of the documentation, in the order of the page, and compares their output with the answers on it.

    documented.py PAGE [NODE_DIRECTORY]

Runs blocks of Python and JavaScript, and blocks of bash that call the server with curl. JavaScript runs in NODE_DIRECTORY, which has the
packages of the page. Commands that start programs or install packages, and those that need grpcurl, are not run. Of an answer in JSON,
each name must be in the output of the program before it; of an answer in plain text, each line up to the first `…`.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def command(language: str, text: str) -> list[str] | None:
    """Returns the command for a block, or None if it is not a program for the server under test."""
    if language == "python":
        return [sys.executable, "-c", text]
    if language == "js":
        # Node looks for packages beside the file.
        file = Path(sys.argv[2], "documented.mjs")
        file.write_text(text, "utf-8")
        return ["node", str(file)]
    return ["bash", "-euo", "pipefail", "-c", text] if language == "bash" and re.search(r"\bcurl .*http", text) else None


def missing(language: str, answer: str, output: str) -> list[str]:
    """Returns the parts of an answer on the page that are not in the output."""
    if language == "json":
        return [name for name in re.findall(r'"(\w+)":', answer) if f'"{name}":' not in output]
    return [line for line in answer.splitlines() if line.split("…")[0] not in output]


def main() -> None:
    page = Path(sys.argv[1]).read_text("utf-8").replace("http://127.0.0.1:8000", os.environ["TRIPTYCH_REST"])
    output, ran = None, 0
    for language, text in BLOCK.findall(page):
        if language in ("json", "text") and output is not None:
            absent = missing(language, text, output)
            assert not absent, f"not in the output: {absent}\n{output}"
        elif run := command(language, text):
            done = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
            assert done.returncode == 0, f"exit status {done.returncode}\n{text}\n{done.stdout}{done.stderr}"
            output, ran = done.stdout, ran + 1
            print(f"  ok   {Path(sys.argv[1]).name}, {language} {ran}", flush=True)
        else:
            output = None
    assert ran, "the page has no program"


if __name__ == "__main__":
    main()

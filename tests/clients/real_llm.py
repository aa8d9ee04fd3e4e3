"""Chat completions of a llama.cpp server through Triptych: streaming, usage, stop sequences, limits, disconnects, load.

    real_llm.py PATH_OF_TRIPTYCH MODEL_FILE

Starts both servers on free ports.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from openai import BadRequestError, OpenAI

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
# The default name of Triptych's chat model. The llama.cpp server has one model, whatever the request names.
MODEL = "qwen3-next-80b-a3b-instruct"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: list[str], ready: str, **options):
    """Runs a server. Yields its process once the URL `ready` answers 200."""
    process = subprocess.Popen(command, **options)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(ready, timeout=5) as response:
                    if response.status == 200:
                        break
            except OSError:
                pass
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            assert time.monotonic() < deadline, f"{ready} did not respond within two minutes"
            time.sleep(0.2)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def busy_slots(llama: str) -> int:
    """Returns the number of requests that the LLM server is processing, each in a slot."""
    with urllib.request.urlopen(f"{llama}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return int(float(next(line.split()[1] for line in lines if line.startswith("llamacpp:requests_processing "))))


def check_responses(client: OpenAI, llama: str) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=2, temperature=0)
    assert completion.choices[0].message.content.strip().startswith("Paris"), completion
    assert completion.model == MODEL and completion.choices[0].finish_reason == "length", completion
    assert completion.usage.completion_tokens == 2 and completion.usage.prompt_tokens > 5, completion.usage
    print("non-streaming:", completion.choices[0].message.content.strip(), completion.usage.total_tokens, "tokens")

    stream = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=6, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip().startswith("Paris"), text
    assert len({chunk.id for chunk in chunks}) == 1 and {chunk.model for chunk in chunks} == {MODEL}
    assert chunks[-1].usage.completion_tokens == 6 and not chunks[-1].choices
    print("streamed:", repr(text), "in", len(chunks), "chunks")

    stopped = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=50, temperature=0, stop=["\n"])
    assert stopped.choices[0].finish_reason == "stop" and "\n" not in stopped.choices[0].message.content, stopped
    print("stopped:", repr(stopped.choices[0].message.content))

    # Members of the llama.cpp API are forwarded unchanged in both directions.
    vendor = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=1, extra_body={"n_probs": 2, "top_k": 1, "cache_prompt": False}
    )
    assert vendor.timings["predicted_n"] == 1, vendor
    print("vendor members:", sorted(vendor.model_extra))

    try:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "long " * 20000}])
        raise AssertionError("a prompt longer than the context was accepted")
    except BadRequestError as error:
        assert "context" in error.message, error
        print("rejected:", error.message[:80])

    stream = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=3000, stream=True)
    next(iter(stream))
    assert busy_slots(llama) == 1
    stream.close()
    start = time.monotonic()
    while busy_slots(llama) > 0:
        assert time.monotonic() - start < 10, "the LLM server still processes a request whose client has disconnected"
        time.sleep(0.05)
    print(f"disconnected: the slot was free after {time.monotonic() - start:.2f} s")


def under_load(client: OpenAI, llama: str, triptych: int) -> None:
    """Sends many calls, half of which disconnect within the response. Their slots must become free, and memory must not grow."""

    def memory() -> int:
        """Returns Triptych's resident memory in KiB."""
        status = Path(f"/proc/{triptych}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))

    def call(number: int) -> int:
        stream = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=24, stream=True)
        if number % 2:
            next(iter(stream))
            stream.close()
            return 0
        return len(list(stream))

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(call, range(16)))
        warm = memory()
        chunk_counts = [count for count in clients.map(call, range(64)) if count]
    assert len(chunk_counts) == 32 and min(chunk_counts) > 1, chunk_counts
    start = time.monotonic()
    while busy_slots(llama) > 0:
        assert time.monotonic() - start < 10, "the LLM server still processes requests whose clients have disconnected"
        time.sleep(0.05)
    after = memory()
    assert after < warm + 4096, f"memory grew from {warm} to {after} KiB"
    print(f"under load: 32 completed, 32 disconnected, all slots free after {time.monotonic() - start:.2f} s, memory {warm} -> {after} KiB")


def main() -> None:
    triptych, model = sys.argv[1], sys.argv[2]
    here = Path(__file__).parent
    llama_port, rest, grpc = free_port(), free_port(), free_port()
    llama = f"http://127.0.0.1:{llama_port}"
    with (
        tempfile.TemporaryDirectory() as data,
        running([sys.executable, str(here / "llama_server.py"), str(llama_port), model], f"{llama}/health"),
        running(
            [triptych],
            f"http://127.0.0.1:{rest}/readyz",
            env={
                **os.environ,
                "CHAT_BASE_URL": f"{llama}/v1",
                "TRIPTYCH_REST_LISTEN": f"127.0.0.1:{rest}",
                "TRIPTYCH_GRPC_LISTEN": f"127.0.0.1:{grpc}",
                "TRIPTYCH_DATA_DIR": data,
            },
        ) as server,
    ):
        client = OpenAI(base_url=f"http://127.0.0.1:{rest}/v1", api_key="none", max_retries=0)
        check_responses(client, llama)
        under_load(client, llama, server.pid)
    print("7 passed, 0 failed")


if __name__ == "__main__":
    main()

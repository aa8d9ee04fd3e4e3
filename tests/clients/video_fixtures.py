"""Reads the video fixtures of Runway and of the Gemini API with the official clients.

    video_fixtures.py

The id of a task is the name of a fixture in tests/fixtures/video/PROVIDER.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import runwayml
from google import genai

FIXTURES = Path(__file__).parents[1] / "fixtures/video"


@contextmanager
def upstream(provider):
    """Serves the fixtures of a provider, and yields the URL."""

    class Upstream(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.respond(self.path.split("?")[0].rsplit("/", 1)[1])

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            self.respond("created.json")

        def respond(self, name):
            body = (FIXTURES / provider / name).read_bytes().replace(b"TASK_ID", b"task-1")
            parts = name.split(".")
            self.send_response(int(parts[-2]) if len(parts) > 2 else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def check_runway():
    with upstream("runway") as url:
        client = runwayml.RunwayML(api_key="k", base_url=url, max_retries=0)
        created = client.text_to_video.create(model="gen4.5", prompt_text="a boat", ratio="1280:720", duration=5)
        assert created.id == "task-1", created
        for name, status in [
            ("pending.json", "PENDING"), ("throttled.json", "THROTTLED"), ("running.json", "RUNNING"),
            ("succeeded.json", "SUCCEEDED"), ("cancelled.json", "CANCELLED"), ("failed-output-safety.json", "FAILED"),
            ("failed-without-code.json", "FAILED"),
        ]:
            task = client.tasks.retrieve(name)
            assert (task.id, task.status) == ("task-1", status), f"{name}: {task}"
        assert client.tasks.retrieve("running.json").progress == 0.42
        assert client.tasks.retrieve("succeeded.json").output == ["UPSTREAM/output/task-1.mp4?_jwt=e30.sig"]
        assert client.tasks.retrieve("failed-output-safety.json").failure_code == "SAFETY.OUTPUT.VIDEO"
        for name, error in [
            ("invalid-key.401.json", runwayml.AuthenticationError), ("credits.400.json", runwayml.BadRequestError),
            ("not-found.404.json", runwayml.NotFoundError), ("rate.429.json", runwayml.RateLimitError),
            ("internal.500.json", runwayml.InternalServerError),
        ]:
            try:
                client.tasks.retrieve(name)
            except error as raised:
                assert raised.body["error"] == json.loads((FIXTURES / "runway" / name).read_text())["error"].replace("TASK_ID", "task-1")
            else:
                raise AssertionError(f"{name} raised no error")
    print("  ok   Runway's client reads the fixtures")


def check_gemini():
    with upstream("gemini") as url:
        client = genai.Client(api_key="k", http_options=genai.types.HttpOptions(base_url=url))
        created = client.interactions.create(model="gemini-omni-1.2-flash", input="a boat", background=True)
        assert (created.id, created.status) == ("task-1", "in_progress"), created
        for name, status in [
            ("queued.json", "queued"), ("in-progress.json", "in_progress"), ("completed.json", "completed"),
            ("failed-without-error.json", "failed"), ("cancelled.json", "cancelled"), ("incomplete.json", "incomplete"),
        ]:
            interaction = client.interactions.get(name)
            assert (interaction.id, interaction.status) == ("task-1", status), f"{name}: {interaction}"
        video = client.interactions.get("completed.json").output_video
        assert video.uri == "UPSTREAM/v1beta/files/task-1" and video.mime_type == "video/mp4", video
        assert client.interactions.get("completed-with-text.json").output_text == "I need more details about the boat."
    print("  ok   Google's client reads the fixtures")


check_runway()
check_gemini()

"""A video provider that accepts exactly the requests that its vendor documents, and responds with the fixtures of the tests."""

import base64
import contextlib
import email
import json
import re
import struct
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from fake_provider import status_of
from shapes import mismatch
from video_provider_tables import PROVIDERS, Api

FIXTURES = Path(__file__).parents[1] / "fixtures/video"
# A task whose prompt has this word runs until it is cancelled.
ENDLESS = "endless"


@dataclass
class Task:
    id: str
    api: Api
    path: str  # of the submission
    text: str  # the body of the submission
    polls: int = 0
    stopped: bool = False
    calls: list[str] = field(default_factory=list)  # the later requests: poll, link, file, cancel

    def expand(self, template):
        """Returns the request `METHOD PATH` that a template of the table stands for."""
        app = "/".join(self.path.split("/")[:3])
        return template.replace("PATH", self.path).replace("APP", app).replace("ID", self.id)

    def state(self):
        """Returns the fixture for the current state."""
        if self.stopped and self.api.cancelled:
            return self.api.cancelled
        last = len(self.api.states) - (2 if ENDLESS in self.text else 1)
        return self.api.states[min(self.polls, last)]


class ScriptedProvider:
    """Serves the API of a provider on a free port. `requests` has the task and the call of each request line that the submissions
    so far make valid; `undocumented` lists the received requests that the vendor does not document."""

    def __init__(self, name, clip):
        self.name, self.clip, self.provider = name, clip, PROVIDERS[name]
        self.tasks, self.undocumented, self.requests, self.lock = [], [], {}, threading.Lock()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def settings(self):
        """Returns the environment variables that connect Triptych to this server."""
        interval = {f"TRIPTYCH_VIDEO_{self.name.upper()}_POLL_INTERVAL": "100ms"}
        return interval | {name: value.replace("URL", self.url) for name, value in self.provider.settings.items()}

    def tasks_of(self, prompt):
        """Returns the tasks with a prompt."""
        with self.lock:
            return [task for task in self.tasks if json.dumps(prompt, ensure_ascii=False) in task.text]

    def file(self, task):
        """Returns the video of a task: the clip, with the id of the task in a box that players skip."""
        return self.clip + struct.pack(">I4s", 8 + len(task.id), b"free") + task.id.encode()

    def respond(self, method, target, headers, raw):
        """Returns status, content type and body of the response to a request."""
        line = f"{method} {target.split('?')[0]}"
        with self.lock:
            if self.provider.token and line == f"POST {self.provider.token}":
                return self._exchange(line, raw)
            task, call = self.requests.get(f"{method} {target}") or self.requests.get(line) or (None, None)
            apis = [api for api in self.provider.apis if re.fullmatch(api.submit, line)]
            if not task and not apis and line not in self.provider.lists:
                return self._refuse(404, f"{method} {target}: no such path")
            if wrong := self._wrong_key(call, task, headers):
                return self._refuse(401, f"{method} {target}: {wrong}")
            if task:
                return self._respond_for(task, call)
            if method == "GET":
                return self._list(self.provider.lists[line])
            return self._submit(line, apis[0], headers, raw)

    def _exchange(self, line, raw):
        """Returns the response to a token request of the service account: the provider's key as access token, or a refusal."""
        form = urllib.parse.parse_qs(raw.decode())
        shape = {"grant_type": [{"urn:ietf:params:oauth:grant-type:jwt-bearer"}], "assertion": [re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")]}
        if wrong := mismatch(form, shape):
            return self._refuse(400, f"{line}: {wrong}")
        claims = json.loads(base64.urlsafe_b64decode(form["assertion"][0].split(".")[1] + "=="))
        if claims["aud"] != f"{self.url}{self.provider.token}":
            return self._refuse(400, f"{line}: the audience is {claims['aud']}")
        token = {"access_token": self.provider.header[1].removeprefix("Bearer "), "expires_in": 3599, "token_type": "Bearer"}
        return 200, "application/json", json.dumps(token).encode()

    def _wrong_key(self, call, task, headers):
        """Returns the reason why the headers are wrong, if they are: the key is required, or must not be sent."""
        name, value = self.provider.header
        if call == "file" and not task.api.file_has_key:
            return f"a link with {name}" if name in headers else None
        if headers.get(name) != value:
            return f"{name}: {headers.get(name)}"
        return next((f"{name} is sent" for name in self.provider.no_headers if name in headers), None)

    def _submit(self, line, api, headers, raw):
        try:
            body = parse(headers, raw)
        except ValueError as error:
            return self._refuse(400, f"{line}: {error}")
        if self.provider.has_nulls:
            body = {name: value for name, value in body.items() if value is not None}
        wrong = mismatch(body, api.body) or (api.rule and api.rule(body))
        wrong = wrong or next((name for name, value in api.headers.items() if headers.get(name) != value), None)
        if wrong:
            return self._refuse(400, f"{line}: {wrong}")
        text = json.dumps(body, ensure_ascii=False)
        task = Task(f"{self.name}-{len(self.tasks) + 1}", api, line.split(" ")[1], text)
        self.tasks.append(task)
        calls = {"poll": api.poll, "link": api.link and api.link[0], "cancel": api.cancel and api.cancel[0]}
        calls |= {f"file{i}": f"GET {path}" for i, path in enumerate(api.files)}
        for call, template in calls.items():
            if template:
                self.requests[task.expand(template)] = (task, call.rstrip("0123456789"))
        return self._fixture(task, api.created)

    def _respond_for(self, task, call):
        task.calls.append(call)
        if call == "file":
            return 200, "video/mp4", self.file(task)
        if call == "cancel":
            task.stopped = True
            return self._fixture(task, task.api.cancel[1])
        if call == "link":
            return self._fixture(task, task.api.link[1])
        name = task.state()
        task.polls += 1
        return self._fixture(task, name)

    def _list(self, combine):
        tasks = [json.loads(self._fixture(task, task.state())[2]) for task in reversed(self.tasks)]
        return 200, "application/json", json.dumps(combine(tasks)).encode()

    def _fixture(self, task, name):
        text = (FIXTURES / self.name / name).read_text().replace("TASK_ID", task.id)
        if not task.api.file_has_key:
            # Files are on another host than the API.
            for path in map(task.expand, task.api.files):
                text = text.replace(f"UPSTREAM{path}", self.url.replace("127.0.0.1", "localhost") + path)
        return status_of(name), "application/json", text.replace("UPSTREAM", self.url).encode()

    def _refuse(self, status, problem):
        self.undocumented.append(problem)
        return status, "text/plain", problem.encode()

    def _handler(provider):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self):
                raw = self.rfile.read(int(self.headers["content-length"] or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, content_type, body = provider.respond(self.command, self.path, headers, raw)
                self.send_response(status)
                if status != 204:
                    self.send_header("content-type", content_type)
                    self.send_header("content-length", str(len(body)))
                # Triptych disconnects when a video is cancelled.
                with contextlib.suppress(ConnectionError):
                    self.end_headers()
                    self.wfile.write(body if status != 204 else b"")

            do_GET = do_POST = do_PUT = do_DELETE = respond

            def log_message(self, *_):
                pass

        return Handler


def parse(headers, raw):
    """Returns the members of a JSON or multipart body; of a file its name, type and length."""
    content_type = headers.get("content-type", "")
    if not content_type.startswith("multipart/form-data"):
        return json.loads(raw)
    message = email.message_from_bytes(f"content-type: {content_type}\r\n\r\n".encode() + raw)
    members = {}
    for part in message.get_payload():
        name = part.get_param("name", header="content-disposition")
        data = part.get_payload(decode=True)
        filename = part.get_filename()
        members[name] = {"filename": filename, "type": part.get_content_type(), "bytes": len(data)} if filename else data.decode()
    return members

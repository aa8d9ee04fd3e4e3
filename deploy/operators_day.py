#!/usr/bin/env python3
"""Does with a release archive what an operator does in a day, as on a machine without other software.

    operators_day.py ARCHIVE

Installs the archive, writes a configuration, probes a scripted upstream, starts the service with the command line of its systemd unit, and
then: two teams spend their budgets under load; every query of the dashboards whose metrics exist returns data from Prometheus; the alert
rule for stuck jobs fires; a key is created, limited, rotated and revoked and a price changed without a restart; a backup is made
while videos render, and restored; two processes behind a load balancer are restarted under load. Needs Python; without `prometheus`, or
without both `haproxy` and `nginx`, the steps with them are skipped with a message.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from http.server import ThreadingHTTPServer
from pathlib import Path

import check
from check import OPENER, queries, selectors

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "clients"))
from load_balancers import chat_only
from processes import executable
from server import free_port

# As many tokens as the calls permit.
USAGE = {"prompt_tokens": 3, "completion_tokens": 1000, "total_tokens": 1003}
ADMIN = "the-key-of-the-operator"
# The budget of each team, and the cost of a chat call at the first price and at the second, in US dollars.
BUDGETS = {"research": 0.50, "sales": 0.20}
FIRST_COST, SECOND_COST = 0.01, 0.02
# The time without an end of a job after which the alert fires here instead of after half an hour, in seconds.
STUCK_SECONDS = 3


class Upstream(check.Upstream):
    """A chat upstream, and a video upstream whose renders never end. Both require the key `upstream-key`."""

    def has_key(self) -> bool:
        """Responds with 401 to a request without the key."""
        if self.headers["authorization"] == "Bearer upstream-key":
            return True
        self.respond_json(401, {"error": {"message": "wrong key"}})
        return False

    def do_GET(self) -> None:
        if not self.has_key():
            return None
        if self.path.endswith("/models"):
            models = [{"id": name, "object": "model"} for name in ("day-chat", "day-video")]
            return self.respond_json(200, {"object": "list", "data": models})
        return self.respond_json(200, {"id": "task", "object": "video", "status": "in_progress", "progress": 10})

    def do_POST(self) -> None:
        request = self.rfile.read(int(self.headers["content-length"]))
        if not self.has_key():
            return None
        if self.path.endswith("/videos") and b"refused" in request:
            return self.respond_json(400, {"error": {"message": "not this subject", "code": "invalid_value"}})
        if self.path.endswith("/videos"):
            return self.respond_json(200, {"id": "task", "object": "video", "status": "queued", "progress": 0})
        if json.loads(request).get("stream"):
            return self.stream()
        message = {"index": 0, "message": {"role": "assistant", "content": "Good morning"}, "finish_reason": "stop"}
        return self.respond_json(200, {"id": "c", "object": "chat.completion", "created": 1, "model": "day-chat", "choices": [message], "usage": USAGE})

    def do_DELETE(self) -> None:
        return self.respond_json(200, {"id": "task", "object": "video.deleted", "deleted": True})

    def stream(self) -> None:
        choices = [[{"index": 0, "delta": {"content": word}, "finish_reason": None}] for word in ("Good", " morning")] + [[]]
        choices[1][0]["finish_reason"] = "stop"
        chunks = [{"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "day-chat", "choices": choice} for choice in choices]
        chunks[-1]["usage"] = USAGE
        events = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks] + ["data: [DONE]\n\n"]
        self.respond(200, "text/event-stream", "".join(events).encode())

    def respond_json(self, status: int, body: dict) -> None:
        self.respond(status, "application/json", json.dumps(body).encode())


class Machine:
    """The machine: the unpacked archive, the directories of the service below a temporary one, and the running service."""

    def __init__(self, archive: Path, place: Path) -> None:
        with tarfile.open(archive) as files:
            files.extractall(place, filter="data")
        (self.root,) = place.iterdir()
        self.program = self.root / "triptych"
        self.place = place
        self.configuration = place / "etc/triptych.toml"
        self.configuration.parent.mkdir()
        self.state = place / "state"
        self.state.mkdir()
        self.admin = free_port()
        self.process: subprocess.Popen | None = None

    def run(self, *arguments: str, status: int = 0) -> str:
        """Runs a command of the program with the configuration, and returns what it prints."""
        command = [self.program, "--config", self.configuration, *arguments]
        result = subprocess.run(command, cwd=self.state, env=self.environment(), capture_output=True, text=True, timeout=120)
        assert result.returncode == status, f"{arguments}: exit status {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout + result.stderr

    def environment(self, **more: str) -> dict[str, str]:
        """Returns an environment without settings, as that of a service."""
        return {"PATH": os.environ["PATH"], **more}

    def configure(self, upstream: str, price: float) -> None:
        teams = "".join(
            f'[[teams]]\nname = "{team}"\nlimits = {{ budget_per_month = "{budget:.2f}" }}\n'
            f'[[keys]]\nname = "{team}-app"\nsecret = "secret-of-the-{team}-app"\nteam = "{team}"\n'
            for team, budget in BUDGETS.items()
        )
        million = price * 1e6 / USAGE["completion_tokens"]
        self.configuration.write_text(f"""
data_dir = "data"
[rest]
listen = "127.0.0.1:0"
[grpc]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:{self.admin}"
[chat]
base_url = "{upstream}/v1"
api_key = "upstream-key"
model = "day-chat"
[video.openai]
base_url = "{upstream}/v1"
api_key = "upstream-key"
models = ["day-video"]
[[prices]]
model = "day-chat"
per_million_output_tokens = "{million:.2f}"
max_output_tokens = 1000
[[prices]]
model = "*-video*"
per_second = "0.01"
[[keys]]
name = "operator"
secret = "{ADMIN}"
admin = true
{teams}""")

    def start(self, *, state: Path | None = None) -> None:
        """Starts the service with the command line of its systemd unit, with temporary directories in place of the unit's."""
        unit = (self.root / "systemd/triptych.service").read_text()
        command = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1]
        places = {"/usr/bin/triptych": str(self.program), "/etc/triptych/triptych.toml": str(self.configuration)}
        arguments = [places.get(word, word) for word in shlex.split(command)]
        assert str(self.program) in arguments and str(self.configuration) in arguments, command
        log = (self.place / "log").open("a")
        self.process = subprocess.Popen(arguments, cwd=state or self.state, env=self.environment(), stdout=subprocess.PIPE, stderr=log, text=True)
        for line in self.process.stdout:
            if match := re.match(r" *REST +(http\S+?)/v1", line):
                self.url = match[1]
            if "Settings: " in line:
                return
        raise AssertionError("the service did not start\n" + (self.place / "log").read_text())

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0, "the service did not shut down gracefully"
        self.process = None

    def call(self, path: str, key: str, body: object = None, method: str | None = None) -> tuple[int, dict]:
        status, answer = self.fetch(path, key, body, method)
        return status, json.loads(answer)

    def fetch(self, path: str, key: str, body: object = None, method: str | None = None) -> tuple[int, bytes]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        # The admin port has the paths of administrators, and the public port has not.
        url = f"http://127.0.0.1:{self.admin}" if path.startswith("/admin/") else self.url
        request = urllib.request.Request(url + path, data, headers, method=method)
        try:
            with OPENER.open(request, timeout=60) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def chat(self, key: str, *, stream: bool = False) -> int:
        body = {"model": "day-chat", "messages": [{"role": "user", "content": "Good morning"}], "max_tokens": 1000, "stream": stream}
        return self.fetch("/v1/chat/completions", key, body)[0]

    def video(self, model: str, prompt: str = "a boat in the morning") -> str:
        body = {"model": model, "prompt": prompt, "seconds": "1", "size": "64x64"}
        status, video = self.call("/v1/videos", ADMIN, body)
        assert status == 200, video
        return video["id"]

    def scrape(self) -> str:
        with OPENER.open(f"http://127.0.0.1:{self.admin}/metrics", timeout=10) as response:
            return response.read().decode()


def wait_until(what: str, condition, seconds: float = 60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


def install(machine: Machine, upstream: str) -> None:
    """`init` writes a valid starter file, `check` displays no secret, and `check --probe` names a wrong key and accepts the right one."""
    starter = machine.configuration
    machine.run("init", str(starter))
    machine.run("check")
    machine.configure(upstream, FIRST_COST)
    right = starter.read_text()
    starter.write_text(right.replace('api_key = "upstream-key"', 'api_key = "another-key"'))
    assert "another-key" not in machine.run("check"), "check displays a secret"
    refused = machine.run("check", "--probe", status=1)
    # The connections for chat and for videos have the same key.
    assert refused.count("401 Unauthorized: the API key is refused") == 2 and "another-key" not in refused, refused
    starter.write_text(right)
    print("   ", machine.run("check", "--probe").strip().replace("\n", "\n    "))


def spend(machine: Machine) -> None:
    """Two teams call until their budgets refuse further calls. Neither spends more than its budget."""
    outcomes: dict[str, Counter] = {team: Counter() for team in BUDGETS}

    def client(team: str) -> None:
        for number in range(40):
            outcomes[team][machine.chat(f"secret-of-the-{team}-app", stream=number % 2 == 1)] += 1

    threads = [threading.Thread(target=client, args=(team,)) for team in BUDGETS for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for team, budget in BUDGETS.items():
        assert set(outcomes[team]) == {200, 429}, outcomes
        status, budgets = machine.call("/v1/budgets", f"secret-of-the-{team}-app")
        spent = [float(entry["spent"]) for entry in budgets["data"] if entry["name"] == team]
        assert status == 200 and spent and 0 < max(spent) <= budget, budgets
        assert outcomes[team][200] <= round(budget / FIRST_COST), outcomes
        print(f"    {team}: {outcomes[team][200]} calls, then 429; spent {max(spent):.2f} of {budget:.2f}")
    status, usage = machine.call("/v1/usage?group_by=team", ADMIN)
    assert status == 200 and {row["team"] for row in usage["data"]} >= set(BUDGETS), usage


def watch(machine: Machine, deploy: Path) -> None:
    """Prometheus scrapes the service: the queries of the dashboards return data, and the alert for stuck jobs fires."""
    program = shutil.which("prometheus")
    if not program:
        print("    SKIPPED dashboards and alert: prometheus is not installed")
        return
    place = machine.place / "prometheus"
    place.mkdir()
    rules = (deploy / "prometheus/alerts.yml").read_text()
    stuck = re.search(r"alert: TriptychJobStuck\n +expr: .* > (1800)\n +for: (1m)\n", rules)
    rules = rules[: stuck.start(1)] + str(STUCK_SECONDS) + rules[stuck.end(1) : stuck.start(2)] + "1s" + rules[stuck.end(2) :]
    (place / "alerts.yml").write_text(rules)
    (place / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [alerts.yml]\n"
        f"scrape_configs: [{{job_name: triptych, static_configs: [{{targets: ['127.0.0.1:{machine.admin}']}}]}}]\n"
    )
    port = free_port()
    options = [f"--web.listen-address=127.0.0.1:{port}", f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/data"]
    prometheus = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL, stderr=(place / "log").open("w"))

    def ask(path: str, **parameters: str) -> dict:
        with contextlib.suppress(OSError), OPENER.open(f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}") as reply:
            return json.load(reply)["data"]
        return {}

    def firing() -> list[str]:
        return [alert["labels"]["alertname"] for alert in ask("alerts").get("alerts", []) if alert["state"] == "firing"]

    try:
        # One job that does not end, one that fails, and one that succeeds, so that the queries about each have data.
        stuck_video = machine.video("day-video")
        machine.video("day-video", "to be refused")
        machine.video("offline-video")
        wait_until("the alert for the stuck job fires", lambda: "TriptychJobStuck" in firing())
        print("    TriptychJobStuck fires for", stuck_video)
        # Rates need two scrapes with a change between them.
        known = set(re.findall(r"^(triptych_\w+?)(?:\{| )", machine.scrape(), re.MULTILINE))
        dashboards = [(place, query) for place, query in queries() if not place.startswith("alerts.yml")]
        active = [(place, query) for place, query in dashboards if all(name in known for name, _ in selectors(query))]

        def without_data() -> list[str]:
            machine.chat(ADMIN)
            asked = (re.sub(r"\$__rate_interval|\$__interval", "1m", query) for _, query in active)
            asked = [re.sub(r'=~"\$\w+"', '=~".*"', query) for query in asked]
            return [place for (place, _), query in zip(active, asked, strict=True) if not ask("query", query=query).get("result")]

        wait_until("all queries return data", lambda: not without_data())
        print(f"    {len(active)} of {len(dashboards)} queries of the dashboards return data; the others are about events that did not occur")
        status, _ = machine.call(f"/v1/videos/{stuck_video}/cancel", ADMIN, {})
        assert status == 200
    finally:
        prometheus.terminate()
        prometheus.wait(30)


def change(machine: Machine, upstream: str) -> None:
    """A key is created, limited, rotated and revoked, and a price changed, without a restart and without a lost call."""
    process = machine.process.pid
    limits = {"budget_total": "0.02"}
    status, key = machine.call("/admin/v1/keys", ADMIN, {"name": "intern", "limits": limits})
    assert status in (200, 201), key
    first = key["secret"]
    assert [machine.chat(first) for _ in range(3)] == [200, 200, 429]
    status, key = machine.call("/admin/v1/keys/intern", ADMIN, {"limits": {"budget_total": "1"}})
    assert status == 200 and machine.chat(first) == 200, key
    status, key = machine.call("/admin/v1/keys/intern/rotate", ADMIN, {})
    assert status == 200 and machine.chat(first) == 401 and machine.chat(key["secret"]) == 200, key
    assert machine.call("/admin/v1/keys/intern/revoke", ADMIN, {})[0] == 200 and machine.chat(key["secret"]) == 401
    machine.configure(upstream, SECOND_COST)
    machine.process.send_signal(signal.SIGHUP)

    def price() -> float:
        request = urllib.request.Request(
            f"{machine.url}/v1/chat/completions",
            json.dumps({"model": "day-chat", "messages": [{"role": "user", "content": "Hi"}]}).encode(),
            {"authorization": f"Bearer {ADMIN}", "content-type": "application/json"},
        )
        with OPENER.open(request, timeout=60) as response:
            return float(response.headers["x-triptych-cost-usd"])

    wait_until("the new price applies", lambda: price() == SECOND_COST)
    assert machine.process.pid == process and machine.process.poll() is None
    keys = {row["key"] for row in machine.call("/v1/usage?group_by=key", ADMIN)[1]["data"]}
    assert "intern" in keys, keys
    print(f"    the key `intern` lived through 5 changes; a call costs {SECOND_COST} instead of {FIRST_COST} now")


def back_up(machine: Machine) -> None:
    """A backup is made while videos render, and restored beside: what was finished is there, byte for byte."""
    finished = machine.video("offline-video")
    wait_until("the video is finished", lambda: machine.call(f"/v1/videos/{finished}", ADMIN)[1]["status"] == "completed")
    content = machine.fetch(f"/v1/videos/{finished}/content", ADMIN)[1]
    for _ in range(5):
        machine.video("offline-video")
    print("   ", machine.run("backup", str(machine.place / "backup")).strip().splitlines()[-1])
    machine.stop()
    restored = machine.place / "restored"
    restored.mkdir()
    print("   ", machine.run("restore", str(machine.place / "backup"), "--data-dir", str(restored / "data")).strip().splitlines()[-1])
    machine.start(state=restored)
    assert machine.fetch(f"/v1/videos/{finished}/content", ADMIN) == (200, content)
    status, verification = machine.call("/admin/v1/ledger/verify", ADMIN)
    assert status == 200 and verification["consistent"], verification
    machine.stop()


def roll(machine: Machine) -> None:
    """Two processes behind a load balancer are restarted one after the other: no client sees an error."""
    proxy = next(filter(executable, ("haproxy", "nginx")), None)
    if proxy is None:
        print("    SKIPPED rolling restart: neither haproxy nor nginx is installed")
        return
    directory = machine.place / "rolling"
    directory.mkdir()
    chat_only(str(machine.program), directory, proxy, rounds=1)


def main() -> None:
    archive = Path(sys.argv[1]).resolve()
    deploy = Path(__file__).resolve().parent
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    upstream = f"http://127.0.0.1:{server.server_address[1]}"
    with tempfile.TemporaryDirectory() as directory:
        machine = Machine(archive, Path(directory))
        steps = {
            "install, init, check --probe": lambda: install(machine, upstream),
            "start with the command line of the systemd unit": machine.start,
            "two teams spend their budgets": lambda: spend(machine),
            "dashboards and the alert for a stuck job": lambda: watch(machine, deploy),
            "keys and a price change without a restart": lambda: change(machine, upstream),
            "backup and restore": lambda: back_up(machine),
            "rolling restart behind a load balancer": lambda: roll(machine),
        }
        try:
            for name, step in steps.items():
                start = time.monotonic()
                print(f"=== {name}", flush=True)
                step()
                print(f"    ok ({time.monotonic() - start:.1f} s)", flush=True)
        except BaseException:
            log = machine.place / "log"
            print("--- the end of the log of the service\n" + (log.read_text()[-3000:] if log.exists() else ""), file=sys.stderr)
            raise
        finally:
            if machine.process:
                machine.process.kill()
                machine.process.wait()


if __name__ == "__main__":
    main()

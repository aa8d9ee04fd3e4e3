"""Spends the budgets of many API keys while Triptych is killed and restarted, and checks the ledger against itself and the clients.

    kill_ledger.py PATH_OF_TRIPTYCH [KILLS] [SHORTEST] [LONGEST]

Starts Triptych with its built-in engines, which have prices here, and a temporary data directory. Each of KEYS keys has a budget, and
so has the team of all of them. The clients send chat calls, image requests and creates of videos until the budgets are used up, while
Triptych gets KILLS (20) times a SIGKILL; each process lives SHORTEST (1) to LONGEST (3) seconds. Afterwards:

- no key and no team has spent more than its budget, and the ledger has at least the cost of every response that a client got;
- what is reserved is the sum of the open holds, which is 0 when all videos have ended;
- what is spent is the sum of the entries, and each hold has ended once.

Needs the standard library only.
"""

import http.client
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter

from server import Server

KEYS = 20
# In millionths of a US dollar.
KEY_BUDGET, TEAM_BUDGET = 2_000_000, 30_000_000
IMAGE_COST, SECOND_COST = 40_000, 100_000
# The cost of a token of a chat response, in the same unit.
TOKEN_COST = 100
# The time in which all videos must end after the last kill, in seconds.
VIDEOS_TIMEOUT = 300

CONFIGURATION = f"""
prices = [
    {{ model = "offline-image", per_image = "{IMAGE_COST / 1e6:.6f}" }},
    {{ model = "offline-video*", per_second = "{SECOND_COST / 1e6:.6f}" }},
    {{ model = "*", per_million_output_tokens = "{TOKEN_COST}" }},
]
[[teams]]
name = "all"
limits = {{ budget_total = "{TEAM_BUDGET // 1_000_000}" }}
""" + "".join(
    f"""
[[keys]]
name = "key-{number}"
secret = "secret-of-key-{number:06}"
team = "all"
limits = {{ budget_total = "{KEY_BUDGET // 1_000_000}" }}
"""
    for number in range(KEYS)
)


class Client:
    """Spends the budget of one key."""

    def __init__(self, server: Server, number: int):
        self.server, self.name, self.secret = server, f"key-{number}", f"secret-of-key-{number:06}"
        # The cost of all responses in millionths of a US dollar, the number of videos, and the responses by kind and status.
        self.cost, self.videos, self.responses = 0, 0, Counter()

    def post(self, path: str, body: dict) -> tuple[int, dict]:
        """Returns status and body; status 0 for a connection that broke."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            headers = {"content-type": "application/json", "authorization": f"Bearer {self.secret}"}
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            time.sleep(0.05)
            return 0, {}
        finally:
            connection.close()

    def call(self) -> None:
        kind = random.choice(["chat", "chat", "chat", "image", "video"])
        if kind == "chat":
            message = {"role": "user", "content": f"Tell me about {random.random()}"}
            status, body = self.post("/v1/chat/completions", {"messages": [message], "max_tokens": 200})
            cost = body["usage"]["completion_tokens"] * TOKEN_COST if status == 200 else 0
        elif kind == "image":
            status, body = self.post("/v1/images/generations", {"prompt": f"{random.random()}", "size": "64x64"})
            cost = IMAGE_COST
        else:
            request = {"model": "offline-video", "prompt": f"{random.random()}", "size": "64x64", "seconds": 1}
            status, body = self.post("/v1/videos", request)
            cost = SECOND_COST
            self.videos += status == 200
        refused = (body.get("error") or {}).get("code") or ""
        self.responses[f"{kind} {status} {refused}".strip()] += 1
        if status == 200:
            self.cost += cost

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.call()


def problems_of(database: sqlite3.Connection, clients: list[Client]) -> list[str]:
    spent = dict(database.execute("SELECT subject, amount FROM ledger_spent WHERE period = 'total'"))
    reserved = dict(database.execute("SELECT subject, amount FROM ledger_reserved"))
    entries = Counter()
    for key, amount in database.execute("SELECT key_name, amount FROM ledger_entries WHERE kind IN ('settle', 'adjust')"):
        entries[f"key:{key}"] += amount
        entries["team:all"] += amount
    problems = [f"{subject} has {amount} reserved at the end" for subject, amount in reserved.items() if amount]
    problems += [f"{subject} has spent {spent.get(subject)}, but its entries are {amount}" for subject, amount in entries.items() if amount != spent.get(subject)]
    problems += [f"open hold {hold}" for hold in database.execute("SELECT * FROM ledger_holds")]
    ends = Counter(item for (item,) in database.execute("SELECT item FROM ledger_entries WHERE kind IN ('settle', 'release')"))
    holds = [item for (item,) in database.execute("SELECT item FROM ledger_entries WHERE kind = 'hold'")]
    problems += [f"the hold {item} has {ends[item]} ends" for item in holds if ends[item] != 1]
    for client in clients:
        amount = spent.get(f"key:{client.name}", 0)
        if amount > KEY_BUDGET:
            problems.append(f"{client.name} has spent {amount} of {KEY_BUDGET}")
        if amount < client.cost:
            problems.append(f"{client.name} has spent {amount}, but got responses for {client.cost}")
    if spent.get("team:all", 0) > TEAM_BUDGET:
        problems.append(f"the team has spent {spent['team:all']} of {TEAM_BUDGET}")
    return problems


def main(program: str, kills: int = 20, shortest: float = 1, longest: float = 3) -> None:
    directory = tempfile.mkdtemp(prefix="triptych-kill-ledger-")
    with open(os.path.join(directory, "triptych.toml"), "w") as file:
        file.write(CONFIGURATION)
    server, stop = Server(os.path.abspath(program), directory), threading.Event()
    clients = [Client(server, number) for number in range(KEYS)]
    threads = [threading.Thread(target=client.run, args=(stop,)) for client in clients]
    for thread in threads:
        thread.start()
    for _ in range(kills):
        time.sleep(random.uniform(shortest, longest))
        server.kill_and_start()
    time.sleep(longest)
    stop.set()
    for thread in threads:
        thread.join()
    path = os.path.join(directory, "data", "jobs.sqlite")
    query = "SELECT COUNT(*) FROM video_jobs WHERE phase NOT IN ('succeeded', 'failed', 'cancelled')"
    deadline = time.monotonic() + VIDEOS_TIMEOUT
    while (unfinished := sqlite3.connect(path).execute(query).fetchone()[0]) and time.monotonic() < deadline:
        time.sleep(0.5)
    server.process.terminate()
    code = server.process.wait(60)
    database = sqlite3.connect(path)
    problems = problems_of(database, clients)
    responses = sum((client.responses for client in clients), Counter())
    spent = database.execute("SELECT amount FROM ledger_spent WHERE subject = 'team:all' AND period = 'total'").fetchone()
    print(f"{kills} kills, {server.ended_by_itself} unexpected ends, {sum(client.videos for client in clients)} videos, {unfinished} unfinished, exit code {code}")
    print(f"responses: {dict(sorted(responses.items()))}")
    print(f"spent by the team: {spent[0] if spent else 0} of {TEAM_BUDGET}; cost of the responses of the clients: {sum(client.cost for client in clients)}")
    for problem in problems[:20]:
        print("  ", problem)
    print(f"{len(problems)} problems of the ledger")
    if problems or unfinished or code or server.ended_by_itself:
        sys.exit(f"failed; log and data are in {directory}")
    shutil.rmtree(directory)


if __name__ == "__main__":
    main(sys.argv[1], *[int(text) for text in sys.argv[2:3]], *[float(text) for text in sys.argv[3:]])

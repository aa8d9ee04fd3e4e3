"""Fails the database over during a commit that the standby does not have, and checks that the create is not acknowledged.

    failover_commit.py PATH_OF_TRIPTYCH

The first node commits a create while the replication stands still, so that the commit waits. The primary is killed and the standby
promoted, which reuses the id of that transaction for one of the second node. A create that the first node acknowledges must exist.
"""

import http.client
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from cluster_proxy import Proxy
from postgres_server import Postgres
from server import Server

BODY = {"prompt": "a boat", "size": "64x64", "seconds": "1"}


def create(server: Server, name: str, answers: list[tuple[int, dict]]) -> None:
    """Sends a create once; `Server.call` would repeat one that is refused."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=60)
    connection.request("POST", "/v1/videos", json.dumps(BODY | {"prompt": name}), {"content-type": "application/json"})
    response = connection.getresponse()
    answers.append((response.status, json.loads(response.read())))
    connection.close()


def main(program: str) -> int:
    directory = Path(tempfile.mkdtemp(prefix="failover-commit-"))
    primary = Postgres(directory / "primary")
    primary.create_database("triptych")
    replication = Proxy("127.0.0.1", 1, primary.port)
    database = Proxy("127.0.0.1", 2, primary.port)
    nodes = []
    for number in range(2):
        place = directory / f"node-{number}"
        place.mkdir()
        url = f"postgres://postgres@127.0.0.1:{database.ports[number]}/triptych"
        nodes.append(Server(os.path.abspath(program), str(place), {"TRIPTYCH_DATABASE_URL": url, "TRIPTYCH_MEDIA_URL": f"file://{directory}/media"}))
        nodes[number].call("GET", "/readyz")
    standby = Postgres(directory / "standby", primary=SimpleNamespace(port=replication.ports[0]))
    primary.wait_for_standby()
    # The server applies the reloaded setting a moment later.
    time.sleep(1)
    replication.freeze(0)
    answers: list[tuple[int, dict]] = []
    waiting = threading.Thread(target=create, args=(nodes[0], "during the failover", answers))
    waiting.start()
    time.sleep(1)
    if not waiting.is_alive():
        sys.exit(f"the commit did not wait for the standby: {answers}")
    primary.stop()
    replication.cut(0)
    standby.promote()
    database.target = standby.port
    # The first node reads again, so that only the commit is unknown.
    for _ in range(20):
        nodes[0].call("GET", "/v1/videos?limit=1")
    # The standby gives the transaction ids that it has not seen to transactions of the second node.
    for number in range(100):
        if not waiting.is_alive():
            break
        create(nodes[1], f"after {number}", [])
    waiting.join()
    status, answer = answers[0]
    print(f"   the create during the failover: {status} {answer.get('id') or answer}", flush=True)
    acknowledged = status == 200
    exists = acknowledged and nodes[1].call("GET", f"/v1/videos/{answer['id']}")[0] == 200
    for node in nodes:
        node.process.kill()
    standby.stop()
    passed = exists or not acknowledged
    print(f"   an acknowledged create exists after a failover: {'ok' if passed else 'FAILED: the job is lost'}", flush=True)
    if passed and not os.environ.get("KEEP"):
        shutil.rmtree(directory)
    else:
        print(f"   logs: {directory}/node-*/log", flush=True)
    return int(not passed)


if __name__ == "__main__":
    if not Postgres.is_installed():
        print("SKIPPED failover-commit: PostgreSQL is not installed")
        sys.exit(0)
    sys.exit(main(sys.argv[1]))

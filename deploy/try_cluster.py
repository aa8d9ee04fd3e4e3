#!/usr/bin/env python3
"""Runs deploy/compose/cluster.yaml with processes instead of containers, and restarts its nodes one by one under load.

    try_cluster.py PATH_OF_TRIPTYCH

The manifest decides: the environment of the nodes, the secrets of `cluster-secrets`, the script that creates the database, and the
configuration of HAProxy are used as they are, with other addresses and directories. The servers are a private PostgreSQL, moto in place
of Garage, and HAProxy. Clients chat, stream, make images and videos, and call over gRPC through the balancer, while each node is stopped
and started again. No call may fail. In the end each video is complete at every node, and the data directories of the nodes are empty.

Needs the packages of tests/clients/requirements-bucket.txt, and takes about 30 seconds. Without PostgreSQL or HAProxy it is skipped.
"""

import contextlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent
sys.path[:0] = [str(DEPLOY.parent / "tests/clients"), str(DEPLOY.parent / "benches")]

import boto3
import yaml
from grpc_client import GrpcClient
from kill_jobs import free_port
from load import Connection, Load, chat, image, request, stream, video
from moto.server import ThreadedMotoServer
from postgres_server import Postgres
from processes import Process, executable, wait_for_port

COMPOSE = DEPLOY / "compose"
# The time after which HAProxy sends requests to a node that is ready again, in seconds: more than `inter` of its checks.
NOTICED = 1


def variables(text: str) -> dict[str, str]:
    """Returns the variables of a file with lines of the form NAME=value."""
    return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))


def image_environment() -> dict[str, str]:
    """Returns the variables that the image sets."""
    text = (DEPLOY / "container/Containerfile").read_text()
    return dict(re.findall(r"(TRIPTYCH_\w+)=(\S+)", text[text.rindex("\nENV ") :]))


class Cluster:
    """The stores and the nodes of the manifest."""

    def __init__(self, program: str, directory: Path) -> None:
        self.directory = directory
        self.services = yaml.safe_load((COMPOSE / "cluster.yaml").read_text())["services"]
        self.secrets = directory / "secrets"
        subprocess.run([COMPOSE / "cluster-secrets", self.secrets], check=True, stdout=subprocess.DEVNULL)
        # The private server trusts everyone on this machine; that the role has a password is checked by itself.
        self.postgres = Postgres(directory / "postgres")
        client = {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port), "SECRETS": str(self.secrets)}
        path = {"PATH": f"{self.postgres.bin}:{os.environ['PATH']}"}
        subprocess.run(["sh", COMPOSE / "postgres-init.sh"], check=True, env=os.environ | client | path, stdout=subprocess.DEVNULL)
        bucket_port = free_port()
        self.bucket = ThreadedMotoServer(ip_address="127.0.0.1", port=bucket_port, verbose=False)
        self.bucket.start()
        self.addresses = {"postgres:5432": f"127.0.0.1:{self.postgres.port}", "garage:3900": f"127.0.0.1:{bucket_port}"}
        self.create_bucket()
        settings = self.local((self.secrets / "triptych.env").read_text())
        self.key = variables(settings)["TRIPTYCH_KEYS"].split(":")[1]
        self.nodes: dict[str, Process] = {}
        for name, service in self.services.items():
            if name.startswith("node"):
                place = directory / name
                place.mkdir()
                (place / ".env").write_text(settings)
                self.nodes[name] = Process(program, place, [], self.environment(name, service), "/readyz")
        for node in self.nodes.values():
            node.wait_until_ready()

    def local(self, text: str) -> str:
        """Returns the text with the addresses of this machine."""
        for name, address in self.addresses.items():
            text = text.replace(name, address)
        return text

    def environment(self, name: str, service: dict) -> dict[str, str]:
        environment = image_environment() | service["environment"] | variables((self.secrets / Path(service["env_file"]).name).read_text())
        # The addresses of `Process` apply instead.
        del environment["TRIPTYCH_REST_LISTEN"], environment["TRIPTYCH_GRPC_LISTEN"]
        environment["TRIPTYCH_DATA_DIR"] = str(self.directory / name / "data")
        return {name: self.local(value) for name, value in environment.items()}

    def create_bucket(self) -> None:
        """Does what Garage does at its first start."""
        key = variables((self.secrets / "garage.env").read_text())
        credentials = {"aws_access_key_id": key["GARAGE_DEFAULT_ACCESS_KEY"], "aws_secret_access_key": key["GARAGE_DEFAULT_SECRET_KEY"]}
        client = boto3.client("s3", endpoint_url=f"http://{self.addresses['garage:3900']}", region_name="us-east-1", **credentials)
        client.create_bucket(Bucket=self.services["garage"]["environment"]["GARAGE_DEFAULT_BUCKET"])

    @contextlib.contextmanager
    def balancer(self) -> Iterator[dict[str, int]]:
        """Runs HAProxy with its configuration. Returns the ports by those of the configuration."""
        text = (COMPOSE / self.services["balancer"]["volumes"][0].split(":")[0]).read_text()
        for name, node in self.nodes.items():
            text = text.replace(f"{name}:8000", f"127.0.0.1:{node.rest}").replace(f"{name}:50051", f"127.0.0.1:{node.grpc}")
        ports = {port: free_port() for port in re.findall(r"bind :(\d+)", text)}
        text = re.sub(r"bind :(\d+)", lambda match: f"bind 127.0.0.1:{ports[match[1]]}", text)
        (self.directory / "haproxy.cfg").write_text(text)
        with (self.directory / "haproxy.output").open("wb") as output:
            command = [executable("haproxy"), "-db", "-f", self.directory / "haproxy.cfg"]
            process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            wait_for_port(ports["8000"], process, self.directory / "haproxy.output")
            # HAProxy takes its servers as ready until their first check.
            time.sleep(0.5)
            yield ports
        finally:
            process.terminate()
            process.wait(30)

    def stop(self) -> None:
        for node in self.nodes.values():
            node.process.terminate()
        check("every node ends", all(node.process.wait(60) == 0 for node in self.nodes.values()))
        self.postgres.stop()
        self.bucket.stop()


def check(name: str, condition: object, detail: object = "") -> None:
    print(f"   {name}: {'ok' if condition else f'FAILED {detail}'}", flush=True)
    if not condition:
        sys.exit(1)


def run_load(cluster: Cluster, ports: dict[str, int]) -> list[str]:
    """Restarts each node under load. Returns the ids of the videos."""
    load, videos = Load(ports["8000"], key=cluster.key), []
    calls = {"streams": (4, stream), "chats": (2, chat), "images": (2, image), "videos": (3, lambda rest: videos.append(video(rest)))}
    for name, (clients, call) in calls.items():
        load.add(clients, name, call)
    grpc = GrpcClient(ports["50051"], {"authorization": f"Bearer {cluster.key}"})

    def call_grpc(_connection: Connection) -> None:
        assert grpc.call("/triptych.v1.VideoService/ListVideos", b"\x08\x01")
        time.sleep(0.02)

    load.add(1, "gRPC calls", call_grpc)
    time.sleep(1)
    for node in cluster.nodes.values():
        node.restart()
        time.sleep(NOTICED)
    load.end()
    print(f"   {len(cluster.nodes)} nodes restarted one by one, completed {dict(load.done)}, {len(load.errors)} failed", flush=True)
    check("no call failed", not load.errors, load.errors[:10])
    check("every client made progress", len(load.done) == len(calls) + 1, load.done)
    return videos


def check_nodes(cluster: Cluster, videos: list[str]) -> None:
    """Each node has each video; a call needs a key; operators' paths end at the nodes."""
    for name, node in cluster.nodes.items():
        connection = Connection(node.rest, cluster.key)
        states = {json.loads(request(connection, "GET", f"/v1/videos/{id}"))["status"] for id in videos}
        whole = [request(connection, "GET", f"/v1/videos/{id}/content")[4:8] == b"ftyp" for id in videos]
        check(f"{name} has all {len(videos)} videos", states == {"completed"} and all(whole), states)
        data = list((cluster.directory / name / "data").iterdir())
        check(f"{name} has nothing in its data directory", not data, data)
    jobs = int(cluster.postgres.value("triptych", "SELECT COUNT(*) FROM video_jobs"))
    check("no job was made twice", jobs == len(videos), (jobs, len(videos)))
    hashed = cluster.postgres.value("postgres", "SELECT rolpassword LIKE 'SCRAM-%' AND NOT rolsuper FROM pg_authid WHERE rolname = 'triptych'")
    check("the role has a password and is not a superuser", hashed == "t", hashed)


def status(port: int, path: str, key: str | None = None) -> int:
    connection = Connection(port, key)
    connection.request("GET", path, headers=connection.headers)
    return connection.getresponse().status


def check_balancer(cluster: Cluster, ports: dict[str, int]) -> None:
    found = [status(ports["8000"], path, cluster.key) for path in ("/readyz", "/metrics", "/admin/v1/keys")]
    check("paths of operators end at the balancer", found == [200, 404, 404], found)
    check("calls need a key", status(ports["8000"], "/v1/models") == 401)
    check("the balancer reports itself", status(ports["8404"], "/healthz") == status(ports["8404"], "/metrics") == 200)


def main(program: str) -> None:
    # moto logs each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    start, directory = time.monotonic(), Path(tempfile.mkdtemp(prefix="try-cluster-"))
    cluster = Cluster(os.path.abspath(program), directory)
    with cluster.balancer() as ports:
        check_balancer(cluster, ports)
        videos = run_load(cluster, ports)
        check_nodes(cluster, videos)
    cluster.stop()
    shutil.rmtree(directory)
    print(f"   {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    missing = [name for name, found in (("PostgreSQL", Postgres.is_installed()), ("haproxy", executable("haproxy"))) if not found]
    if missing:
        print(f"SKIPPED try_cluster: {' and '.join(missing)} not installed")
        sys.exit(0)
    main(sys.argv[1])

#!/usr/bin/env python3
"""Runs deploy/compose/cluster.yaml with processes instead of containers, and restarts its nodes one by one under load.

    try_cluster.py PATH_OF_TRIPTYCH [PATH_OF_AN_OLDER_VERSION]

The manifest decides: the environment of the nodes, the secrets of `cluster-secrets`, the script that creates the database, and the
configuration of HAProxy are used as they are, with other addresses and directories. The servers are a private PostgreSQL, moto in place
of Garage, and HAProxy. Clients chat, stream, make images and videos, and call over gRPC through the balancer, while each node is stopped
and started again. With an older version, the nodes run that first, and are upgraded by their restart; the last one is also restarted with
the older version after the database was migrated. No call may fail. In the end each video is complete at every node, and the data
directories of the nodes are empty.

Where kubectl is installed, a further node runs with the environment and the configuration file of deploy/kubernetes/cluster, a database
and a bucket of its own.

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
from load import Connection, Load, chat, image, request, stream, video
from moto.server import ThreadedMotoServer
from postgres_server import Postgres
from processes import Process, executable, wait_for_port
from server import free_port

COMPOSE = DEPLOY / "compose"
# The time after which HAProxy sends requests to a node that is ready again, in seconds: more than `inter` of its checks.
NOTICED = 1
# The time between two calls of a client, in seconds.
PAUSE = 0.02


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
        # The private server trusts everyone on this machine; `check_nodes` checks that the role has a password.
        self.postgres = Postgres(directory / "postgres")
        client = {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port), "SECRETS": str(self.secrets)}
        path = {"PATH": f"{self.postgres.bin}:{os.environ['PATH']}"}
        subprocess.run(["sh", COMPOSE / "postgres-init.sh"], check=True, env=os.environ | client | path, stdout=subprocess.DEVNULL)
        bucket_port = free_port()
        self.bucket = ThreadedMotoServer(ip_address="127.0.0.1", port=bucket_port, verbose=False)
        self.bucket.start()
        self.addresses = {"postgres:5432": f"127.0.0.1:{self.postgres.port}", "garage:3900": f"127.0.0.1:{bucket_port}"}
        self.create_bucket(self.services["garage"]["environment"]["GARAGE_DEFAULT_BUCKET"])
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

    def create_bucket(self, name: str) -> None:
        """Does what Garage does at its first start."""
        key = variables((self.secrets / "garage.env").read_text())
        credentials = {"aws_access_key_id": key["GARAGE_DEFAULT_ACCESS_KEY"], "aws_secret_access_key": key["GARAGE_DEFAULT_SECRET_KEY"]}
        client = boto3.client("s3", endpoint_url=f"http://{self.addresses['garage:3900']}", region_name="us-east-1", **credentials)
        client.create_bucket(Bucket=name)

    def start_kubernetes_node(self, program: str) -> Process:
        """Starts a node with the objects of deploy/kubernetes/cluster, and the entries of `cluster-secrets` as its Secret."""
        text = subprocess.run(["kubectl", "kustomize", DEPLOY / "kubernetes/cluster"], check=True, capture_output=True, text=True).stdout
        objects = [resource for resource in yaml.safe_load_all(text) if resource]
        maps = {resource["metadata"]["name"]: resource["data"] for resource in objects if resource["kind"] == "ConfigMap"}
        pod = next(resource for resource in objects if resource["kind"] == "Deployment")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        secret = variables((self.secrets / "triptych.env").read_text()) | variables((self.secrets / "bucket.env").read_text())
        secret["TRIPTYCH_DATABASE_URL"] = secret["TRIPTYCH_DATABASE_URL"].rsplit("/", 1)[0] + "/kubernetes"
        environment = {}
        for source in container["envFrom"]:
            environment |= maps[source["configMapRef"]["name"]] if "configMapRef" in source else secret
        environment |= {entry["name"]: secret[entry["valueFrom"]["secretKeyRef"]["key"]] for entry in container["env"]}
        # The servers of this machine instead of the cloud's.
        environment |= {"AWS_ENDPOINT_URL": "http://garage:3900", "TRIPTYCH_DATA_DIR": str(self.directory / "kubernetes/data")}
        self.postgres.value("postgres", "CREATE DATABASE kubernetes OWNER triptych")
        self.create_bucket(environment["TRIPTYCH_MEDIA_URL"].removeprefix("s3://"))
        place = self.directory / "kubernetes"
        place.mkdir()
        for name, content in maps[pod["volumes"][0]["configMap"]["name"]].items():
            (place / name).write_text(content)
        return Process(program, place, [], {name: self.local(value) for name, value in environment.items()}, "/readyz")

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
        """Ends all processes, also after a failure."""
        for node in self.nodes.values():
            node.process.terminate()
        ended = [node.process.wait(60) == 0 for node in self.nodes.values()]
        self.postgres.stop()
        self.bucket.stop()
        check("every node ends", all(ended), ended)


def check(name: str, condition: object, detail: object = "") -> None:
    print(f"   {name}: {'ok' if condition else f'FAILED {detail}'}", flush=True)
    if not condition:
        sys.exit(1)


def run_load(cluster: Cluster, ports: dict[str, int], program: str) -> list[str]:
    """Restarts each node under load, with this program. Returns the ids of the videos."""
    load, videos = Load(ports["8000"], key=cluster.key), []
    grpc = GrpcClient(ports["50051"], {"authorization": f"Bearer {cluster.key}"})
    # ListVideos has a page size of 1.
    calls = {
        "streams": (4, stream),
        "chats": (2, chat),
        "images": (2, image),
        "videos": (2, lambda rest: videos.append(video(rest))),
        "gRPC calls": (1, lambda _rest: grpc.call("/triptych.v1.VideoService/ListVideos", b"\x08\x01")),
    }
    for name, (clients, call) in calls.items():
        # With a pause: what matters is that calls are in flight at each moment, and not how many the machine can do.
        load.add(clients, name, lambda rest, call=call: (call(rest), time.sleep(PAUSE)))
    time.sleep(1)
    nodes = list(cluster.nodes.values())
    for node in nodes:
        if node is nodes[-1] and node.command[0] != program:
            # The database has been migrated by the newer version.
            node.restart()
            time.sleep(NOTICED)
        node.command[0] = program
        node.restart()
        time.sleep(NOTICED)
    load.end()
    print(f"   {len(cluster.nodes)} nodes restarted one by one, completed {dict(load.done)}, {len(load.errors)} failed", flush=True)
    check("no call failed", not load.errors, load.errors[:10])
    check("every client made progress", len(load.done) == len(calls), load.done)
    return videos


def check_nodes(cluster: Cluster, videos: list[str]) -> None:
    """Each node has each video, and nothing in its data directory; no job was made twice; the role of the database has a password."""
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


def check_kubernetes_node(cluster: Cluster, program: str) -> Process:
    """Runs a node with the manifest of Kubernetes. Returns its process, which is ending."""
    node = cluster.start_kubernetes_node(program)
    node.wait_until_ready()
    try:
        id = video(Connection(node.rest, cluster.key))
        check("a video is made with the manifest of Kubernetes", cluster.postgres.value("kubernetes", "SELECT id FROM video_jobs") == id)
        data = list((node.directory / "data").iterdir())
        check("and nothing in the data directory", not data, data)
    finally:
        node.process.terminate()
    return node


def main(program: str, first_program: str) -> None:
    # The nodes get the variables of the manifest only.
    for name in [name for name in os.environ if name.startswith(("TRIPTYCH_", "AWS_"))]:
        del os.environ[name]
    # moto logs each request.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    start, directory = time.monotonic(), Path(tempfile.mkdtemp(prefix="try-cluster-"))
    cluster = Cluster(first_program, directory)
    try:
        ending = [check_kubernetes_node(cluster, program)] if shutil.which("kubectl") else []
        with cluster.balancer() as ports:
            check_balancer(cluster, ports)
            videos = run_load(cluster, ports, program)
            check_nodes(cluster, videos)
        check("the node of Kubernetes ends", all(node.process.wait(60) == 0 for node in ending))
    finally:
        cluster.stop()
    shutil.rmtree(directory)
    print(f"   {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    missing = [name for name, found in (("PostgreSQL", Postgres.is_installed()), ("haproxy", executable("haproxy"))) if not found]
    if missing:
        print(f"SKIPPED try_cluster: {' and '.join(missing)} not installed")
        sys.exit(0)
    if not shutil.which("kubectl"):
        print("SKIPPED the manifest of Kubernetes: kubectl is not installed")
    main(os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[-1]))

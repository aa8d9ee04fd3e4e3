"""Checks what belongs to deploy/compose/cluster.yaml: its secrets, the bucket, and the configuration of HAProxy."""

import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from . import settings
from .report import DEPLOY, Report

PLACE = DEPLOY / "compose"
# rest.drain and grpc.drain, in seconds, by default.
DRAIN = 30


def check(report: Report, services: dict) -> None:
    nodes = {name: service for name, service in services.items() if name.startswith("node")}
    first = nodes["node1"]
    report.expect(all(node == first for node in nodes.values()), "cluster.yaml: the nodes differ")
    for name, service in services.items():
        hygiene(report, f"cluster.yaml: {name}", service)
    with tempfile.TemporaryDirectory() as directory:
        secrets(report, services, Path(directory, "secrets"))
    bucket(report, services)
    balancer(report, services, list(nodes))
    delay = seconds(first["environment"]["TRIPTYCH_SHUTDOWN_DELAY"])
    stop = seconds(first["stop_grace_period"])
    report.expect(stop > delay + DRAIN, f"cluster.yaml: stop_grace_period must be more than {delay + DRAIN} s")


def seconds(duration: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", duration).groups()
    return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]


def hygiene(report: Report, place: str, service: dict) -> None:
    """No capabilities, nothing to write but volumes, a health check, and no secret in a variable of the file."""
    report.expect(service.get("read_only") is True, f"{place}: read_only is missing")
    report.expect(service.get("cap_drop") == ["ALL"], f"{place}: cap_drop is missing")
    report.expect(service.get("security_opt") == ["no-new-privileges:true"], f"{place}: security_opt is missing")
    # The image of this repository has a health check of its own.
    report.expect("healthcheck" in service or "build" in service, f"{place}: healthcheck is missing")
    for name in service.get("environment", {}):
        report.expect(not re.search(r"PASSWORD$|SECRET$|KEY$|KEYS$", name), f"{place}: {name} is a secret: expected a file")


def secrets(report: Report, services: dict, directory: Path) -> None:
    """`cluster-secrets` makes each file that is named, with secrets of its own at each run, and does not replace them."""
    script = PLACE / "cluster-secrets"
    report.run(script, directory)
    made = {file.name: file.read_text() for file in directory.iterdir()}
    text = (PLACE / "cluster.yaml").read_text()
    for name in re.findall(r"(?:file|env_file): secrets/([\w.]+)", text):
        report.expect(name in made, f"cluster.yaml: cluster-secrets does not make {name}")
    report.expect(subprocess.run([script, directory], capture_output=True, check=False).returncode != 0, "cluster-secrets replaces secrets")
    report.expect(directory.stat().st_mode & 0o777 == 0o700, "cluster-secrets: others can enter the directory")
    other = directory.with_name("other")
    report.run(script, other)
    same = [name for name, content in made.items() if content == (other / name).read_text()]
    report.expect(not same, f"cluster-secrets: {same} are the same at each run")
    variables = dict(line.split("=", 1) for line in made["triptych.env"].splitlines())
    settings.check_variables(report, "cluster-secrets", variables)
    url = urlsplit(variables["TRIPTYCH_DATABASE_URL"])
    report.expect(url.hostname in services and url.password == made["database_password"], "cluster-secrets: TRIPTYCH_DATABASE_URL")
    keys = [dict(line.split("=") for line in made[name].splitlines()) for name in ("bucket.env", "garage.env")]
    report.expect(keys[0]["AWS_SECRET_ACCESS_KEY"] == keys[1]["GARAGE_DEFAULT_SECRET_KEY"], "cluster-secrets: the keys of the bucket differ")


def bucket(report: Report, services: dict) -> None:
    """The nodes name the bucket, the region and the address of Garage."""
    garage = tomllib.loads((PLACE / "garage.toml").read_text())["s3_api"]
    node = services["node1"]["environment"]
    endpoint = f"http://garage:{garage['api_bind_addr'].rsplit(':', 1)[1]}"
    report.expect(node["AWS_ENDPOINT_URL"] == endpoint, f"cluster.yaml: AWS_ENDPOINT_URL: expected {endpoint}")
    report.expect(node["AWS_REGION"] == garage["s3_region"], f"cluster.yaml: AWS_REGION: expected {garage['s3_region']}")
    name = services["garage"]["environment"]["GARAGE_DEFAULT_BUCKET"]
    report.expect(node["TRIPTYCH_MEDIA_URL"] == f"s3://{name}", f"cluster.yaml: TRIPTYCH_MEDIA_URL: expected s3://{name}")


def sections(text: str) -> dict[str, list[str]]:
    """Returns the lines of each section of a configuration of HAProxy, without comments."""
    found: dict[str, list[str]] = {}
    for line in (line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")):
        if not line.startswith(" "):
            found[line.strip()] = current = []
        else:
            current.append(line.strip())
    return found


def balancer(report: Report, services: dict, nodes: list[str]) -> None:
    """Each backend has each node; timeouts, retries and checks are those of haproxy.cfg."""
    text = (DEPLOY / "haproxy/cluster.cfg").read_text()
    found, single = sections(text), sections((DEPLOY / "haproxy/haproxy.cfg").read_text())
    for name, lines in found.items():
        if name.startswith("backend"):
            servers = [line.split()[1] for line in lines if line.startswith("server ")]
            report.expect(servers == nodes, f"cluster.cfg: {name}: expected the servers {nodes}")
    defaults = [line for line in found["defaults"] if line != "log global"]
    report.expect(defaults == single["defaults"], "cluster.cfg: `defaults` differs from that of haproxy.cfg")
    rules = [[line for line in part if line.startswith("http-request")] for part in (found["frontend rest"], single["frontend rest"])]
    report.expect(rules[0] == rules[1], "cluster.cfg: the rules of `frontend rest` differ from those of haproxy.cfg")
    for line in single["backend triptych"]:
        same = any(line == other or line.startswith("server ") or other.startswith(f"{line} ") for other in found["backend triptych"])
        report.expect(same, f"cluster.cfg: backend triptych lacks: {line}")
    published = {port.split(":")[2] for port in services["balancer"]["ports"]}
    bound = set(re.findall(r"bind :(\d+)", text))
    report.expect(published == bound, f"cluster.yaml: published ports {published}, bound ports {bound}")
    check = re.search(r"inter (\d+ms) fall (\d+)", text)
    delay = seconds(services["node1"]["environment"]["TRIPTYCH_SHUTDOWN_DELAY"])
    report.expect(check and seconds(check[1]) * int(check[2]) < delay, "cluster.yaml: TRIPTYCH_SHUTDOWN_DELAY is shorter than the checks")
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if haproxy is None:
        report.skip("cluster.cfg and haproxy.cfg", "haproxy is not installed")
        return
    for name in ("haproxy.cfg", "cluster.cfg"):
        report.run(haproxy, "-c", "-q", "-f", DEPLOY / "haproxy" / name)

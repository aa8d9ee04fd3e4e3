"""Checks deploy/compose: both compose files, and the settings of the programs that compose.yaml starts. cluster.py has those of
cluster.yaml."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import compose_spec
import yaml

from . import cluster, settings
from .report import BUILD, DEPLOY, Report

PLACE = DEPLOY / "compose"


def check(report: Report) -> None:
    services = read(report, "compose.yaml")
    if services:
        monitoring(report, services)
    services = read(report, "cluster.yaml")
    if services:
        cluster.check(report, services)


def read(report: Report, name: str) -> dict | None:
    """Returns the services of a compose file, after the rules for all of them; `None` if it is not valid."""
    text = (PLACE / name).read_text()
    # The default of ${NAME:-default}, as the program itself replaces it.
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)
    try:
        # Rejects unknown members and values of the wrong form, and references to volumes and services that do not exist.
        compose_spec._PyCompose.from_yaml(text).validate()
    except ValueError as error:
        report.problems.append(f"{name}: {error}")
        return None
    services = yaml.safe_load(text)["services"]
    for service_name, service in services.items():
        place = f"{name}: {service_name}"
        tag = service["image"].rpartition("/")[2].partition(":")[2]
        report.expect("build" in service or (tag and tag != "latest"), f"{place}: {service['image']}: expected a version")
        if build := service.get("build"):
            report.expect((PLACE / build["context"] / build["dockerfile"]).is_file(), f"{place}: the Containerfile does not exist")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                report.expect((PLACE / source).exists(), f"{place}: {source} does not exist")
        for port in service.get("ports", []):
            report.expect(port.startswith("127.0.0.1:"), f"{place}: port {port} is reachable from other machines")
        settings.check_variables(report, place, service.get("environment", {}))
    return services


def monitoring(report: Report, services: dict) -> None:
    """Checks the settings of Prometheus, Grafana and the collector."""
    mounts = {target: source for source, target, *_ in (volume.split(":") for volume in services["grafana"]["volumes"])}
    for provider in yaml.safe_load((PLACE / "grafana/dashboards.yaml").read_text())["providers"]:
        report.expect(provider["options"]["path"] in mounts, f"dashboards.yaml: {provider['options']['path']} is not mounted")
    home = Path(services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    report.expect((PLACE / mounts.get(str(home.parent), "") / home.name).is_file(), f"compose.yaml: {home} does not exist")
    for source in yaml.safe_load((PLACE / "grafana/datasources.yaml").read_text())["datasources"]:
        host = source["url"].split("/")[2].split(":")[0]
        report.expect(host in services, f"datasources.yaml: no service {host}")
    prometheus(report, services)
    collector(report, services)


def prometheus(report: Report, services: dict) -> None:
    configuration = yaml.safe_load((PLACE / "prometheus.yml").read_text())
    for job in configuration["scrape_configs"]:
        for target in [target for static in job["static_configs"] for target in static["targets"]]:
            report.expect(target.split(":")[0] in services, f"prometheus.yml: no service {target}")
    tool = promtool()
    if tool is None:
        report.skip("prometheus.yml and alerts.yml", "promtool is not installed, and the Debian package prometheus cannot be downloaded")
        return
    # The paths of the container are those of the repository here.
    configuration["rule_files"] = [str(DEPLOY / "prometheus" / Path(file).name) for file in configuration["rule_files"]]
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as file:
        yaml.safe_dump(configuration, file)
        file.flush()
        report.run(tool, "check", "config", file.name)


def promtool() -> str | None:
    """Returns promtool, if necessary from Debian's package, which is unpacked and not installed: it would start a server."""
    if installed := shutil.which("promtool"):
        return installed
    place = BUILD / "promtool"
    tool = place / "usr/bin/promtool"
    if not tool.exists():
        place.mkdir(parents=True, exist_ok=True)
        for command in (["apt-get", "update", "-qq"], ["apt-get", "download", "-qq", "prometheus"]):
            if shutil.which("apt-get") is None or subprocess.run(command, cwd=place, capture_output=True, check=False).returncode:
                return None
        for package in place.glob("prometheus_*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, place], check=True)
    return str(tool) if tool.exists() else None


def collector(report: Report, services: dict) -> None:
    """Compares the pipelines of the collector with its parts, and its endpoints with the services."""
    configuration = yaml.safe_load((PLACE / "collector.yaml").read_text())
    for pipeline in configuration["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            for name in names:
                report.expect(name in configuration[kind], f"collector.yaml: {kind} has no {name}")
    port = configuration["receivers"]["otlp"]["protocols"]["http"]["endpoint"].rsplit(":", 1)[1]
    endpoint = services["triptych"]["environment"]["TRIPTYCH_TELEMETRY_OTLP_ENDPOINT"]
    report.expect(endpoint == f"http://collector:{port}", f"compose.yaml: {endpoint}: the collector listens on port {port}")
    for exporter in configuration["exporters"].values():
        report.expect(exporter["endpoint"].split(":")[0] in services, f"collector.yaml: no service {exporter['endpoint']}")

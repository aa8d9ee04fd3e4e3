"""Checks deploy/kubernetes: renders each way to run Triptych, and compares the result with the schemas of Kubernetes and with rules."""

import itertools
import shutil
from collections.abc import Iterator

import kubernetes_validate
import yaml

from . import settings
from .report import BUILD, DEPLOY, Report

PLACE = DEPLOY / "kubernetes"
# The oldest version with the action `sleep` of preStop, and the newest one whose schemas the package has.
VERSIONS = ("1.30", "1.37")
# rest.drain and grpc.drain, in seconds, by default.
DRAIN = 30
# The overlays. Each is checked without components, and with each of these lists of components.
COMPONENTS = {
    "all-in-one": [["service-monitor"]],
    "gateway-core": [["service-monitor", "network-policy"]],
    "cluster": [["autoscaling"], ["autoscaling", "service-monitor"]],
    "cluster-gateway-core": [["service-monitor", "network-policy"]],
}


def check(report: Report) -> None:
    if shutil.which("kubectl") is None:
        report.skip("kubernetes", "kubectl is not installed")
        return
    for overlay, components in COMPONENTS.items():
        for added in [[], *components]:
            objects = render(report, overlay, added)
            for resource in objects:
                schema(report, resource)
            for name, pod in pods(objects):
                pod_rules(report, f"{overlay}: {name}", pod, variables(objects, pod))
            services(report, overlay, objects)
            scaling(report, overlay, objects)
            names_of_settings(report, overlay, objects)
            if overlay.startswith("cluster"):
                stores(report, overlay, objects)


def render(report: Report, overlay: str, components: list[str]) -> list[dict]:
    """Returns the objects of an overlay with these components."""
    place = BUILD / "kubernetes"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(PLACE, place)
    file = place / overlay / "kustomization.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["components"] = [f"../components/{name}" for name in components]
    file.write_text(yaml.safe_dump(settings))
    text = report.run("kubectl", "kustomize", place / overlay)
    return [resource for resource in yaml.safe_load_all(text) if resource]


def schema(report: Report, resource: dict) -> None:
    name = f"{resource['kind']} {resource['metadata']['name']}"
    if "k8s.io" not in resource["apiVersion"] and "." in resource["apiVersion"]:
        # A type of an operator, such as ServiceMonitor, is not in the schemas of Kubernetes.
        return
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            report.problems.append(f"{name}: {error.message} at {'.'.join(map(str, error.path))} (Kubernetes {version})")


def pods(objects: list[dict]) -> Iterator[tuple[str, dict]]:
    for resource in objects:
        if "template" in resource.get("spec", {}):
            yield resource["metadata"]["name"], resource["spec"]["template"]["spec"]


def variables(objects: list[dict], pod: dict) -> dict[str, str]:
    """Returns the variables of a pod whose values are known: not those of Secrets."""
    maps = {resource["metadata"]["name"]: resource["data"] for resource in objects if resource["kind"] == "ConfigMap"}
    found: dict[str, str] = {}
    for container in pod["containers"]:
        for source in container.get("envFrom", []):
            # A ConfigMap that does not exist is a KeyError.
            found |= maps[source["configMapRef"]["name"]] if "configMapRef" in source else {}
        found |= {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}
    return found


def names_of_settings(report: Report, overlay: str, objects: list[dict]) -> None:
    """The variables and the configuration file have settings of this version."""
    for name, pod in pods(objects):
        settings.check_variables(report, f"{overlay}: {name}", variables(objects, pod))
    for resource in objects:
        if resource["kind"] == "ConfigMap" and (text := resource["data"].get("triptych.toml")):
            settings.check_file(report, f"{overlay}: triptych.toml", text)


def pod_rules(report: Report, name: str, pod: dict, environment: dict[str, str]) -> None:
    """The rules of the Pod Security Standard `restricted`, and those of Triptych."""
    report.expect(pod.get("enableServiceLinks") is False, f"{name}: enableServiceLinks must be false: the variables begin with TRIPTYCH_")
    security = pod["securityContext"]
    report.expect(
        security.get("runAsNonRoot") is True and security.get("seccompProfile") == {"type": "RuntimeDefault"}, f"{name}: securityContext"
    )
    for container in pod["containers"]:
        security = container["securityContext"]
        expected = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        report.expect(security == expected, f"{name}: securityContext of the container: expected {expected}")
        report.expect({"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys(), f"{name}: a probe is missing")
        report.expect({"requests", "limits"} <= container["resources"].keys(), f"{name}: resources are missing")
        report.expect(":" in container["image"], f"{name}: the image has no tag")
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            settings = container[probe]
            port = settings.get("httpGet", settings.get("grpc", {})).get("port")
            report.expect(port in ports or port in ports.values(), f"{name}: {probe}: no port {port}")
        stop = container.get("lifecycle", {}).get("preStop", {})
        # The image has no shell and no other program.
        report.expect("exec" not in stop, f"{name}: preStop with exec")
        delay = int(environment.get("TRIPTYCH_SHUTDOWN_DELAY", "0s").removesuffix("s"))
        least = stop.get("sleep", {}).get("seconds", 0) + delay + DRAIN
        report.expect(pod["terminationGracePeriodSeconds"] > least, f"{name}: terminationGracePeriodSeconds must be more than {least}")
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    report.expect({volume["name"] for volume in pod["volumes"]} <= mounted, f"{name}: a volume is not mounted")


def services(report: Report, overlay: str, objects: list[dict]) -> None:
    """Each service selects the pods of exactly one workload, and its ports are theirs. Arguments name existing services."""
    workloads = [resource for resource in objects if "template" in resource.get("spec", {})]
    found = {resource["metadata"]["name"]: resource["spec"] for resource in objects if resource["kind"] == "Service"}
    for name, service in found.items():
        selected = [
            resource for resource in workloads if service["selector"].items() <= resource["spec"]["template"]["metadata"]["labels"].items()
        ]
        report.expect(len(selected) == 1, f"{overlay}: service {name} selects {len(selected)} workloads")
        containers = [container for resource in selected for container in resource["spec"]["template"]["spec"]["containers"]]
        ports = {port["name"] for container in containers for port in container["ports"]}
        for port in service["ports"]:
            report.expect(port["targetPort"] in ports, f"{overlay}: service {name}: no port {port['targetPort']}")
    for resource in workloads:
        labels, selector = resource["spec"]["template"]["metadata"]["labels"], resource["spec"]["selector"]["matchLabels"]
        report.expect(selector.items() <= labels.items(), f"{overlay}: {resource['metadata']['name']}: selector and labels differ")
        arguments = itertools.chain.from_iterable(c.get("args", []) for c in resource["spec"]["template"]["spec"]["containers"])
        for url in [argument for argument in arguments if argument.startswith("http://")]:
            host, port = url.removeprefix("http://").split(":")
            known = [entry["port"] for entry in found.get(host, {"ports": []})["ports"]]
            report.expect(int(port) in known, f"{overlay}: {url}: no such service and port")


def scaling(report: Report, overlay: str, objects: list[dict]) -> None:
    """Autoscalers and disruption budgets are for existing workloads. A workload has a fixed number of replicas or an autoscaler."""
    workloads = {resource["metadata"]["name"]: resource for resource in objects if "template" in resource.get("spec", {})}
    scaled = set()
    for resource in objects:
        name, spec = resource["metadata"]["name"], resource.get("spec", {})
        if resource["kind"] == "HorizontalPodAutoscaler":
            target = workloads.get(spec["scaleTargetRef"]["name"], {"kind": None})
            report.expect(target["kind"] == spec["scaleTargetRef"]["kind"], f"{overlay}: autoscaler {name}: no such workload")
            scaled.add(spec["scaleTargetRef"]["name"])
        if resource["kind"] == "PodDisruptionBudget":
            labels = [workload["spec"]["template"]["metadata"]["labels"] for workload in workloads.values()]
            selected = [pod for pod in labels if spec["selector"]["matchLabels"].items() <= pod.items()]
            report.expect(len(selected) == 1, f"{overlay}: disruption budget {name} selects {len(selected)} workloads")
    for name, workload in workloads.items():
        fixed = "replicas" in workload["spec"]
        report.expect(fixed != (name in scaled), f"{overlay}: {name}: expected either replicas or an autoscaler")


def stores(report: Report, overlay: str, objects: list[dict]) -> None:
    """Nodes have no persistent volumes, and require the URLs of the shared database and media store. Gateways have neither."""
    for name, pod in pods(objects):
        place = f"{overlay}: {name}"
        for container in pod["containers"]:
            if container.get("args", [""])[0] == "gateway":
                continue
            database = next((entry for entry in container["env"] if entry["name"] == "TRIPTYCH_DATABASE_URL"), {})
            reference = database.get("valueFrom", {}).get("secretKeyRef", {})
            report.expect(reference and not reference.get("optional"), f"{place}: TRIPTYCH_DATABASE_URL must be required, from a Secret")
            report.expect("://" in variables(objects, pod).get("TRIPTYCH_MEDIA_URL", ""), f"{place}: TRIPTYCH_MEDIA_URL is missing")
        kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
        report.expect(kinds <= {"configMap", "emptyDir", "secret"}, f"{place}: volumes of the kinds {kinds}")
    for resource in objects:
        claims = resource["kind"] in ("PersistentVolumeClaim", "StatefulSet")
        report.expect(not claims, f"{overlay}: {resource['kind']} {resource['metadata']['name']}: nodes have no volumes of their own")

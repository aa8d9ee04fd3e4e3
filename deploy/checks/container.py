"""Checks deploy/container/Containerfile and its build context, and builds the image where an engine runs."""

import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from package.executable import ZIG

from .report import DEPLOY, ROOT, Report, find

FILE = DEPLOY / "container/Containerfile"
# Each with the command whose success shows that the engine works here.
ENGINES = {"docker": "info", "podman": "info", "buildah": "info"}


def instructions() -> list[list[str]]:
    """Returns the instructions as words, with continued lines joined and without comments."""
    text = re.sub(r"^\s*#.*\n", "", FILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [line.split() for line in text.splitlines() if line.strip()]


def context() -> set[str]:
    """Returns the tracked files that .dockerignore leaves in the build context. Its patterns here are paths, after one `*`."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    included = [line.removeprefix("!/") for line in lines if line.startswith("!/")]
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return {file for file in files.stdout.splitlines() if any(file == path or file.startswith(f"{path}/") for path in included)}


def check(report: Report) -> None:
    lines = instructions()
    files = context()
    stages = [line[3] if len(line) == 4 and line[2].upper() == "AS" else None for line in lines if line[0] == "FROM"]
    report.expect(all(stages), "Containerfile: each FROM names its stage: FROM IMAGE AS NAME")
    for line in lines:
        if line[0] == "FROM":
            tag = line[1].rpartition("/")[2].partition(":")[2]
            report.expect(tag and tag != "latest", f"Containerfile: {line[1]}: expected a tag other than latest")
        if line[0] == "COPY":
            options = [word for word in line[1:] if word.startswith("--")]
            source = next((option.removeprefix("--from=") for option in options if option.startswith("--from=")), None)
            names = [word for word in line[1:-1] if not word.startswith("--")]
            if source is None:
                for name in names:
                    exists = name == "." or any(file == name or file.startswith(f"{name}/") for file in files)
                    report.expect(exists, f"Containerfile: COPY {name}: not in the build context, see .dockerignore")
            else:
                report.expect(source in stages, f"Containerfile: COPY --from={source}: no stage of this name")
    last = {line[0]: line[1:] for line in lines}
    user = last.get("USER", ["root"])[0].partition(":")[0]
    report.expect(
        user.isdigit() and user != "0", f"Containerfile: USER {user}: expected a number other than 0"
    )
    report.expect({"8000", "50051"} <= set(last.get("EXPOSE", [])), "Containerfile: EXPOSE lacks 8000 or 50051")
    report.expect("HEALTHCHECK" in last and "CMD-SHELL" not in last["HEALTHCHECK"], "Containerfile: HEALTHCHECK in JSON form is missing")
    for package in ZIG:
        report.expect(package in FILE.read_text(), f"Containerfile: expected {package}, the version of deploy/package/executable.py")
    report.run(find("hadolint"), FILE)
    manifests_are_complete(report, files)
    build(report)


def manifests_are_complete(report: Report, files: set[str]) -> None:
    """Checks that cargo accepts the build context: each file that a manifest names is in it."""
    with tempfile.TemporaryDirectory() as directory:
        for file in files:
            target = Path(directory, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, target)
        output = report.run("cargo", "metadata", "--no-deps", "--offline", "--locked", "--format-version", "1", cwd=Path(directory))
        for package in json.loads(output)["packages"] if output else []:
            for part in package["targets"]:
                exists = Path(part["src_path"]).exists()
                report.expect(exists, f".dockerignore: {part['src_path'].removeprefix(directory)} is missing in the build context")


def build(report: Report) -> None:
    for engine, probe in ENGINES.items():
        if shutil.which(engine) and subprocess.run([engine, probe], capture_output=True, check=False).returncode == 0:
            report.run(engine, "build", "--file", FILE, "--tag", "triptych:check", ROOT)
            return
    report.skip("image not built", "no builder: neither docker, podman nor buildah works here")

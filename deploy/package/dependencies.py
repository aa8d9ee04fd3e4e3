"""The crates whose code is in the executable, as cargo resolves them from Cargo.lock."""

import json
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Crate:
    """A crate of the executable."""

    name: str
    version: str
    licence: str  # an SPDX expression
    authors: tuple[str, ...]
    repository: str
    directory: Path  # with its sources, and in most crates the text of its licence
    checksum: str  # SHA-256 of its package in the registry; empty for the crates of this repository
    dependencies: tuple[str, ...]  # "name version" of crates that it uses itself

    @property
    def id(self) -> str:
        return f"{self.name} {self.version}"


def crates(root: Path, target: str) -> list[Crate]:
    """Returns the crates in the executable for this target, without those that only build or test it, in the order of their names."""

    def cargo(*arguments: str) -> str:
        return subprocess.run(["cargo", *arguments], cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout

    tree = cargo(
        "tree", "--quiet", "--locked", "--package", "triptych", "--target", target, "--edges", "normal,no-proc-macro",
        "--prefix", "none", "--no-dedupe", "--format", "{p}",
    )  # fmt: skip
    # Lines such as `bytes v1.11.0` or `triptych v0.1.0 (/source/triptych)`.
    used = {" ".join(line.split()[:2]).replace(" v", " ") for line in tree.splitlines() if line}
    metadata = json.loads(cargo("metadata", "--quiet", "--locked", "--format-version", "1", "--filter-platform", target))
    packages = {package["id"]: package for package in metadata["packages"]}
    ids = {key: f"{package['name']} {package['version']}" for key, package in packages.items()}
    edges = {
        node["id"]: sorted({ids[dependency["pkg"]] for dependency in node["deps"] if is_normal(dependency)} & used)
        for node in metadata["resolve"]["nodes"]
    }
    lock = tomllib.loads((root / "Cargo.lock").read_text())
    checksums = {f"{package['name']} {package['version']}": package.get("checksum", "") for package in lock["package"]}
    return sorted(
        Crate(
            name=package["name"],
            version=package["version"],
            # The form before SPDX expressions: MIT/Apache-2.0.
            licence=(package["license"] or "NOASSERTION").replace("/", " OR "),
            authors=tuple(package["authors"]),
            repository=package["repository"] or "",
            directory=Path(package["manifest_path"]).parent,
            checksum=checksums[ids[key]],
            dependencies=tuple(edges[key]),
        )
        for key, package in packages.items()
        if ids[key] in used
    )


def is_normal(dependency: dict) -> bool:
    return any(kind["kind"] is None for kind in dependency["dep_kinds"])

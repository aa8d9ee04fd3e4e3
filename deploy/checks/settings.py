"""The names of the settings of Triptych, by which the checks find unknown ones in manifests."""

import tomllib
from collections.abc import Iterable, Iterator

from .report import ROOT, Report

PREFIX = "TRIPTYCH_"


def paths(tree: dict, prefix: str = "") -> Iterator[str]:
    """Returns the paths of the values of a tree, such as `log.format`."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from paths(value, f"{prefix}{name}.")
        else:
            yield prefix + name


KNOWN = set(paths(tomllib.loads((ROOT / "triptych/config.default.toml").read_text())))


def check_variables(report: Report, place: str, names: Iterable[str]) -> None:
    """Each variable with the prefix of settings must be one: Triptych refuses unknown ones."""
    variables = {PREFIX + path.replace(".", "_").upper() for path in KNOWN}
    for name in names:
        report.expect(not name.startswith(PREFIX) or name in variables, f"{place}: {name}: no such setting")


def check_file(report: Report, place: str, text: str) -> None:
    """Each setting of a configuration file must exist."""
    for path in paths(tomllib.loads(text)):
        report.expect(path in KNOWN, f"{place}: {path}: no such setting")

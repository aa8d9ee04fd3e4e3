"""Checks .github/workflows: syntax and types with actionlint, security with zizmor."""

import re

from .report import ROOT, Report, find


def check(report: Report) -> None:
    files = sorted((ROOT / ".github/workflows").glob("*.yml"))
    for file in files:
        for action in re.findall(r"uses: (\S+)", file.read_text()):
            # A tag can be moved, a commit cannot.
            pinned = action.startswith("./") or re.fullmatch(r"\S+@[0-9a-f]{40}", action)
            report.expect(pinned, f"{file.name}: {action}: expected a commit, with the version as a comment")
    report.run(find("actionlint"), *files)
    # Without a network: it would compare the commits of actions with their tags.
    report.run(find("zizmor"), "--offline", "--quiet", *files)

#!/usr/bin/env python3
"""Checks the files of this directory and the workflows: syntax, schemas, references between files, and rules of security.

    check_files.py [CHECK]...
    check_files.py bill DIRECTORY       the bill of materials of a release in this directory

The checks are the modules of deploy/checks. The packages of deploy/checks/requirements.txt must be installed. A check whose tool is
not available is reported as skipped. The image is built where a container engine runs.
"""

import sys
from pathlib import Path

from checks import bill, compose, container, kubernetes, systemd, workflows
from checks.report import Report

CHECKS = {"container": container, "compose": compose, "kubernetes": kubernetes, "systemd": systemd, "workflows": workflows}


def main() -> int:
    report = Report()
    if sys.argv[1:2] == ["bill"]:
        bill.check(report, Path(sys.argv[2]))
    else:
        for name in sys.argv[1:] or CHECKS:
            before = len(report.problems)
            CHECKS[name].check(report)
            print(f"{name}: {len(report.problems) - before} problems")
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    for skipped in report.skipped:
        print(f"SKIPPED {skipped}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())

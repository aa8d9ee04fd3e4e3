"""Checks deploy/systemd: the units are valid, and how much of the system the service could reach."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .report import DEPLOY, Report

PLACE = DEPLOY / "systemd"
# The exposure that `systemd-analyze security` computes, 0 (none) to 10.
MAX_EXPOSURE = 1.5
# The drain by default, in seconds.
DRAIN = 30


def check(report: Report) -> None:
    stop = re.search(r"^TimeoutStopSec=(\d+)$", (PLACE / "triptych.service").read_text(), re.MULTILINE)
    report.expect(stop and int(stop[1]) > DRAIN, f"triptych.service: TimeoutStopSec must be more than {DRAIN}")
    tool = shutil.which("systemd-analyze")
    if tool is None:
        report.skip("systemd units", "systemd-analyze is not installed")
        return
    with tempfile.TemporaryDirectory() as directory:
        units = []
        for unit in sorted(PLACE.glob("triptych*")):
            # `verify` requires that the programs exist. That they are installed there is checked with the Debian package.
            text = unit.read_text().replace("/usr/bin/triptych ", f"{shutil.which('true')} ")
            copy = Path(directory, unit.name)
            copy.write_text(text)
            if unit.suffix in (".service", ".timer"):
                units.append(copy)
        # Unknown keys and sections are only printed.
        done = subprocess.run([tool, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
        report.expect(done.returncode == 0 and not done.stderr, f"systemd-analyze verify: {done.stderr.strip()}")
    for unit in sorted(PLACE.glob("*.service")):
        output = report.run(tool, "security", "--offline=true", "--no-pager", unit)
        level = re.search(r"exposure level for \S+: ([\d.]+)", output)
        report.expect(
            level and float(level[1]) <= MAX_EXPOSURE, f"{unit.name}: exposure: expected at most {MAX_EXPOSURE}:\n{output}"
        )
        if level:
            print(f"{unit.name}: exposure {level[1]} of 10")

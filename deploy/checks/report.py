"""Shared by the checks: the report of problems and skipped checks, and the execution of commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parent.parent
ROOT = DEPLOY.parent
# Where tools are installed.
BUILD = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve() / "deploy"
# The programs of the Python packages are beside the interpreter, which need not be on the PATH.
BIN = Path(sys.executable).parent


class Report:
    """Collects problems and skipped checks."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.skipped: list[str] = []

    def expect(self, condition: object, problem: str) -> None:
        """Adds the problem unless the condition holds."""
        if not condition:
            self.problems.append(problem)

    def skip(self, name: str, reason: str) -> None:
        """Reports that a check did not run."""
        self.skipped.append(f"{name}: {reason}")

    def run(self, *command: object, text: str | None = None, cwd: Path = ROOT) -> str:
        """Runs a command. Its failure is a problem, with its output. Returns its standard output."""
        done = subprocess.run([str(part) for part in command], cwd=cwd, input=text, capture_output=True, text=True, check=False)
        self.expect(done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}".strip())
        return done.stdout


def find(name: str) -> str | None:
    """Returns the path of a program of the Python packages or of the system."""
    return shutil.which(name, path=str(BIN)) or shutil.which(name)

"""The files of a release, by their path in the archive. The Debian package installs the same ones elsewhere."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

# The one setting in the settings file of a package: an absolute directory, where the service may write.
DATA_DIR = 'data_dir = "/var/lib/triptych/data"'
# Files with secrets that users create there, and that must not become part of a release.
PRIVATE = ("deploy/compose/secrets", "deploy/compose/triptych.env")


@dataclass(frozen=True)
class File:
    """A file of the release."""

    data: bytes
    mode: int = 0o644


def collect(root: Path, executable: Path, generated: dict[str, str]) -> dict[str, File]:
    """Returns the files. The executable itself writes its completions, its manual page and its settings file."""
    files = {"triptych": File(executable.read_bytes(), 0o755)}
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE-APACHE", "LICENSE-MIT"):
        files[name] = File((root / name).read_bytes())
    for name, text in generated.items():
        files[name] = File(text.encode())
    for shell, name in (("bash", "triptych.bash"), ("zsh", "_triptych"), ("fish", "triptych.fish")):
        files[f"completions/{name}"] = File(run(executable, "completions", shell))
    files["man/triptych.1"] = File(run(executable, "man"))
    files["triptych.toml"] = File(settings(executable))
    for path in sorted((root / "deploy/systemd").iterdir()):
        files[f"systemd/{path.name}"] = File(path.read_bytes())
    # Files that the README links to, and that docs/install.md uses.
    parts = ("compose", "grafana", "haproxy", "kubernetes", "nginx", "prometheus")
    for place in ("docs", *(f"deploy/{part}" for part in parts)):
        for path in sorted((root / place).rglob("*")):
            name = str(path.relative_to(root))
            # Without the tools of the site.
            if path.is_file() and not name.startswith(PRIVATE) and (place != "docs" or path.suffix in (".md", ".webp")):
                files[name] = File(path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
    return files


def run(executable: Path, *arguments: str) -> bytes:
    # Without variables of this environment, which may be settings.
    return subprocess.run([executable, *arguments], env={}, check=True, stdout=subprocess.PIPE).stdout


def settings(executable: Path) -> bytes:
    """Returns a settings file in which all settings but the data directory are comments."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "triptych.toml")
        run(executable, "init", str(path))
        lines = path.read_text().splitlines()
    (place,) = [index for index, line in enumerate(lines) if line.startswith("#data_dir = ")]
    lines[place] = DATA_DIR
    return "\n".join([*lines, ""]).encode()

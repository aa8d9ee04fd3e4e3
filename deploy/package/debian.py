"""The Debian package: the files of the archive at the places of the distribution, and scripts for its installation."""

import gzip
import os
import subprocess
import tempfile
from pathlib import Path

from .contents import File

# The names of the archive to the places of the package.
PLACES = {
    "triptych": "usr/bin/triptych",
    "triptych.toml": "etc/triptych/triptych.toml",
    "completions/triptych.bash": "usr/share/bash-completion/completions/triptych",
    "completions/_triptych": "usr/share/zsh/vendor-completions/_triptych",
    "completions/triptych.fish": "usr/share/fish/vendor_completions.d/triptych.fish",
    "systemd/triptych.service": "usr/lib/systemd/system/triptych.service",
    "systemd/triptych-backup.service": "usr/lib/systemd/system/triptych-backup.service",
    "systemd/triptych-backup.timer": "usr/lib/systemd/system/triptych-backup.timer",
    "systemd/triptych.sysusers": "usr/lib/sysusers.d/triptych.conf",
    "THIRD-PARTY-LICENSES": "usr/share/doc/triptych/THIRD-PARTY-LICENSES",
    "triptych.cdx.json": "usr/share/doc/triptych/triptych.cdx.json",
    "README.md": "usr/share/doc/triptych/README.md",
    "SECURITY.md": "usr/share/doc/triptych/SECURITY.md",
}
EXAMPLES = ("docs/", "deploy/")
ENVIRONMENT = """\
# Environment variables of the service, one NAME=value a line: secrets, such as CHAT_API_KEY or TRIPTYCH_KEYS. Every setting of
# triptych.toml has a variable as well, which has precedence.
"""
CONFFILES = ("/etc/triptych/triptych.toml", "/etc/triptych/triptych.env")
# The settings may contain secrets: they are readable for root and the service.
POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    if [ -x /usr/bin/systemd-sysusers ]; then
        systemd-sysusers triptych.conf
    elif ! getent passwd triptych >/dev/null; then
        useradd --system --user-group --no-create-home --home-dir /var/lib/triptych --shell /usr/sbin/nologin triptych
    fi
    # At the first installation only: later, owners and modes are the administrator's, who may also have removed the files.
    if [ -z "$2" ]; then
        chown root:triptych /etc/triptych/triptych.toml
        chmod 0640 /etc/triptych/triptych.toml
        chmod 0600 /etc/triptych/triptych.env
    fi
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        # After an upgrade. A new installation is not started before it has been configured: systemctl enable --now triptych
        systemctl try-restart triptych.service
    fi
fi
"""
PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now triptych.service triptych-backup.timer
fi
"""
# The data directory and the user stay, so that no video is lost by mistake.
POSTRM = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
if [ "$1" = purge ] && [ -d /var/lib/triptych ]; then
    echo "triptych: /var/lib/triptych was kept; remove it if its videos and jobs are not needed" >&2
fi
"""


def write(path: Path, version: str, architecture: str, files: dict[str, File], epoch: int, *, fast: bool) -> None:
    """Builds the package with dpkg-deb. `fast`: with little compression."""
    installed = {place: files[name] for name, place in PLACES.items()}
    installed |= {f"usr/share/doc/triptych/{name}": file for name, file in files.items() if name.startswith(EXAMPLES)}
    installed["usr/share/man/man1/triptych.1.gz"] = compress(files["man/triptych.1"])
    installed["usr/share/doc/triptych/changelog.gz"] = compress(files["CHANGELOG.md"])
    licences = b"\n".join(files[name].data for name in ("LICENSE-MIT", "LICENSE-APACHE"))
    text = b"Triptych is licensed under the MIT license or the Apache License 2.0, at your option.\n\n" + licences
    installed["usr/share/doc/triptych/copyright"] = File(text + b"\nLicenses of the crates it contains: THIRD-PARTY-LICENSES.\n")
    installed["etc/triptych/triptych.env"] = File(ENVIRONMENT.encode(), 0o600)
    size = sum(len(file.data) for file in installed.values()) // 1024
    control = {
        "control": File(control_file(version, architecture, size).encode()),
        "conffiles": File("".join(f"{name}\n" for name in CONFFILES).encode()),
        "postinst": File(POSTINST.encode(), 0o755),
        "prerm": File(PRERM.encode(), 0o755),
        "postrm": File(POSTRM.encode(), 0o755),
    }
    with tempfile.TemporaryDirectory() as directory:
        for name, file in (installed | {f"DEBIAN/{name}": file for name, file in control.items()}).items():
            target = Path(directory, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.data)
            target.chmod(file.mode)
        for place in [Path(directory), *Path(directory).rglob("*")]:
            if place.is_dir():
                place.chmod(0o755)
            os.utime(place, (epoch, epoch))
        # It sorts the files, and writes none with a later time than SOURCE_DATE_EPOCH.
        compression = ["-Zgzip", "-z1"] if fast else ["-Zxz"]
        command = ["dpkg-deb", "--root-owner-group", *compression, "--build", directory, str(path)]
        subprocess.run(command, env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}, check=True, stdout=subprocess.DEVNULL)


def compress(file: File) -> File:
    return File(gzip.compress(file.data, mtime=0))


def control_file(version: str, architecture: str, size: int) -> str:
    # A pre-release such as 1.0.0-rc.1 precedes 1.0.0 only with a tilde.
    return f"""\
Package: triptych
Version: {version.replace("-", "~")}
Section: net
Priority: optional
Architecture: {architecture}
Installed-Size: {size}
Depends: ca-certificates
Recommends: systemd
Maintainer: The Triptych Authors
Description: gateway to chat, image and video generation
 An OpenAI-compatible REST API and a typed gRPC API in front of providers of
 chat, image and video models, with budgets, webhooks and durable video jobs.
 The executable is static; only certificate authorities are needed.
"""

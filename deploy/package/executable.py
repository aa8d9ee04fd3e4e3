"""Builds the executable, and reads its architecture from the file."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

# Of PyPI: a C and C++ compiler for musl, and the program that passes it to cargo.
ZIG = ("ziglang==0.17.1", "cargo-zigbuild==0.24.1")
# e_machine of ELF to the architecture in the names of Rust and Debian.
MACHINES = {62: ("x86_64", "amd64"), 183: ("aarch64", "arm64")}
PT_INTERP = 3


def build(root: Path, target: str, profile: str, target_dir: Path) -> Path:
    """Builds the executable, and returns its path. Needs cargo, rustup or an installed target, and python3 with venv."""
    environment = os.environ | {"CARGO_TARGET_DIR": str(target_dir)}
    command = ["cargo", "build"]
    if target.endswith("-musl"):
        if shutil.which("rustup"):
            subprocess.run(["rustup", "target", "add", target], check=True)
        environment["PATH"] = f"{zig(target_dir)}{os.pathsep}{environment['PATH']}"
        command = ["cargo", "zigbuild"]
    else:
        environment["RUSTFLAGS"] = f"{environment.get('RUSTFLAGS', '')} -C target-feature=+crt-static".strip()
    # Paths of the builder would be in panic messages, and make builds in two places differ.
    home = os.environ.get("CARGO_HOME", str(Path.home() / ".cargo"))
    for source, name in ((str(root), "/triptych"), (home, "/cargo")):
        environment["RUSTFLAGS"] = f"{environment.get('RUSTFLAGS', '')} --remap-path-prefix={source}={name}".strip()
    command += ["--locked", "--package", "triptych", "--target", target, "--profile", profile]
    subprocess.run(command, cwd=root, env=environment, check=True)
    return target_dir / target / ("debug" if profile == "dev" else profile) / "triptych"


def zig(target_dir: Path) -> Path:
    """Installs the compiler in the build directory, and returns the directory of its programs."""
    place = target_dir / "zig"
    installed = place / "installed.txt"
    if not installed.exists() or installed.read_text() != " ".join(ZIG):
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([place / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *ZIG], check=True)
        installed.write_text(" ".join(ZIG))
    return place / "bin"


def inspect(path: Path, allow_dynamic: bool) -> tuple[str, str]:
    """Returns the architecture of an executable, as Rust and as Debian name it.

    Raises SystemExit unless it is a 64-bit Linux executable that is statically linked, that is, without an interpreter. Dynamic linking
    can be allowed.
    """
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise SystemExit(f"{path} is not a 64-bit little-endian ELF executable")
    (machine,) = struct.unpack_from("<H", data, 18)
    (headers,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    kinds = [struct.unpack_from("<I", data, headers + size * index)[0] for index in range(count)]
    if PT_INTERP in kinds and not allow_dynamic:
        raise SystemExit(f"{path} is dynamically linked; build it with deploy/release, without --executable")
    if machine not in MACHINES:
        raise SystemExit(f"{path}: expected a machine of {sorted(MACHINES)}, found {machine}")
    return MACHINES[machine]

"""The licence texts of all crates in the executable, for the file THIRD-PARTY-LICENSES."""

import re
from collections.abc import Iterator
from pathlib import Path

from .dependencies import Crate

# OFL: the licence of fonts.
NAMES = re.compile(r"(licen[cs]e|copying|notice|copyright|unlicense|ofl)([-._].*)?$", re.IGNORECASE)
# Code of these files is not in the executable.
SKIPPED = {"tests", "test", "examples", "benches", "fuzz", "docs", "doc", "target"}
# How deep below the root of a crate its bundled C code may have a licence of its own.
DEPTH = 3
HEADER = """\
The executable `triptych` contains code of the crates below. Their licences follow, each text once, after the crates that it
applies to. For a crate with several licences, Triptych uses it under the one that its line names first, or under any other.

It is linked with the standard library of Rust (MIT OR Apache-2.0), and with a C and a C++ library: those of the builder, or musl
(MIT), libc++ and libunwind (Apache-2.0 WITH LLVM-exception).
"""
BSD_2 = """\
Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer in the documentation and/or other materials provided with the distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
"""  # noqa: E501


def third_party(crates: list[Crate], root: Path) -> str:
    """Returns the text of THIRD-PARTY-LICENSES.

    Raises SystemExit for a crate without a licence text whose licence has no standard text here.
    """
    external = [crate for crate in crates if crate.checksum]
    users: dict[str, list[str]] = {}
    for crate in external:
        for text in texts(crate) or [standard_text(crate, root)]:
            users.setdefault(text, []).append(f"{crate.id} ({crate.licence})")
    # Crates of this repository have the licence of Triptych, but one of them contains a font.
    for crate in crates:
        if not crate.checksum and crate.directory != root:
            for text in texts(crate):
                users.setdefault(text, []).append(f"part of {crate.id}")
    parts = [HEADER, *(f"  {crate.id}: {crate.licence}\n" for crate in external)]
    for text, names in sorted(users.items(), key=lambda item: item[1]):
        parts.append(f"\n{'=' * 100}\n" + "\n".join(names) + f"\n{'-' * 100}\n\n{text}")
    return "".join(parts)


def texts(crate: Crate) -> list[str]:
    """Returns the distinct texts of the licence files of a crate and of the C code that it bundles."""
    found = {file.read_text(errors="replace").replace("\r\n", "\n").strip("\n") + "\n" for file in licence_files(crate.directory, DEPTH)}
    return sorted(found)


def licence_files(directory: Path, depth: int) -> Iterator[Path]:
    for entry in sorted(directory.iterdir()):
        if entry.is_dir():
            if depth and entry.name.lower() not in SKIPPED and not entry.name.startswith("."):
                yield from licence_files(entry, depth - 1)
        elif NAMES.fullmatch(entry.name) and entry.suffix not in (".rs", ".toml", ".json", ".h", ".c"):
            yield entry


def standard_text(crate: Crate, root: Path) -> str:
    """Returns the standard text of the licence of a crate that has no file with it."""
    copyright_line = f"Copyright (c) {', '.join(crate.authors) or f'the authors of {crate.name}, {crate.repository}'}"
    if "Apache-2.0" in crate.licence:
        return (root / "LICENSE-APACHE").read_text()
    if "MIT" in crate.licence:
        return re.sub(r"Copyright \(c\) .*", copyright_line, (root / "LICENSE-MIT").read_text(), count=1)
    if "BSD-2-Clause" in crate.licence:
        return f"{copyright_line}\n\n{BSD_2}"
    raise SystemExit(f"{crate.id} has no licence file, and {crate.licence} no standard text in {Path(__file__).name}")

"""The archive for any Linux distribution, the same bytes for the same files."""

import gzip
import io
import tarfile
from pathlib import Path

from .contents import File


def write(path: Path, prefix: str, files: dict[str, File], epoch: int, level: int) -> None:
    """Writes a tar.gz, compressed with the level of gzip. All files are below `prefix`, belong to root, and have the time `epoch` (in Unix
    seconds)."""
    buffer = io.BytesIO()
    directories = {str(parent) for name in files for parent in Path(prefix, name).parents} - {"."}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, file in sorted(
            [*((name, None) for name in directories), *((f"{prefix}/{name}", file) for name, file in files.items())],
            key=lambda entry: entry[0],
        ):
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.uname, entry.gname = epoch, "root", "root"
            if file is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                entry.mode, entry.size = file.mode, len(file.data)
                archive.addfile(entry, io.BytesIO(file.data))
    # The header of gzip has a time too.
    path.write_bytes(gzip.compress(buffer.getvalue(), level, mtime=epoch))

"""Files that are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file through to the disk, under a temporary name until it is whole.

    Raises:
        OSError: it cannot be written; what stood there before still does.
    """
    _write(path, [data])


def write_text(path: Path, pieces: Iterable[str]) -> None:
    """Write UTF-8 as `write` does, piece by piece, so that it need not be in memory at once.

    Raises:
        OSError: as `write`. What goes wrong with a piece leaves what stood there before, too.
    """
    _write(path, (piece.encode() for piece in pieces))


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".dps-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

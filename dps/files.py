"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Write a file through to the disk, under a temporary name until it is whole.

    Raises:
        OSError: it cannot be written; what stood there before still does.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".dps-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

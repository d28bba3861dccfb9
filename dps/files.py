"""Files: found however their names are encoded, and written whole or not at all."""

import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path

MAX_NAME_BYTES = 150
"""Of a name that text is made into, without what is added to it."""


def existing(path: Path) -> Path:
    """Return the path of a file that is there, if its name differs in the Unicode normalization form alone.

    A name with an accent may be stored as one character or as two, and looks the same. A path without such a file is
    returned as it is.
    """
    if path.exists() or path.parent == path or (path.name.isascii() and path.parent.exists()):
        return path
    parent, name = existing(path.parent), unicodedata.normalize("NFC", path.name)
    names = [other.name for other in parent.iterdir()] if parent.is_dir() else []
    same = sorted(other for other in names if unicodedata.normalize("NFC", other) == name)
    return parent / same[0] if same else path


def write(path: Path, data: bytes | Iterable[str]) -> None:
    """Write a file through to the disk, under a temporary name until it is whole; else what stood there still does.

    Text is written as UTF-8, piece by piece, so that it need not be in memory at once.
    """
    pieces = [data] if isinstance(data, bytes) else (piece.encode() for piece in data)
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


def safe_name(text: str) -> str:
    """Return a text as a file's name: other characters than of words, ``.``, ``+`` and ``-`` become ``_``.

    A long name is cut to its end, behind a digest of the whole, since file systems take 255 bytes.
    """
    name = re.sub(r"[^\w.+-]+|^\.", "_", text)
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{digest}-{name.encode()[-MAX_NAME_BYTES:].decode(errors='ignore')}"

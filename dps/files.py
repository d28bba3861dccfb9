"""Files: lookup independent of Unicode normalization, atomic writing, and safe names."""

import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable
from pathlib import Path

MAX_NAME_BYTES = 150
"""Limit of `safe_name`, which leaves room for prefixes and suffixes in the 255 bytes that file systems allow."""


def find(path: Path) -> Path:
    """Return the path of an existing file whose name may differ in Unicode normalization; without one, the path itself.

    For example, an accented letter may be stored as one character or as two.
    """
    if path.exists() or path.parent == path or (path.name.isascii() and path.parent.exists()):
        return path
    parent, name = find(path.parent), unicodedata.normalize("NFC", path.name)
    names = [other.name for other in parent.iterdir()] if parent.is_dir() else []
    same = sorted(other for other in names if unicodedata.normalize("NFC", other) == name)
    return parent / same[0] if same else path


def write(path: Path, data: bytes | Iterable[str]) -> None:
    """Write a file atomically and sync it to disk; if that fails, an existing file is unchanged.

    Text is encoded as UTF-8 piece by piece, so that it need not be in memory at once.
    """
    pieces = [data] if isinstance(data, bytes) else (piece.encode() for piece in data)
    if path.exists() and not path.is_file():  # such as /dev/stdout, which must not be replaced
        with path.open("wb") as file:
            file.writelines(pieces)
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".dps-", suffix=".part")
    except OSError as error:
        error.filename = str(path)  # not the temporary one
        raise
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
    """Return a text as a file name: characters other than letters, digits, ``_.+-`` become ``_``.

    A long name is shortened to a digest of the text and the end of the name.
    """
    name = re.sub(r"[^\w.+-]+|^\.", "_", text)
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{digest}-{name.encode()[-MAX_NAME_BYTES:].decode(errors='ignore')}"

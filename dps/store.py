"""Measured distances on disk, so that nothing is measured twice.

One file holds the distances of one shard by one variant. Its name is its key, the digest of everything that they depend
on, so a file is never out of date: what depends on something else has another name. A file appears whole, under its
name, or not at all; processes that share a store need no lock, since both would write the same. Every file ends with a
checksum, and one whose checksum is wrong is measured again.

    STORE/dps-store.json    the version of this layout
    STORE/3f/3f9c...npy     distances, float64, as NumPy writes them, and the SHA-256 of that and of the key
"""

import contextlib
import hashlib
import io
import json
import logging
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray

from dps import files
from dps.errors import StoreError, one_line
from dps.fingerprint import fingerprint, own_source
from dps.metrics import FeatureMetric, Metric, Variant
from dps.networks import NETWORKS

Array: TypeAlias = NDArray[np.float64]

SCHEMA = 2
NOTE = "dps-store.json"

MEASURING = ("comparisons.py", "kernels.py", "images.py", "networks.py", "weights.py", "measurement", "metrics")
"""The parts of this package that turn images into distances."""

ABANDONED = 3600
"""Seconds after which a file that is not whole belongs to a run that was killed, and not to one that is writing it."""

LOG = logging.getLogger(__name__)
"""Names damaged files."""


def key_of(variant: Variant, *, weights_sha256: str | None, reduction: str, preprocessing: str, device: str) -> str:
    """Return the digest of everything that distances depend on but the shard, SHA-256, hexadecimal.

    Args:
        variant: what measures.
        weights_sha256: of the variant's network; None where it has none.
        reduction: one of `comparisons.REDUCTIONS`.
        preprocessing: what was done to the images, such as `shard_files.PREPROCESSING`.
        device: as PyTorch names it; the number of a device does not matter.

    Raises:
        NoFingerprintError: not everything that the metric depends on can be followed; the text says what.
    """
    parts: dict[str, Any] = {
        "schema": SCHEMA,
        "metric": definition(variant.metric),
        "normalization": variant.normalization,
        "preprocessing": preprocessing,
        "device": device.partition(":")[0],
        "code": own_source(*MEASURING),
        "torch": [torch.__version__, str(torch.get_default_dtype()), torch.get_float32_matmul_precision()],
    }
    if variant.network is not None:
        parts |= {"network": f"{NETWORKS[variant.network]!r} {weights_sha256}", "reduction": reduction}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def definition(metric: FeatureMetric | Metric) -> str:
    """Return what a metric computes: two metrics with one definition measure the same.

    Raises:
        NoFingerprintError: see `key_of`.
    """
    if isinstance(metric, FeatureMetric):
        terms = (term.name if term.built_in else fingerprint(term.comparison) for term in metric.terms)
        return " + ".join(f"{term.weight!r} * {text}" for term, text in zip(metric.terms, terms, strict=True))
    if is_fixed(metric):
        return metric.provenance or metric.name
    return f"{fingerprint(metric.distance)} of {metric.similarity_at_identity} in {metric.input_range}"


def is_fixed(metric: FeatureMetric | Metric) -> bool:
    """Return whether a metric's code and weights have versions and digests: a built-in or third-party one."""
    from dps.metrics.third_party import THIRD_PARTY_METRICS

    return metric.built_in or (
        isinstance(metric, Metric) and metric.name in THIRD_PARTY_METRICS and bool(metric.provenance)
    )


def not_kept(name: str, reason: str) -> str:
    """Return the line that says why a metric's distances are not kept."""
    return f"metric {name!r}: its distances are not kept between runs, since {reason}."


def default_folder() -> Path:
    """Return the store in the user's cache folder.

    Raises:
        StoreError: there is no such folder, since the user has no home.
    """
    with contextlib.suppress(RuntimeError, KeyError):
        if (folder := platformdirs.user_cache_path("dps")).is_absolute():  # ~/.cache in some versions
            return folder / "store"
    raise StoreError("there is no home folder to keep measured distances in; pass --store DIR.")


def prepare(folder: Path) -> Path:
    """Make a store, or check that one can be used, before anything is measured.

    Args:
        folder: is made where it is missing.

    Returns:
        The folder.

    Raises:
        StoreError: it cannot be written, holds other things, or is a store of another version.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / NOTE).exists():
            if not all(re.fullmatch(r"\..*|[0-9a-f]{2}", path.name) or path.name == NOTE for path in folder.iterdir()):
                raise StoreError(f"{folder}: holds other things, and no {NOTE}; name a new folder for the store.")
            _write_note(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
        schema = json.loads((folder / NOTE).read_bytes())["schema"]
    except OSError as error:
        raise _unwritable(folder, error) from None
    except (ValueError, KeyError, TypeError):
        schema = "unknown"
    if schema != SCHEMA:
        raise StoreError(
            f"{folder}: a store of version {schema}, but this dps has version {SCHEMA}. Name another folder, or empty "
            f"this one with: dps store --store {folder} remove"
        )
    return folder


def look_up(folder: Path, key: str, content: str) -> Array | None:
    """Return distances, ``(n, compared)``; None where they are not there.

    A damaged file counts as not there, and is named in the log.

    Args:
        folder: a store.
        key: see `key_of`.
        content: digest of the shard, see `Labels`.

    Raises:
        StoreError: the file must not be read.
    """
    path = _place(folder, key, content)
    try:
        data = path.read_bytes()
        data, checksum = data[:-32], data[-32:]
        if checksum != _checksum(data, path):
            raise ValueError("its checksum is wrong")
        distances: Array = np.load(io.BytesIO(data), allow_pickle=False)
        return distances
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); name another folder for the store.") from None
    except (ValueError, OSError) as error:
        LOG.warning("%s: damaged (%s); not used, it is measured again.", path, one_line(error))
        return None


def keep(folder: Path, key: str, content: str, distances: Array) -> None:
    """Write distances, whole or not at all, through to the disk.

    Args:
        folder, key, content: as for `look_up`.
        distances: ``(n, compared)``, float64.

    Raises:
        StoreError: they cannot be written; what was kept before still is.
        ValueError: they are not a float64 matrix.
    """
    if distances.dtype != np.float64 or distances.ndim != 2:
        raise ValueError(f"distances must be float64, (n, compared), got {distances.dtype} {distances.shape}")
    buffer = io.BytesIO()
    np.save(buffer, distances, allow_pickle=False)
    path = _place(folder, key, content)
    try:
        path.parent.mkdir(exist_ok=True)
        files.write(path, buffer.getvalue() + _checksum(buffer.getvalue(), path))
    except OSError as error:
        raise _unwritable(folder, error) from None


def size(folder: Path) -> tuple[int, int]:
    """Return how many shards a store holds, and their bytes."""
    sizes = [status.st_size for path in _entries(folder) if (status := _status(path))]
    return len(sizes), sum(sizes)


def remove(folder: Path) -> tuple[int, int]:
    """Remove everything that a store holds, and no other files; another process may go on writing into it.

    Its folders stay, since removing them could spoil what another process is writing.

    Args:
        folder: a store of any version; it is one of this version then.

    Returns:
        The number of files removed, and their bytes.

    Raises:
        StoreError: one of them cannot be removed.
    """
    removed = size = 0
    try:
        for path in [*_entries(folder), *folder.glob(".dps-*.part"), *folder.glob("??/.dps-*.part")]:
            status = _status(path)
            if status is None or (path.suffix == ".part" and time.time() - status.st_mtime <= ABANDONED):
                continue
            path.unlink(missing_ok=True)
            if path.suffix != ".part":
                removed, size = removed + 1, size + status.st_size
        if (folder / NOTE).exists():
            _write_note(folder)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be emptied ({error.strerror}).") from None
    return removed, size


def _write_note(folder: Path) -> None:
    files.write(folder / NOTE, json.dumps({"schema": SCHEMA}).encode())


def _place(folder: Path, key: str, content: str) -> Path:
    name = hashlib.sha256(f"{key} {content}".encode()).hexdigest()
    return folder / name[:2] / f"{name}.npy"


def _entries(folder: Path) -> list[Path]:
    """Return the files of a store of any version."""
    return sorted(path for path in folder.glob("??/*") if re.fullmatch(r"[0-9a-f]{64}\.(npy|safetensors)", path.name))


def _status(path: Path) -> os.stat_result | None:
    """Return a file's status; None where another process removed it in the meantime."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _checksum(data: bytes, path: Path) -> bytes:
    return hashlib.sha256(path.name.encode() + data).digest()


def _unwritable(folder: Path, error: OSError) -> StoreError:
    why = error.strerror or one_line(error)
    return StoreError(
        f"{folder}: the store cannot be written ({why}); what is in it is kept. Make room, or name another folder."
    )

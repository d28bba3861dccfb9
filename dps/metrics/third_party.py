"""Third-party metrics: other libraries' code, with weights that are checked and loaded without running code in them."""

import functools
import importlib
import importlib.metadata
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from dps import networks
from dps.errors import UsageError, WeightsError, check_known, one_line
from dps.metrics.definitions import Metric
from dps.networks.extractor import cut
from dps.weights import PackageFile, State

Distance: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Make: TypeAlias = Callable[[State, nn.Sequential | None], Distance]
"""Constructs a metric from the tensors of its own weights, and from its backbone if that is a built-in network."""

INSTALL = "pip install 'dps[third-party]'"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThirdPartyMetric:
    """Another library's metric; the last four attributes are those of `Metric`.

    Attributes:
        about: description and source.
        package: the required package.
        weights: its own weights, if any.
        older_weights: the weights of LPIPS version 0.0, which users may load by mistake.
        network: the built-in network that is its backbone, if any.
    """

    about: str
    package: str
    make: Make = field(repr=False)
    weights: PackageFile | None = None
    older_weights: PackageFile | None = None
    network: str | None = None
    similarity_at_identity: float | None = None
    input_range: tuple[float, float] = (0.0, 1.0)
    smallest: int = 1
    symmetric: bool = True


def named(name: str, *, weights: str, device: str) -> Metric:
    """Return another library's metric, which is loaded at its first use.

    Raises:
        UsageError: the name is unknown, or the library is not installed.
        WeightsError: its weights are missing or altered.
    """
    check_known("metric", name, THIRD_PARTY_METRICS)
    other = THIRD_PARTY_METRICS[name]
    provenance = [f"{other.package} {_version(name, other.package)}"]
    own_weights = other.weights.find(name, INSTALL) if other.weights else None
    network = networks.named(other.network, weights) if other.network else None
    if other.weights is not None:
        provenance.append(f"weights of {other.weights.package} {other.weights.sha256}")
    if network is not None:
        provenance.append(f"{other.network} {network.sha256}")

    @functools.cache
    def load() -> Distance:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the libraries' constructors cause deprecation warnings
            metric = other.make(own_weights.state if own_weights else {}, cut(network) if network else None)
        return metric.to(device).eval() if isinstance(metric, nn.Module) else metric

    return Metric(
        name=name,
        distance=lambda a, b: load()(a.to(device), b.to(device)),
        similarity_at_identity=other.similarity_at_identity,
        input_range=other.input_range,
        smallest=other.smallest,
        symmetric=other.symmetric,
        provenance=", ".join(provenance),
    )


def list_names() -> Iterator[tuple[str, str]]:
    """Yield the names of all third-party metrics, each with a description and how to install it if it is missing."""
    for name, other in THIRD_PARTY_METRICS.items():
        remedy = ""
        try:
            _version(name, other.package)
            if other.weights:
                other.weights.find(name, INSTALL)
        except (UsageError, WeightsError):
            remedy = f" Not installed: {INSTALL}"
        backbone = f" On our {other.network}." if other.network else ""
        size = f" From {other.smallest} pixels." if other.smallest > 1 else ""
        yield name, f"{other.about}{backbone}{size}{remedy}"


def _version(name: str, package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise UsageError(f"metric {name!r}: package {package} is not installed. Get it with: {INSTALL}") from None


# ------------------------------------------------------------------------------------------- constructors


def _fill(model: nn.Module, state: State) -> nn.Module:
    """Load a complete state into a model, and return the model."""
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise WeightsError(f"not the weights of {type(model).__name__} ({one_line(error)}).") from None
    return model.requires_grad_(requires_grad=False)


def _with_both_names(state: State) -> State:
    """Return the state with heads ``lin0..`` also as ``lins.0..``, since models of LPIPS have both names."""
    heads = {f"lins.{key.removeprefix('lin')}": value for key, value in state.items() if key.startswith("lin")}
    return {**state, **heads}


def _dists(state: State, network: nn.Sequential | None) -> Distance:
    """Construct piq's DISTS without its constructor, which would download VGG-16 and the weights."""
    perceptual = importlib.import_module("piq.perceptual")
    layers = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")
    channels = [3, 64, 128, 256, 512, 512]
    total = state["alpha"].sum() + state["beta"].sum()
    weights = [part for name in ("alpha", "beta") for part in torch.split(state[name] / total, channels, dim=1)]

    class Dists(perceptual.DISTS):  # type: ignore[misc, name-defined]  # piq is imported when it is needed
        def __init__(self) -> None:
            perceptual.ContentLoss.__init__(
                self,
                network,
                layers=[perceptual.VGG16_LAYERS[name] for name in layers],
                weights=weights,
                replace_pooling=True,
                reduction="none",
                allow_layers_weights_mismatch=True,
            )

    distance: Distance = Dists()
    return distance


def _lpips(net: str, network: str, *, sha256: str, older: str, smallest: int) -> ThirdPartyMetric:
    def make(state: State, network: nn.Sequential | None) -> Distance:
        assert network is not None
        lpips = importlib.import_module("lpips")
        model = lpips.LPIPS(net=net, pnet_rand=True, pretrained=False, verbose=False)
        constants = {key: value for key, value in model.state_dict().items() if key.startswith("scaling_layer.")}
        tensors = network.state_dict()
        backbone = {key: tensors[key.split(".", 2)[2]] for key in model.state_dict() if key.startswith("net.")}
        return _fill(model, {**constants, **backbone, **_with_both_names(state)})

    file, older_file = (
        PackageFile(package="lpips", version="0.1.4", path=f"lpips/weights/{version}/{net}.pth", sha256=digest)
        for version, digest in (("v0.1", sha256), ("v0.0", older))
    )
    return ThirdPartyMetric(
        about="LPIPS with calibrated heads, Zhang et al. 2018, arXiv:1801.03924.",
        package="lpips",
        make=make,
        weights=file,
        older_weights=older_file,
        network=network,
        input_range=(-1.0, 1.0),
        smallest=smallest,
    )


def _stlpips(net: str, *, sha256: str, smallest: int) -> ThirdPartyMetric:
    def make(state: State, _network: nn.Sequential | None) -> Distance:
        stlpips = importlib.import_module("stlpips_pytorch.stlpips")
        model = stlpips.LPIPS(net=net, variant="shift_tolerant", pretrained=False, verbose=False)
        return _fill(model, _with_both_names(state))

    path = f"stlpips_pytorch/weights/vST0.0/{net}_shift_tolerant.pth"
    return ThirdPartyMetric(
        about="Shift-tolerant LPIPS, Ghildyal and Liu 2022, arXiv:2207.13686.",
        package="stlpips-pytorch",
        make=make,
        weights=PackageFile(package="stlpips-pytorch", version="0.0.2", path=path, sha256=sha256),
        input_range=(-1.0, 1.0),
        smallest=smallest,
    )


def _piq(function: str, about: str, **declared: Any) -> ThirdPartyMetric:
    def make(_state: State, _network: nn.Sequential | None) -> Distance:
        call: Any = getattr(importlib.import_module("piq"), function)
        return lambda a, b: call(b, a, data_range=1.0, reduction="none")  # piq takes (distorted, original)

    return ThirdPartyMetric(about=about, package="piq", make=make, **declared)


THIRD_PARTY_METRICS: dict[str, ThirdPartyMetric] = {
    "lpips:alex": _lpips(
        "alex",
        "alexnet",
        sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        older="18720f55913d0af89042f13faa7e536a6ce1444a0914e6db9461355ece1e8cd5",
        smallest=31,
    ),
    "lpips:vgg": _lpips(
        "vgg",
        "vgg16",
        sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        older="b9e4236260c3dd988fc79d2a48d645d885afcbb21f9fd595e6744cf7419b582c",
        smallest=16,
    ),
    "lpips:squeeze": _lpips(
        "squeeze",
        "squeezenet",
        sha256="4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
        older="c27abd3a0145541baa50990817df58d3759c3f8154949f42af3b59b4e042d0bf",
        smallest=17,
    ),
    "stlpips:alex": _stlpips(
        "alex", sha256="b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee", smallest=21
    ),
    "stlpips:vgg": _stlpips(
        "vgg", sha256="44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250", smallest=18
    ),
    "piq:ssim": _piq("ssim", "SSIM, Wang et al. 2004.", similarity_at_identity=1.0, smallest=11),
    "piq:ms_ssim": _piq(
        "multi_scale_ssim", "Multi-scale SSIM, Wang et al. 2003.", similarity_at_identity=1.0, smallest=161
    ),
    "piq:gmsd": _piq("gmsd", "Gradient magnitude similarity deviation, Xue et al. 2013, arXiv:1308.3052."),
    "piq:fsim": _piq(
        "fsim", "Feature similarity (in color), Zhang et al. 2011.", similarity_at_identity=1.0, smallest=2
    ),
    "piq:vif": _piq(
        "vif_p",
        "Visual information fidelity, pixel domain, Sheikh and Bovik 2006.",
        similarity_at_identity=1.0,
        smallest=41,
        symmetric=False,  # the share of the original's information that the other image retains
    ),
    "piq:dists": ThirdPartyMetric(
        about="DISTS, Ding et al. 2020, arXiv:2004.07728; weights of dists-pytorch.",
        package="piq",
        make=_dists,
        weights=PackageFile(
            package="dists-pytorch",
            version="0.1",
            path="DISTS_pytorch/weights.pt",
            sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
        ),
        network="vgg16",
    ),
}
"""All third-party metrics by name. torchmetrics is left out: its SSIM, MS-SSIM, VIF, LPIPS and DISTS equal these; its
other metrics (spectral angle, ERGAS and the like) are designed for satellite images. Those that return one distance for
each pair can be named as ``torchmetrics.functional.image:NAME``."""

PREFIXES = frozenset(name.partition(":")[0] for name in THIRD_PARTY_METRICS)
"""Prefixes of third-party metrics, which never refer to a user's module."""

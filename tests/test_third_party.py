"""Other libraries' metrics: their own numbers, checked weights, one line for what is missing; registered names."""

import dataclasses
import functools
import importlib.metadata
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from dps import metrics, networks, store, weights
from dps.cli import main
from dps.errors import DpsError, UsageError, WeightsError
from dps.metrics import FeatureMetric, Metric, third_party, user_defined
from dps.metrics.third_party import THIRD_PARTY_METRICS
from dps.networks import Extractor, extractor
from dps.user_code import loading
from tests.refusals import refusal
from tests.running import ROOT, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]


@functools.cache
def image_metric(name: str) -> Metric:
    metric = metrics.named(name)
    assert isinstance(metric, Metric)
    return metric


def pairs(size: int, count: int = 3) -> tuple[Tensor, Tensor]:
    """Images, and the same with some noise."""
    generator = torch.Generator().manual_seed(1)
    a = torch.rand((count, 3, size, size), generator=generator)
    noise = torch.randn(a.shape, generator=generator)
    return a, (a + 0.1 * noise).clamp(0, 1)


def why(name: str, error: type[DpsError] = UsageError) -> str:
    return refusal(lambda: metrics.named(name), error)


# ---------------------------------------------------------------------------------------------- their numbers


@pytest.mark.parametrize("name", THIRD_PARTY_METRICS)
def test_each_is_a_distance(name: str) -> None:
    metric = image_metric(name)
    a, b = pairs(max(64, metric.smallest))
    with torch.inference_mode():
        found, itself, alone = metric(a, b), metric(a, a), metric(a[1:2], b[1:2])
    assert found.shape == (3,)
    assert (found > 0).all()
    assert itself.abs().max() < 3e-7  # float32, taken from 1
    assert alone.item() == pytest.approx(found[1].item(), rel=1e-4)


@pytest.mark.parametrize(("net", "network"), [("alex", "alexnet"), ("squeeze", "squeezenet"), ("vgg", "vgg16")])
def test_lpips_is_spatial_with_unit_normalization_weighted_by_their_heads(net: str, network: str) -> None:
    """Written out: of each layer's squared differences of unit features, the heads' weighted sum over channels."""
    heads = weights.read_state(Path(_package("lpips")) / f"weights/v0.1/{net}.pth")
    extractor = Extractor(networks.named(network))
    a, b = pairs(64)
    expected = torch.zeros(3, dtype=torch.float64)
    for number, (x, y) in enumerate(zip(extractor.features(a), extractor.features(b), strict=True)):
        x, y = (each.double() / (each.double().norm(dim=1, keepdim=True) + 1e-10) for each in (x, y))
        expected += ((x - y).square() * heads[f"lin{number}.model.1.weight"].double()).sum(1).mean((1, 2))
    with torch.inference_mode():
        assert image_metric(f"lpips:{net}")(a, b).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


def test_dists_is_that_of_its_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    from DISTS_pytorch import DISTS_pt as theirs

    ours = extractor.cut(networks.named("vgg16"))
    monkeypatch.setattr(theirs.models, "vgg16", lambda **_options: SimpleNamespace(features=ours))
    model = theirs.DISTS(load_weights=False)
    path = Path(theirs.__file__).parent / "weights.pt"
    for name, tensor in weights.read_state(path).items():
        getattr(model, name).data = tensor
    a, b = pairs(96)
    with torch.inference_mode():
        assert image_metric("piq:dists")(a, b).tolist() == pytest.approx(model(a, b).tolist(), rel=1e-3)


def test_a_similarity_is_taken_from_one_and_vif_is_asked_how_much_of_the_original_is_left() -> None:
    import piq

    a, b = pairs(64)
    for name, function in (("piq:ssim", piq.ssim), ("piq:vif", piq.vif_p)):
        theirs = (1 - function(b, a, data_range=1.0, reduction="none").double()).tolist()  # (distorted, original)
        assert image_metric(name)(a, b).tolist() == pytest.approx(theirs, rel=1e-6)
    assert image_metric("piq:vif")(b, a).tolist() != pytest.approx(theirs, rel=1e-3)


def test_shift_tolerant_lpips_is_that_of_its_package() -> None:
    from stlpips_pytorch import stlpips

    theirs = stlpips.LPIPS(net="alex", variant="shift_tolerant", verbose=False)  # loads its weights itself
    a, b = pairs(64)
    with torch.inference_mode():
        expected = theirs(2 * a - 1, 2 * b - 1).flatten().tolist()
        assert image_metric("stlpips:alex")(a, b).tolist() == pytest.approx(expected, rel=1e-6)


def _package(name: str) -> str:
    return str(importlib.metadata.distribution(name).locate_file(name))


# ------------------------------------------------------------------------------------------ what is refused


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    expected = "metric 'piq:ssim': package piq is not installed. Get it with: pip install 'dps[third-party]'"
    assert why("piq:ssim") == expected
    listed = dict(metrics.list_names())
    assert all(listed[name].endswith("Not installed: pip install 'dps[third-party]'") for name in THIRD_PARTY_METRICS)


@pytest.mark.parametrize("name", ["lpips:alex", "stlpips:vgg", "piq:dists"])
def test_altered_weights_are_not_loaded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = THIRD_PARTY_METRICS[name].weights
    assert file is not None
    other = dataclasses.replace(THIRD_PARTY_METRICS[name], weights=dataclasses.replace(file, sha256="0" * 64))
    monkeypatch.setitem(THIRD_PARTY_METRICS, name, other)
    message = why(name, WeightsError)
    assert (
        f"SHA-256 {file.sha256[:12]}.. but 000000000000.. was expected; not loaded. The file may be truncated"
        in message
    )
    assert message.endswith("install it again with: pip install 'dps[third-party]'")


def test_a_network_that_it_builds_upon_is_needed(tmp_path: Path) -> None:
    (tmp_path / "vgg16.pth").write_bytes(b"cut short")
    with pytest.raises(WeightsError, match=r"vgg16\.pth: not loaded"):
        metrics.named("piq:dists", weights=str(tmp_path))


def test_weights_of_another_shape_are_refused() -> None:
    model = torch.nn.Linear(2, 2)
    with pytest.raises(WeightsError, match=r"not the weights of Linear \(RuntimeError: .*Missing key.* \"bias\""):
        third_party._fill(model, {"weight": torch.zeros(2, 2)})


def test_what_is_kept_depends_on_package_and_weights() -> None:
    keys = {
        store.definition(dataclasses.replace(image_metric("lpips:alex"), provenance=provenance))
        for provenance in (image_metric("lpips:alex").provenance, "lpips 0.1.5", "lpips 0.1.4, alexnet 00")
    }
    assert len(keys) == 3
    assert image_metric("lpips:alex").provenance.endswith(networks.named("alexnet").sha256)


def test_the_extra_has_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {line.partition("=")[0] for line in project["optional-dependencies"]["third-party"]}
    for other in THIRD_PARTY_METRICS.values():
        assert {other.package, *([other.weights.package] if other.weights else [])} <= declared


# ----------------------------------------------------------------------------------------- in the suites


def test_they_are_asked_beside_our_own(suite: Suite) -> None:
    done = suite("--probes=tiny.yaml", "--metric=piq:gmsd,lpips:squeeze,pixel", "--gate=off", "--cases=2")
    assert done.code == 0
    found = {row["metric"]: row for row in done.rows}
    assert set(found) == {"piq:gmsd", "lpips:squeeze", "pixel"}
    assert all(row["network"] is None and row["distance"] > 0 for row in found.values())
    assert "test_probe[tiny/rings-000-lpips:squeeze]" not in done.text  # all passed: the gate is off
    provenance = done.results["run"]["metrics"]
    assert set(provenance) == {"piq:gmsd", "lpips:squeeze"}
    assert provenance["piq:gmsd"].startswith("piq 0.")
    assert "- lpips:squeeze: lpips 0.1.4, weights of lpips 4a5350f2" in (done.folder / "report.md").read_text()


# ------------------------------------------------------------------------------------------ registered names


def register(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    entries = [EntryPoint(name=name, value=value, group="dps.metrics") for name, value in values.items()]
    monkeypatch.setattr(loading, "entry_points", lambda *, group: entries if group == "dps.metrics" else [])


def l1(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean((1, 2, 3))


def strongest(features: Tensor) -> Tensor:
    return features.amax((2, 3)).unsqueeze(-1)


def test_a_registered_name_is_a_metric_or_a_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, l1="tests.test_third_party:l1", strongest="tests.test_third_party:strongest")
    metric = image_metric("l1")
    assert (metric.name, metric.distance) == ("l1", l1)
    alone, total = metrics.named("strongest"), metrics.named("spatial+0.5*strongest")
    assert isinstance(alone, FeatureMetric)
    assert isinstance(total, FeatureMetric)
    assert [term.name for term in (*alone.terms, *total.terms)] == ["strongest", "spatial", "strongest"]
    assert alone.terms[0].comparison is strongest
    assert dict(metrics.list_names())["l1"] == "Registered by a package: tests.test_third_party:l1."


def test_a_registered_name_never_hides_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch, sort="tests.test_third_party:l1", pixel="tests.test_third_party:l1")
    assert isinstance(metrics.named("sort"), FeatureMetric)
    assert metrics.named("pixel") is metrics.IMAGE_METRICS["pixel"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nowhere.at_all:l1", "nowhere.at_all:l1 cannot be loaded: ModuleNotFoundError: No module named 'nowhere'."),
        ("tests.test_third_party:nothing", "tests.test_third_party:nothing cannot be loaded: AttributeError: "),
        ("tests.test_third_party:pytest_plugins", f"list is not callable; {user_defined.RULE}."),
    ],
)
def test_a_registered_name_that_cannot_be_had_is_one_line(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    register(monkeypatch, theirs=value)
    assert why("theirs").startswith(f"metric 'theirs': {message}")
    assert "Did you mean 'theirs'?" in why("thiers")


# ------------------------------------------------------------------------------------------ the command


def test_the_command_lists_all_that_can_be_named() -> None:
    done = CliRunner().invoke(main, ["metrics"])
    assert done.exit_code == 0
    lines = done.output.splitlines()
    for name in ("pixel", "spatial", "sort", "mean", *THIRD_PARTY_METRICS, "module:name, file.py:name"):
        assert name in lines
    assert all(len(line) <= 80 for line in lines)

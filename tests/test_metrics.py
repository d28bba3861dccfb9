"""Metrics by name: what is understood, what is refused and how, users' own files, and their contract."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dps import comparisons, metrics
from dps.comparisons import COMPARISONS
from dps.errors import DpsError, MetricError, UsageError
from dps.metrics import FeatureMetric, Metric, Term, Variant
from dps.rows import VariantKey


def refusal(call: Callable[[], object], error: type[DpsError] = UsageError) -> str:
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


def terms(name: str) -> list[tuple[str, float]]:
    metric = metrics.named(name)
    assert isinstance(metric, FeatureMetric)
    assert metric.name == name
    return [(term.name, term.weight) for term in metric.terms]


# ------------------------------------------------------------------------------------------- sums by name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sort", [("sort", 1)]),
        ("spatial+sort", [("spatial", 1), ("sort", 1)]),
        ("spatial+0.5*mean", [("spatial", 1), ("mean", 0.5)]),
        ("2*spatial+1e-3*sort+mean", [("spatial", 2), ("sort", 0.001), ("mean", 1)]),
        (" spatial +  0.5 * mean ", [("spatial", 1), ("mean", 0.5)]),
        ("sort+sort", [("sort", 1), ("sort", 1)]),
    ],
)
def test_a_sum_by_name(name: str, expected: list[tuple[str, float]]) -> None:
    assert terms(name) == expected


def test_names_stand_for_the_comparisons_of_the_table() -> None:
    metric = metrics.named("spatial+sort+mean")
    assert isinstance(metric, FeatureMetric)
    assert [term.comparison for term in metric.terms] == [comparisons.spatial, comparisons.sort, comparisons.mean]


def test_the_default_metrics_are_those_of_the_paper() -> None:
    assert metrics.DEFAULT_METRICS == ("pixel", "spatial", "sort", "mean", "spatial+sort", "spatial+mean")
    assert [metrics.named(name).name for name in metrics.DEFAULT_METRICS] == list(metrics.DEFAULT_METRICS)


KNOWN = "Known: mean, pixel, sort, spatial, spatial+mean, spatial+sort."


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("srot", f"unknown metric 'srot'. Did you mean 'sort'? {KNOWN}"),
        ("pixels", f"unknown metric 'pixels'. Did you mean 'pixel'? {KNOWN}"),
        ("wasserstein", f"unknown metric 'wasserstein'. {KNOWN}"),
        (
            "spatial+srot",
            "metric 'spatial+srot': unknown comparison 'srot'. Did you mean 'sort'? Known: mean, sort, spatial.",
        ),
        ("2*maen", "metric '2*maen': unknown comparison 'maen'. Did you mean 'mean'? Known: mean, sort, spatial."),
        ("spatial+", "metric 'spatial+': a term is missing beside '+'; write a sum as spatial+sort."),
        ("+", "metric '+': a term is missing beside '+'; write a sum as spatial+sort."),
        ("sort+ +mean", "metric 'sort+ +mean': a term is missing beside '+'; write a sum as spatial+sort."),
        ("", "metric '': a term is missing beside '+'; write a sum as spatial+sort."),
        ("0*mean", "metric '0*mean': '0' is no weight; write a positive number, as in 0.5*mean."),
        ("-1*mean", "metric '-1*mean': '-1' is no weight; write a positive number, as in 0.5*mean."),
        ("abc*mean", "metric 'abc*mean': 'abc' is no weight; write a positive number, as in 0.5*mean."),
        ("*mean", "metric '*mean': '' is no weight; write a positive number, as in 0.5*mean."),
        ("nan*mean", "metric 'nan*mean': 'nan' is no weight; write a positive number, as in 0.5*mean."),
        ("inf*mean", "metric 'inf*mean': 'inf' is no weight; write a positive number, as in 0.5*mean."),
        ("pixel+sort", "metric 'pixel+sort': pixel compares no features, so it cannot be part of a sum."),
        ("2*pixel", "metric '2*pixel': pixel compares no features, so it cannot be part of a sum."),
    ],
)
def test_a_name_that_stands_for_nothing(name: str, message: str) -> None:
    assert refusal(lambda: metrics.named(name)) == message


def test_normalizations() -> None:
    assert metrics.check_normalization("unit") == "unit"
    assert refusal(lambda: metrics.check_normalization("units")) == (
        "unknown normalization 'units'. Did you mean 'unit'? Known: none, unit."
    )


# ------------------------------------------------------------------------------------------- variants


def test_every_metric_on_every_network_with_every_normalization_and_pixel_once() -> None:
    chosen = [metrics.named(name) for name in ("pixel", "sort", "mean")]
    found = metrics.variants(chosen, ["alexnet", "vgg16"], ["none", "unit"])
    assert [str(variant) for variant in found] == [
        "alexnet-none-sort",
        "alexnet-none-mean",
        "alexnet-unit-sort",
        "alexnet-unit-mean",
        "vgg16-none-sort",
        "vgg16-none-mean",
        "vgg16-unit-sort",
        "vgg16-unit-mean",
        "pixel",
    ]
    assert found[-1].key == VariantKey(None, None, "pixel")


def test_normalizations_may_be_given_once_only() -> None:
    found = metrics.variants([metrics.named("sort")], ["alexnet", "vgg16"], iter(["none", "unit"]))
    assert len(found) == 4


def test_a_metric_prints_as_its_name_and_not_as_its_functions() -> None:
    assert repr(metrics.named("pixel")) == (
        "Metric(similarity_at_identity=None, input_range=(0.0, 1.0), name='pixel', smallest=1, symmetric=True, "
        "provenance='')"
    )
    term = Term(name="sort", comparison=COMPARISONS["sort"])
    assert repr(Variant(metric=FeatureMetric(name="sort", terms=(term,)), network="vgg16", normalization="unit")) == (
        "Variant(metric=FeatureMetric(name='sort', terms=(Term(name='sort', weight=1.0),)), "
        "network='vgg16', normalization='unit')"
    )


# ------------------------------------------------------------------------------------------- a user's own

MINE = """
import torch
from torch import nn

from dps.metrics import Metric

number = 3


def largest(features):
    return features.amax(dim=(2, 3)).unsqueeze(-1)


def with_a_default(features, power=2):
    return features.flatten(2) ** power


def absolute(a, b):
    return (a - b).abs().mean(dim=(1, 2, 3))


class Squared:
    def __call__(self, a, b):
        return (a - b).square().mean(dim=(1, 2, 3))


class Summed(nn.Module):
    def forward(self, a, b):
        return (a - b).abs().sum(dim=(1, 2, 3))


an_object = Squared()
similarity = Metric(distance=lambda a, b: 1 - absolute(a, b), similarity_at_identity=1.0, input_range=(-1, 1))


def make():
    return absolute


def make_similarity():
    return similarity


def make_comparison():
    return largest


def make_maker():
    return make


def cannot_be_made():
    raise ValueError("no weights\\nhere")


def three(a, b, c):
    return a


class Asking:
    def __init__(self, weights, scale=1):
        self.weights = weights

    def __call__(self, a, b):
        return absolute(a, b)


def asking(a, b, *, weights):
    return absolute(a, b)


def making(*, weights):
    return absolute
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


ZEROS, QUARTERS = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.25)


@pytest.mark.parametrize(
    ("name", "distance"),
    [  # of black to a quarter of white: 0.25, 0.25^2 and 0.25 * 3 * 4 * 4
        ("absolute", 0.25),
        ("Squared", 0.0625),
        ("an_object", 0.0625),
        ("Summed", 12.0),
        ("make", 0.25),
        ("similarity", 0.5),  # images of -1..1 are twice as far apart
        ("make_similarity", 0.5),
    ],
)
def test_a_users_metric_from_a_file(mine: Path, name: str, distance: float) -> None:
    metric = metrics.named(f"{mine}:{name}")
    assert isinstance(metric, Metric)
    assert metric.name == f"{mine}:{name}"
    assert metric(ZEROS, QUARTERS).tolist() == [distance, distance]


@pytest.mark.parametrize(
    ("name", "value"), [("largest", [[5.0]]), ("make_comparison", [[5.0]]), ("with_a_default", [[25.0, 4.0]])]
)
def test_a_users_comparison_from_a_file(mine: Path, name: str, value: list[list[float]]) -> None:
    metric = metrics.named(f"{mine}:{name}")
    assert isinstance(metric, FeatureMetric)
    (term,) = metric.terms
    assert (metric.name, term.name, term.weight) == (f"{mine}:{name}", f"{mine}:{name}", 1.0)
    assert term.comparison(torch.tensor([[[[5.0, 2.0]]]]))[0].tolist() == value


def test_a_users_comparison_in_a_sum(mine: Path) -> None:
    assert terms(f"spatial+0.5*{mine}:largest") == [("spatial", 1), (f"{mine}:largest", 0.5)]
    assert terms(f"2*{mine}:largest") == [(f"{mine}:largest", 2)]


def test_a_users_metric_in_a_sum(mine: Path) -> None:
    name = f"spatial+{mine}:absolute"
    assert refusal(lambda: metrics.named(name)) == (
        f"metric '{name}': {mine}:absolute compares no features, so it cannot be part of a sum."
    )


def test_from_a_module(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine.rename(mine.with_name("module_of_a_user.py"))
    monkeypatch.syspath_prepend(mine.parent)
    assert isinstance(metrics.named("module_of_a_user:absolute"), Metric)
    assert isinstance(metrics.named("module_of_a_user:largest"), FeatureMetric)
    del sys.modules["module_of_a_user"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("three", f"takes 3; {metrics.TOLD_APART}."),
        ("make_maker", f"takes 0; {metrics.TOLD_APART}."),
        ("number", f"is no callable; {metrics.TOLD_APART}."),
        ("Asking", f"asks for weights, which nothing here gives it; {metrics.TOLD_APART}."),
        ("asking", f"asks for weights, which nothing here gives it; {metrics.TOLD_APART}."),
        ("making", f"asks for weights, which nothing here gives it; {metrics.TOLD_APART}."),
        ("cannot_be_made", "making it failed (ValueError: no weights here)."),
    ],
)
def test_a_users_name_that_is_neither_comparison_nor_metric(mine: Path, name: str, why: str) -> None:
    assert refusal(lambda: metrics.named(f"{mine}:{name}")) == f"metric '{mine}:{name}': {why}"


def test_a_users_name_that_is_not_there(mine: Path) -> None:
    message = refusal(lambda: metrics.named(f"{mine}:lagrest"))
    assert message.startswith(
        f"metric '{mine}:lagrest': unknown name in {mine}: 'lagrest'. Did you mean 'largest'? Known: "
    )


def test_a_file_that_is_not_there() -> None:
    assert refusal(lambda: metrics.named("no/such.py:metric")) == "no/such.py: no such file."


def test_a_module_that_is_not_there() -> None:
    assert refusal(lambda: metrics.named("no_such_module:metric")) == (
        "module 'no_such_module' cannot be imported: ModuleNotFoundError: No module named 'no_such_module'."
    )


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("import torch\n\nimport no_such_module\n", 3, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\ndef broken(:\n", 2, "SyntaxError: "),
        ("def f():\n    return 1 / 0\n\n\nf()\n", 2, "ZeroDivisionError: division by zero"),  # as deep as it goes
        ("\nimport json\njson.loads('{')\n", 3, "JSONDecodeError: "),  # but not into others' files
    ],
)
def test_a_file_that_cannot_be_imported_is_named_with_its_line(tmp_path: Path, text: str, line: int, why: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(text)
    assert refusal(lambda: metrics.named(f"{path}:metric")).startswith(f"{path}:{line}: cannot be loaded: {why}")


def test_a_file_named_from_its_folder_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.py").write_text("x = 1\ndef broken(:\n")
    assert refusal(lambda: metrics.named("broken.py:metric")).startswith("broken.py:2: cannot be loaded: SyntaxError: ")


def test_a_file_that_imports_one_with_a_syntax_error_is_named_with_its_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helper_of_a_user.py").write_text("a = 1\nb = 2\nc = (\n")
    path = tmp_path / "fine.py"
    path.write_text("import torch\nimport helper_of_a_user\n")
    message = refusal(lambda: metrics.named(f"{path}:metric"))
    assert message.startswith(f"{path}:2: cannot be loaded: SyntaxError: ")
    assert "helper_of_a_user.py, line 3" in message


# ------------------------------------------------------------------------------------------- the contract


def test_pixel_is_the_mean_squared_difference() -> None:
    a = torch.zeros(2, 3, 1, 2)
    b = a.clone()
    b[0, 0, 0, 0] = 0.5  # one of 3 * 1 * 2 numbers
    b[1] = 1
    pixel = metrics.IMAGE_METRICS["pixel"]
    assert pixel(a, b).tolist() == [0.25 / 6, 1.0]
    assert pixel(a, b).dtype == torch.float64


def test_a_metric_gets_images_in_its_own_range() -> None:
    seen = []

    def spy(a: Tensor, b: Tensor) -> Tensor:
        seen.extend([sorted(set(a.flatten().tolist())), sorted(set(b.flatten().tolist()))])
        return torch.zeros(len(a))

    Metric(distance=spy, input_range=(-1, 1))(ZEROS, QUARTERS)
    Metric(distance=spy, input_range=(0, 255))(ZEROS, QUARTERS)
    Metric(distance=spy)(ZEROS, QUARTERS)
    assert seen == [[-1], [-0.5], [0], [63.75], [0], [0.25]]


def test_a_similarity_becomes_a_distance() -> None:
    metric = Metric(distance=lambda a, b: 1 - (a - b).abs().mean(dim=(1, 2, 3)), similarity_at_identity=1.0)
    assert metric(ZEROS, QUARTERS).tolist() == [0.25, 0.25]
    assert metric(ZEROS, ZEROS).tolist() == [0, 0]


def test_distances_come_without_gradient() -> None:
    factor = torch.tensor(2.0, requires_grad=True)
    found = Metric(distance=lambda a, b: factor * (a - b).abs().mean(dim=(1, 2, 3)))(ZEROS, QUARTERS)
    assert found.tolist() == [0.5, 0.5]
    assert not found.requires_grad


def halves_its_input(a: Tensor, b: Tensor) -> Tensor:
    b.mul_(0.5)
    return (a - b).abs().mean(dim=(1, 2, 3))


def one_number_for_all(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean()


def keeps_all_axes(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean(dim=(1, 2, 3), keepdim=True)


def keeps_an_axis(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).abs().mean(dim=(2, 3), keepdim=True)


def a_list(a: Tensor, b: Tensor) -> list[float]:
    return [0.0] * len(a)


@pytest.mark.parametrize(
    ("distance", "message"),
    [
        (halves_its_input, "changed its input; it must leave it as it is"),
        (one_number_for_all, "must return shape (2,) for 2 pairs, got ()"),
        (keeps_an_axis, "must return shape (2,) for 2 pairs, got (2, 3, 1, 1)"),
        (a_list, "must return a tensor of shape (2,), got list"),
    ],
)
def test_a_metric_that_breaks_its_contract(distance: Callable[[Tensor, Tensor], Tensor], message: str) -> None:
    quarters = QUARTERS.clone()
    assert refusal(lambda: Metric(distance=distance)(ZEROS, quarters), MetricError) == message
    assert torch.equal(quarters, QUARTERS)  # what it got was a copy


def test_trailing_axes_of_size_1_are_dropped() -> None:
    assert Metric(distance=keeps_all_axes)(ZEROS, QUARTERS).tolist() == [0.25, 0.25]
    assert Metric(distance=lambda a, b: keeps_all_axes(a, b)[:, 0, 0])(ZEROS, QUARTERS).tolist() == [0.25, 0.25]

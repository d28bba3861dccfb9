"""Metrics by name: what is understood, what is refused and how, users' own files, and their contract."""

import random
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from torch import Tensor

from dps import metrics
from dps.comparisons import COMPARISONS
from dps.errors import MetricError
from dps.metrics import DEFAULT_METRICS, FeatureMetric, Metric
from dps.metrics.third_party import THIRD_PARTY_METRICS
from dps.metrics.tuned_files import TUNED
from dps.metrics.user_defined import REMEDY, RULE
from dps.user_code import loading, reading
from tests.refusals import refusal


def terms(name: str) -> list[tuple[str, float]]:
    metric = metrics.named(name)
    assert isinstance(metric, FeatureMetric)
    assert metric.name == re.sub(r"\s|/.*/", "", name)
    assert all(COMPARISONS.get(term.name, term.comparison) is term.comparison for term in metric.terms)
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


def test_the_default_metrics_are_those_of_the_paper() -> None:
    assert metrics.DEFAULT_METRICS == ("pixel", "spatial", "sort", "mean", "spatial+sort", "spatial+mean")
    assert [metrics.named(name).name for name in metrics.DEFAULT_METRICS] == list(metrics.DEFAULT_METRICS)


KNOWN = f"Known: {', '.join(sorted([*DEFAULT_METRICS, *THIRD_PARTY_METRICS, TUNED]))}."


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("srot", f"unknown metric 'srot'. Did you mean 'sort'? {KNOWN}"),
        ("wasserstein", f"unknown metric 'wasserstein'. {KNOWN}"),
        ("lpips", f"unknown metric 'lpips'. Did you mean 'lpips:alex'? {KNOWN}"),
        ("ssim", f"unknown metric 'ssim'. Did you mean 'piq:ssim'? {KNOWN}"),
        ("sort,mean", "'sort,mean' names 2 metrics; name one."),
        ("sort,,mean", "an empty name in 'sort,,mean'; separate names by single commas."),
        (
            "spatial+srot",
            "metric 'spatial+srot': unknown comparison 'srot'. Did you mean 'sort'? Known: mean, sort, spatial.",
        ),
        ("2*maen", "metric '2*maen': unknown comparison 'maen'. Did you mean 'mean'? Known: mean, sort, spatial."),
        ("spatial+", "metric 'spatial+': a term is missing next to '+'; write a sum as spatial+sort."),
        ("sort+ +mean", "metric 'sort+ +mean': a term is missing next to '+'; write a sum as spatial+sort."),
        ("", "an empty name in ''; separate names by single commas."),
        ("0*mean", "metric '0*mean': '0' is not a valid weight; write a positive number, as in 0.5*mean."),
        ("-1*mean", "metric '-1*mean': '-1' is not a valid weight; write a positive number, as in 0.5*mean."),
        ("abc*mean", "metric 'abc*mean': 'abc' is not a valid weight; write a positive number, as in 0.5*mean."),
        ("*mean", "metric '*mean': '' is not a valid weight; write a positive number, as in 0.5*mean."),
        ("inf*mean", "metric 'inf*mean': 'inf' is not a valid weight; write a positive number, as in 0.5*mean."),
        ("pixel+sort", "metric 'pixel+sort': pixel compares images, not features, so it cannot be part of a sum."),
    ],
)
def test_a_name_that_stands_for_nothing(name: str, message: str) -> None:
    assert refusal(lambda: metrics.named(name)) == message


# ------------------------------------------------------------------------------------------- a user's own

MINE = """
import functools
import warnings

import torch
from torch import nn

from dps.metrics import Metric

warnings.simplefilter("ignore")
number = 3


def largest(features):
    return features.amax(dim=(2, 3)).unsqueeze(-1)


def with_a_default(features, power=2):
    return features.flatten(2) ** power


def squared(a, b):
    return ((a - b) ** 2).mean((1, 2, 3))


def weighted(w, a, b):
    return w * squared(a, b)


class Callable:
    def __call__(self, a, b):
        return squared(a, b)


class Plain(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return ((a - b) ** 2).mean(dim=[1, 2, 3])


class Features(nn.Module):
    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features.amax(dim=[2, 3]).unsqueeze(-1)


@torch.jit.script
def scripted_function(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return ((a - b) ** 2).mean(dim=[1, 2, 3])


@functools.wraps(squared)
def wrapped(*args, **kwargs):
    return squared(*args, **kwargs)


def make():
    return squared


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


class NeedsWeights:
    def __init__(self, weights, scale=1):
        self.weights = weights

    def __call__(self, a, b):
        return squared(a, b)


def keyword(a, b, *, weights):
    return squared(a, b)


def make_with_keyword(*, weights):
    return squared


class Lpips(nn.Module):
    def forward(self, *args, **kwargs):
        return squared(*args, **kwargs)


class Inference(nn.Module):
    def forward(self, target, ref=None, **kwargs):
        return squared(target, ref)[:, None]


class Both(nn.Module):
    def forward(self, target=None, ref=None):
        return squared(target, ref)


an_object, module = Callable(), Plain()
similarity = Metric(distance=lambda a, b: 1 - squared(a, b), similarity_at_identity=1.0, input_range=(-1, 1))
scripted = torch.jit.script(Plain())
traced = torch.jit.trace(Plain(), (torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)))
parallel = nn.DataParallel(Plain())
partial = functools.partial(weighted, 1.0)
scripted_comparison = torch.jit.script(Features())
default_keyword = (lambda a, b, *, data_range=1.0: squared(a, b))
lpips, inference, both, builtin = Lpips(), Inference(), Both(), torch.dist
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mine") / "mine.py"
    path.write_text(MINE)
    return path


ZEROS, QUARTERS = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.25)


@pytest.mark.parametrize(
    "name",
    [
        "squared", "Callable", "an_object", "Plain", "module", "make", "scripted", "traced", "parallel", "partial",
        "default_keyword", "wrapped", "scripted_function", "similarity", "make_similarity",
    ],
)  # fmt: skip
def test_a_users_metric_from_a_file(mine: Path, name: str) -> None:
    metric = metrics.named(f"{mine}:{name}")
    assert isinstance(metric, Metric)
    assert metric.name == f"mine.py:{name}"
    expected = 0.25 if "similarity" in name else 0.0625  # images of -1..1 are twice as far apart, squared
    assert metric(ZEROS, QUARTERS).tolist() == [expected, expected]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("largest", [[5.0]]),
        ("make_comparison", [[5.0]]),
        ("scripted_comparison", [[5.0]]),
        ("with_a_default", [[25.0, 4.0]]),
    ],
)
def test_a_users_comparison_from_a_file(mine: Path, name: str, value: list[list[float]]) -> None:
    metric = metrics.named(f"{mine}:{name}")
    assert isinstance(metric, FeatureMetric)
    (term,) = metric.terms
    assert (metric.name, term.name, term.weight) == (f"mine.py:{name}", f"mine.py:{name}", 1.0)
    assert term.represent(torch.tensor([[[[5.0, 2.0]]]]))[0].tolist() == value


def test_a_users_name_in_a_sum(mine: Path) -> None:
    assert terms(f"spatial+0.5*{mine}:largest") == [("spatial", 1), ("mine.py:largest", 0.5)]
    assert terms(f"2*{mine}:largest") == [("mine.py:largest", 2)]
    name = f"spatial+{mine}:squared"
    assert refusal(lambda: metrics.named(name)) == (
        f"metric '{name}': mine.py:squared compares images, not features, so it cannot be part of a sum."
    )


def test_from_a_module(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mine.parent / "module_of_a_user.py").write_text(MINE)
    monkeypatch.syspath_prepend(mine.parent)
    assert isinstance(metrics.named("module_of_a_user:squared"), Metric)
    assert isinstance(metrics.named("module_of_a_user:largest"), FeatureMetric)
    del sys.modules["module_of_a_user"]


EITHER = "may be called with one argument or with two"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("three", f"requires 3 arguments; {RULE}."),
        ("make_maker", f"requires 0 arguments; {RULE}."),
        ("number", f"int is not callable; {RULE}."),
        ("NeedsWeights", f"requires weights, which dps does not pass; {RULE}."),
        ("keyword", f"requires weights, which dps does not pass; {RULE}."),
        ("make_with_keyword", f"requires weights, which dps does not pass; {RULE}."),
        ("cannot_be_made", "constructing it failed: ValueError: no weights here."),
        ("inference", f"{EITHER} (target, ref=None, **kwargs); {REMEDY}."),
        ("both", f"{EITHER} (target=None, ref=None); {REMEDY}."),
        ("lpips", f"takes any number of arguments (*args, **kwargs); {REMEDY}."),
        ("builtin", f"builtin_function_or_method dist has no signature; {REMEDY}."),
    ],
)
def test_a_users_name_that_is_neither_comparison_nor_metric(mine: Path, name: str, why: str) -> None:
    assert refusal(lambda: metrics.named(f"{mine}:{name}")) == f"metric 'mine.py:{name}': {why}"


def test_a_users_name_that_is_not_there(mine: Path) -> None:
    message = refusal(lambda: metrics.named(f"{mine}:lagrest"))
    assert message.startswith(
        f"metric 'mine.py:lagrest': unknown name in {mine}: 'lagrest'. Did you mean 'largest'? Known: "
    )
    assert refusal(lambda: metrics.named("no/such.py:metric")) == "no/such.py: no such file."
    assert refusal(lambda: metrics.named("no_such_module:metric")) == (
        "module 'no_such_module' cannot be imported: ModuleNotFoundError: No module named 'no_such_module'."
    )


# ------------------------------------------------------------------------------------------- files and their names

ONE = "def d(a, b):\n    return {} * (a - b).abs().mean((1, 2, 3))\n"


def names_of(*texts: str, against: str | None = None) -> list[str]:
    return [metric.name for metric in metrics.resolve(texts, against=against)[0]]


def test_a_file_has_one_name_however_its_path_is_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ok.py").write_text(ONE.format(1))
    assert names_of("ok.py:d,./ok.py:d", f"{tmp_path}/ok.py:d") == ["ok.py:d"]
    found, against, _ = metrics.resolve(["./ok.py:d,pixel"], against=f"{tmp_path}/ok.py:d")
    assert [metric.name for metric in found] == ["ok.py:d", "pixel"]
    assert against is found[0]
    assert names_of("pixel", against="sort") == ["pixel", "sort"]


def test_files_of_one_base_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for number, folder in enumerate(["a/v1", "b/v1", "b/v2"]):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "m.py").write_text(ONE.format(number + 1))
    found, *_ = metrics.resolve([f"{tmp_path}/{folder}/m.py:d" for folder in ("a/v1", "b/v1", "b/v2")])
    assert [metric.name for metric in found] == ["a/v1/m.py:d", "b/v1/m.py:d", "v2/m.py:d"]
    values = [metric(ZEROS, QUARTERS)[0].item() for metric in found if isinstance(metric, Metric)]
    assert values == [0.25, 0.5, 0.75]


@pytest.mark.parametrize("folder", ["a+b", "a, b", "2*c", "mean,sort+x", "指标 😀", "k=[1]"])
def test_a_path_may_have_any_characters(folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "m+1.py").write_text(ONE.format(1) + "def c(features):\n    return features.flatten(2)\n")
    monkeypatch.chdir(tmp_path)
    assert names_of(f"sort,{folder}/m+1.py:d,0.5*mean") == ["sort", "m+1.py:d", "0.5*mean"]
    assert names_of(f"pixel,{folder}/m+1.py:d") == ["pixel", "m+1.py:d"]
    assert names_of(f"spatial+0.5*{folder}/m+1.py:c,sort") == ["spatial+0.5*m+1.py:c", "sort"]


@pytest.mark.parametrize(
    ("text", "files", "message"),
    [
        (
            "mean,m.py:d",
            ["m.py", "mean,m.py"],
            "'mean,m.py:d' can be read as 'mean,m.py:d', or as 'mean' and 'm.py:d'. Rename a file, or name it by "
            "another path.",
        ),
        (
            "2*m.py:c",
            ["m.py", "2*m.py"],
            "'2*m.py:c' can be read as '2*m.py:c', or as 2 * 'm.py:c'. Rename a file, or name it by another path.",
        ),
    ],
)
def test_two_complete_readings_are_refused_with_both(
    text: str, files: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in files:
        (tmp_path / file).write_text(ONE.format(1))
    assert refusal(lambda: metrics.resolve([text])) == message


def test_a_network_may_be_followed_by_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a,b@1.py").write_text("net = dict(layers=3)\n")
    values = reading.read(
        "alexnet@2+5, a,b@1.py:net @layer1,vgg16", "network", lambda name: name in ("alexnet", "vgg16")
    )
    assert [(value.text, value.layers) for value in values] == [
        ("alexnet@2+5", "2+5"),
        ("a,b@1.py:net @layer1", "layer1"),
        ("vgg16", None),
    ]
    (file,) = values[1].names
    assert loading.load(file, "network", "a,b@1.py:net") == {"layers": 3}
    assert refusal(lambda: loading.load(replace(file, text="a,b@1.py:nte", attribute="nte"), "network", "m:nte")) == (
        "network 'm:nte': unknown name in a,b@1.py: 'nte'. Did you mean 'net'? Known: net."
    )


def test_a_file_imports_what_lies_next_to_it(tmp_path: Path) -> None:
    for folder, scale in (("one", 2), ("two", 4)):
        (tmp_path / folder / "pkg").mkdir(parents=True)
        (tmp_path / folder / "helpers.py").write_text(f"scale = {scale}\n")
        (tmp_path / folder / "later.py").write_text(f"scale = {scale}\n")
        text = "from {} import scale\n" + ONE.format("scale")
        (tmp_path / folder / "m.py").write_text(text.format("helpers"))
        (tmp_path / folder / "pkg" / "__init__.py").write_text("")
        (tmp_path / folder / "pkg" / "parts.py").write_text(f"scale = {scale}\n")
        (tmp_path / folder / "pkg" / "m.py").write_text(text.format(".parts"))
        (tmp_path / folder / "lazy.py").write_text(
            "def d(a, b):\n    from later import scale\n    return scale * (a - b).abs().mean((1, 2, 3))\n"
        )
    before = list(sys.path)
    found, *_ = metrics.resolve([f"{tmp_path}/{f}/{m}:d" for f in ("one", "two") for m in ("m.py", "pkg/m.py")])
    values = [metric(ZEROS, QUARTERS)[0].item() for metric in found if isinstance(metric, Metric)]
    assert values == [0.5, 0.5, 1.0, 1.0]
    lazy = metrics.named(f"{tmp_path}/one/lazy.py:d")
    assert isinstance(lazy, Metric)
    assert lazy(ZEROS, QUARTERS)[0].item() == 0.5
    assert sys.path[: len(before)] == before  # what users' files need comes last
    sys.path[:] = before
    (tmp_path / "one" / "helpers.py").write_text("scale = 3\n")
    edited = metrics.named(f"{tmp_path}/one/m.py:d")
    assert isinstance(edited, Metric)
    assert edited(ZEROS, QUARTERS)[0].item() == 0.75
    sys.path[:] = before


def test_a_file_that_reads_the_command_line_finds_only_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.py"
    path.write_text(
        "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--gpu', default=2)\n"
        "args = parser.parse_args()\n" + ONE.format("args.gpu")
    )
    monkeypatch.setattr(sys, "argv", ["pytest", "--metric", "m.py:d"])
    metric = metrics.named(f"{path}:d")
    assert isinstance(metric, Metric)
    assert metric(ZEROS, QUARTERS)[0].item() == 0.5
    assert sys.argv == ["pytest", "--metric", "m.py:d"]


def test_a_file_that_ends_itself_is_told_how_not_to(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("import sys\nsys.exit(2)\n")
    assert refusal(lambda: metrics.named(f"{path}:d")) == (
        f"{path}:2: the file exited while it was loaded (SystemExit: 2). Put the code of the script under: "
        'if __name__ == "__main__".'
    )


# ------------------------------------------------------------------------------------------- guests

MEDDLING = """
import os, random, sys, warnings
import matplotlib
import numpy as np
import torch


def meddle():
    os.chdir("/")
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_grad_enabled(False)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    np.seterr(all="raise")
    warnings.simplefilter("ignore")
    matplotlib.rcParams["font.size"] = 3
    sys.argv = ["meddled"]
    sys.stdout = None
"""


def state() -> list[object]:
    """The state of the process that a guest must not change."""
    return [
        Path.cwd(), torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled(),
        torch.get_num_threads(), torch.get_rng_state().tolist(), str(np.random.get_bit_generator().state),  # type: ignore[attr-defined]
        random.getstate(), np.geterr(), list(warnings.filters), mpl.rcParams["font.size"], sys.argv, sys.stdout,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "meddle()\n\n\ndef d(a, b):\n    return (a - b).abs().mean((1, 2, 3))\n",
        "class d:\n    def __init__(self):\n        meddle()\n    def __call__(self, a, b):\n"
        "        return (a - b).abs().mean((1, 2, 3))\n",
        "def d(a, b):\n    meddle()\n    return (a - b).abs().mean((1, 2, 3))\n",
        "def d(features):\n    meddle()\n    return features.flatten(2)\n",
    ],
    ids=["loaded", "constructed", "called", "comparison"],
)
def test_what_a_guest_does_to_the_process_is_undone(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(MEDDLING + "\n\n" + text)
    before = state()
    metric = metrics.named(f"{tmp_path}/m.py:d")
    assert state() == before
    if isinstance(metric, Metric):
        assert metric(ZEROS, QUARTERS).tolist() == [0.25, 0.25]
    else:
        assert torch.equal(metric.terms[0].represent(QUARTERS), QUARTERS.flatten(2))
    assert state() == before


def test_a_guest_draws_other_random_numbers_in_each_call() -> None:
    metric = Metric(distance=lambda a, _b: torch.rand(len(a)))
    assert metric(ZEROS, QUARTERS).tolist() != metric(ZEROS, QUARTERS).tolist()


# ------------------------------------------------------------------------------------------- files that break


@pytest.mark.parametrize("folder", ["", "{}/"])
@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("import torch\n\nimport no_such_module\n", 3, "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1\ndef broken(:\n", 2, "SyntaxError: "),
        ("def f():\n    return 1 / 0\n\n\nf()\n", 2, "ZeroDivisionError: division by zero"),  # as deep as it goes
        ("\nimport json\njson.loads('{')\n", 3, "JSONDecodeError: "),  # but not into others' files
    ],
)
def test_a_file_that_cannot_be_imported_is_named_as_typed_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, text: str, line: int, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = f"{folder.format(tmp_path)}broken.py"
    Path(path).write_text(text)
    assert refusal(lambda: metrics.named(f"{path}:metric")).startswith(f"{path}:{line}: cannot be loaded: {why}")


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
        (lambda a, _b: a.mean(dim=(1, 2, 3)).to(torch.complex64), "must return real numbers, got torch.complex64"),
    ],
)
def test_a_metric_that_breaks_its_contract(distance: Callable[[Tensor, Tensor], Tensor], message: str) -> None:
    quarters = QUARTERS.clone()
    assert refusal(lambda: Metric(distance=distance)(ZEROS, quarters), MetricError) == message
    assert torch.equal(quarters, QUARTERS)  # what it got was a copy


def test_trailing_axes_of_size_1_are_dropped() -> None:
    assert Metric(distance=keeps_all_axes)(ZEROS, QUARTERS).tolist() == [0.25, 0.25]
    assert Metric(distance=lambda a, b: keeps_all_axes(a, b)[:, 0, 0])(ZEROS, QUARTERS).tolist() == [0.25, 0.25]

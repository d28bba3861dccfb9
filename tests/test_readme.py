"""README and docs say what is true: their examples run, and the commands, options and files that they name exist."""

import argparse
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import lpips
import numpy as np
import pytest
import torch
import torchvision

from dps import locations, metrics, options, probes, thresholds, throughput
from dps.cli import main
from dps.metrics import FeatureMetric, Metric
from dps.report import pairs, pass_fractions
from dps.report.pass_fractions import Count
from dps.rows import VariantKey
from dps.session.configuring import BUILT_IN_BASELINE
from tests import rows as made_up_rows
from tests.running import Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path: path.read_text(encoding="utf-8") for path in PAGES}
README = TEXTS[ROOT / "README.md"]

PYTESTS_OPTIONS = {"-n", "-k", "-v"}


def example(page: str, language: str, text: str) -> str:
    """Return the one code block of a language, on a page, that has a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXTS[ROOT / page], re.DOTALL)
    (block,) = (block for block in blocks if text in block)
    return str(block)


def commands() -> Iterator[list[str]]:
    """Yield the words of each command that a page shows, in a line of its own or in a sentence."""
    for text in TEXTS.values():
        text = text.replace("\\\n", "")
        lines = re.findall(r"^    (?:pip .* && )?((?:dps|pytest suites).*)", text, re.MULTILINE)
        for line in [*lines, *re.findall(r"`((?:dps|pytest suites/?) [^`\n]+)`", text)]:
            yield from map(shlex.split, re.split(" +#", line)[0].split(" && "))


@pytest.mark.parametrize("words", sorted({tuple(words) for words in commands()}), ids=" ".join)
def test_a_command_that_is_shown_can_be_typed(words: tuple[str, ...]) -> None:
    if words[:2] in {("dps", "test"), ("pytest", "suites/")}:
        parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
        parser.add_argument("names", nargs="*")
        for option in PYTESTS_OPTIONS:
            parser.add_argument(option, nargs="?")
        options.add_to(parser)
        names = parser.parse_args([word for word in words[2:] if word != "--help"]).names
        suites = {path.stem.removeprefix("test_") for path in locations.data("suites").glob("test_*.py")}
        assert set(names) <= suites | {path.stem for path in probes.BUILT_IN.glob("*.yaml")}
        return
    command: click.Command = main
    arguments = list(words[1:])
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        command = command.commands[arguments.pop(0)]
    command.make_parser(click.Context(command)).parse_args(arguments)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_files_that_a_page_names_exist(path: Path) -> None:
    links = [link.partition("#") for link in re.findall(r"\]\((?!http)([^)]+)\)", TEXTS[path])]
    assert [name for name, _, _ in links if not (path.parent / name).exists()] == []
    names = re.findall(r"`((?:dps|probes|suites|tests|reports|docs)/[\w./-]+\.\w+)`", TEXTS[path])
    assert [name for name in names if not (ROOT / name).exists() and not name.startswith("reports/latest")] == []
    for name, _, anchor in links:
        page = (path.parent / name).resolve() if name else path
        headings = re.findall(r"^#+ (.*)", TEXTS.get(page, ""), re.MULTILINE)
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings]


def test_the_readme_is_short_and_has_the_numbers_of_the_baseline() -> None:
    assert README.count("\n") <= 150
    built_in = probes.load([probes.BUILT_IN])
    assert f"{sum(len(probe.cases) for probe in built_in)} cases of {len(built_in)} probes" in README.replace("\n", " ")
    recorded = json.loads(BUILT_IN_BASELINE.read_text(encoding="utf-8"))["margins"]
    papers = ("invert", "rotate", "translate", "color_stain/drawn", "color_stain/photographs")
    ours = ("rearrange", "detail", "moved_camera", "unnoticed")
    variants = (("sort", "none"), ("spatial", "none"), ("pixel", None))
    for columns, (metric, normalization) in itertools.product((papers, ours), variants):
        cells = []
        for column in columns:
            name, _, source = column.partition("/")
            values = [
                value
                for probe, case, *variant, value in recorded
                if [probe, *variant] == [name, metric, normalization]
                and source in ("", ("drawn", "photographs")[".png-" in case or ".jpg-" in case])
            ]
            margins = [value["alexnet"] if isinstance(value, dict) else value for value in values]
            cell = Count(sum(margin > 0 for margin in margins), len(margins)).cell()
            cells.append(f"{cell.text} {cell.detail}")
        assert re.search(rf"`{metric}`.* \| {re.escape(' | '.join(cells))} \|", README)


def test_the_examples_of_metrics_are_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = torch.rand(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "my_metric.py"
    path.write_text(example("docs/own-metrics.md", "python", "def similarity"), encoding="utf-8")
    distance, similarity = (metrics.named(f"{path}:{name}") for name in ("distance", "similarity"))
    assert isinstance(distance, Metric) and isinstance(similarity, Metric)  # noqa: PT018 - for mypy
    expected = (a - b).abs().mean((1, 2, 3)).tolist()
    assert distance(a, b).tolist() == pytest.approx(expected, rel=1e-5)
    assert similarity(a, b).tolist() == pytest.approx([2 * value for value in expected], rel=1e-5)  # of [-1, 1]
    torch.manual_seed(0)
    alexnet = torchvision.models.alexnet(weights=None)  # nothing is downloaded here
    monkeypatch.setattr(lpips.pretrained_networks.tv, "alexnet", lambda **_: alexnet)
    path = tmp_path / "my_lpips.py"
    path.write_text(example("README.md", "python", "lpips"), encoding="utf-8")
    wrapped = metrics.named(f"{path}:alex")
    assert isinstance(wrapped, Metric)
    model = lpips.LPIPS(net="alex", verbose=False)
    assert wrapped(a, b).tolist() == pytest.approx(model(2 * a - 1, 2 * b - 1).flatten().tolist(), rel=1e-5)


def test_the_example_of_a_comparison_gives_quartiles(tmp_path: Path) -> None:
    path, text = tmp_path / "my_variant.py", example("README.md", "python", "def quantiles")
    assert text == example("docs/own-metrics.md", "python", "def quantiles")
    path.write_text(text, encoding="utf-8")
    metric = metrics.named(f"spatial+0.5*{path}:quantiles")
    assert isinstance(metric, FeatureMetric)
    represented = metric.terms[1].represent(torch.arange(10.0).view(1, 2, 5, 1))
    assert represented.tolist() == [[[0.0, 1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0, 9.0]]]  # the quartiles of five


def test_the_example_of_a_drawn_probe_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "my_probe.yaml"
    path.write_text(example("docs/probes.md", "yaml", "small_turn"), encoding="utf-8")
    (probe,) = probes.load([path])
    assert [case.id for case in probe.cases[:3]] == ["face-000", "bird-001", "icons-002"]
    assert len(probe.cases) == 20
    assert probe.cases[0].draw().references.keys() == {"rotate"}


def test_the_workflow_in_the_docs_is_the_file() -> None:
    assert example("docs/gate.md", "yaml", "on: pull_request") == (ROOT / ".github" / "gate-a-metric.yml").read_text()


def test_the_columns_in_the_docs_are_those_of_a_run(suite: Suite) -> None:
    names = ("probes", "invariants", "same", "attacks")
    paths = tuple(str(locations.data("suites") / f"test_{name}.py") for name in names)
    options = ["--metric=pixel", "--probes=tiny.yaml", "--examples=1", "--gate=off", "--same-as=pixel", "--size=32"]
    data = suite(*options, "-k", "not reproducible_construction", paths=paths).results  # that takes a new process
    located = thresholds.row(thresholds.GRADED_DISTORTIONS[0], VariantKey(None, None, "pixel"), np.zeros((1, 11)))
    data["thresholds"] = [located]
    both = [made_up_rows.row(probe=probe) for probe in ("rearrange", "translate")]
    asked = {"run": {"counterparts": {"rearrange": ["translate"]}}, "cases": both}
    data["pairs"] = pairs.rows(asked, pass_fractions.count(both))
    data["throughput"] = [throughput.row(VariantKey(None, None, "pixel"), [1.0, 1.0], [1.0, 1.0])]
    sections = re.split(r"^## ", TEXTS[ROOT / "docs" / "results.md"], flags=re.MULTILINE)
    for section in sections[1:]:
        name, _, text = section.partition("\n")
        documented = set(re.findall("`(\\w+)`", "".join(re.findall(r"^\| (`.*?) \|", text, re.MULTILINE))))
        rows = data[name] if isinstance(data[name], list) else [data[name]]
        optional = {"error", "layers", "nearest_reference_layers", "passed_by_layer", "standing", "interrupted"}
        for row in rows:
            assert documented - optional <= set(row) <= documented, name

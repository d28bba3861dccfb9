"""What the README shows is true: its examples are run, and what it names is there."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml

from dps import baseline, metrics, options, probes
from dps.metrics import FeatureMetric, Metric
from dps.session.configuration import BUILT_IN_BASELINE, configure

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def example(language: str, holding: str) -> str:
    """The one code block of a language that holds a text."""
    (found,) = (block for block in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if holding in block)
    return str(found)


def test_the_example_of_a_comparison_gives_quartiles(tmp_path: Path) -> None:
    path = tmp_path / "my_variant.py"
    path.write_text(example("python", "def quantiles"), encoding="utf-8")
    metric = metrics.named(f"spatial+0.5*{path}:quantiles")
    assert isinstance(metric, FeatureMetric)
    form = metric.terms[1].represent(torch.arange(10.0).view(1, 2, 5, 1))
    assert form.tolist() == [[[0.0, 1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0, 9.0]]]  # of five numbers: themselves


def test_the_example_of_a_drawn_probe_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "my_probe.yaml"
    path.write_text(example("yaml", "small_turn"), encoding="utf-8")
    (probe,) = probes.load([path])
    assert [case.id for case in probe.cases[:3]] == ["face-000", "bird-001", "icons-002"]
    assert len(probe.cases) == 20
    assert probe.cases[0].draw().references.keys() == {"rotate"}


def cells_of_the_table() -> Iterator[tuple[tuple[str, str | None, str | None], str, str, str]]:
    """Variant, probe, passed and cases of each cell that the README shows of ``make bench``."""
    table = example("text", "pixel   ")
    variant: tuple[str, str | None] = ("", None)
    for line in table.partition("\n\npassed/cases")[0].splitlines():
        if line.strip().startswith(("invert", "color_stain")):
            names = line.replace("paper", "").split()
        elif "," in line:
            metric, normalization = line.split(", ")
            variant = metric, normalization
        elif line:
            name, *_ = line.split()
            key = ("pixel", None, None) if name == "pixel" else (variant[0], name, variant[1])
            found = re.findall(r"(\d+)/(\d+) \d+-\d+", line)
            for probe, (passed, cases) in zip(names, found, strict=True):
                yield key, probe, passed, cases


def test_the_table_is_what_the_baseline_has() -> None:
    cases = {probe.name: len(probe.cases) for probe in probes.load([probes.BUILT_IN])}
    assert f"{sum(cases.values())} drawn questions" in README
    margins = baseline.read(BUILT_IN_BASELINE).margins
    shown = list(cells_of_the_table())
    assert {probe for _, probe, _, _ in shown} == {"invert", "rotate", "translate", "color_stain"}
    for key, probe, passed, count in shown:
        known = [
            margin
            for (case, each), margin in margins.items()
            if case.startswith(f"{probe}/") and (each.metric, each.network, each.normalization) == key
        ]
        assert (len(known), sum(margin > 0 for margin in known)) == (int(count), int(passed)), (key, probe)


def test_the_files_that_it_names_are_there() -> None:
    for name in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / name).exists(), name


def test_the_examples_of_a_metric_are_metrics(tmp_path: Path) -> None:
    path = tmp_path / "my_metric.py"
    path.write_text(example("python", "def similarity"), encoding="utf-8")
    a, b = torch.rand(2, 2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    distance, similarity = (metrics.named(f"{path}:{name}") for name in ("distance", "similarity"))
    assert isinstance(distance, Metric)
    assert isinstance(similarity, Metric)
    expected = (a - b).abs().mean((1, 2, 3)).tolist()
    assert distance(a, b).tolist() == pytest.approx(expected, rel=1e-5)
    assert similarity(a, b).tolist() == pytest.approx([2 * each for each in expected], rel=1e-5)  # of [-1, 1]


def test_the_workflow_is_the_file_and_its_commands_are_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = example("yaml", "on: pull_request")
    assert text == (ROOT / ".github" / "gate-a-metric.yml").read_text(encoding="utf-8")
    (tmp_path / "my_variant.py").write_text(example("python", "def quantiles"), encoding="utf-8")
    shutil.copy(BUILT_IN_BASELINE, tmp_path / "my_baseline.json")
    (tmp_path / "dps").mkdir()
    monkeypatch.chdir(tmp_path / "dps")
    steps = [step["run"] for step in yaml.safe_load(text)["jobs"]["dps"]["steps"] if "run" in step]
    commands = [shlex.split(step) for step in steps if step.startswith("pytest suites/")]
    assert len(commands) == 2
    for command in commands:
        config = pytest.Config.fromdictargs({}, ["-p", "dps.plugin", *command[2:]])
        configuration = configure(options.from_namespace(config.option))
        assert {variant.metric.name for variant in configuration.variants} >= {"../my_variant.py:quantiles"}

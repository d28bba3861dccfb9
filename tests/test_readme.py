"""What the README shows is true: its examples are run, and what it names is there."""

import re
from pathlib import Path

import torch

from dps import metrics, probes
from dps.comparisons import form_of
from dps.metrics import Deep

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
    assert isinstance(metric, Deep)
    comparison = metric.terms[1].comparison
    form = form_of(torch.arange(10.0).view(1, 2, 5, 1), comparison, "quantiles")
    assert form.tolist() == [[[0.0, 1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0, 9.0]]]  # of five numbers: themselves


def test_the_example_of_a_drawn_probe_is_drawn(tmp_path: Path) -> None:
    path = tmp_path / "my_probe.yaml"
    path.write_text(example("yaml", "small_turn"), encoding="utf-8")
    (probe,) = probes.load([path])
    assert [case.id for case in probe.cases[:3]] == ["face-000", "bird-001", "icons-002"]
    assert len(probe.cases) == 20
    assert probe.cases[0].draw().references.keys() == {"rotate"}


def test_the_table_is_of_the_built_in_probes() -> None:
    cases = {probe.name: len(probe.cases) for probe in probes.load([probes.BUILT_IN])}
    assert f"{sum(cases.values())} drawn questions" in README
    row = re.search(r"^pixel +(.*)$", README, re.MULTILINE)
    assert row is not None
    assert re.findall(r"\d+/(\d+)", row[1])[::2] == [
        str(cases[name]) for name in ("invert", "rotate", "translate", "color_stain")
    ]


def test_the_files_that_it_names_are_there() -> None:
    for name in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / name).exists(), name

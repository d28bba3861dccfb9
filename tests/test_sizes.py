"""``--size``: scenes are drawn at another size, not resized, and only the built-in baseline is not compared with."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dps import probes
from dps.options import Options, image_size
from dps.session.configuration import RunConfiguration
from dps.session.configuring import configure
from tests.refusals import refusal

TRANSLATE = probes.BUILT_IN / "translate.yaml"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def ask(**options: Any) -> RunConfiguration:
    return configure(Options(**{"metric": ["pixel"], "probes": [TRANSLATE], "cases": 2, "report_dir": "r", **options}))


def originals(size: int | None) -> list[Any]:
    (probe,) = probes.load([TRANSLATE], 2, size)
    return [case.draw().original.pixels for case in probe.cases]


def test_a_scene_of_twice_the_size_is_sampled_more_densely_and_not_resized() -> None:
    for small, large in zip(originals(None), originals(192), strict=True):
        assert (small.shape, large.shape) == ((96, 96, 3), (192, 192, 3))
        averages = large.reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))  # each pixel of the small one stands for four
        assert np.abs(averages - small).mean() < 1
        assert np.unique(large.reshape(-1, 2, 192, 3)[:, 0] - large.reshape(-1, 2, 192, 3)[:, 1]).size > 1


def test_the_built_in_baseline_is_of_the_declared_size_alone() -> None:
    assert any(case.startswith("translate/") for case, _ in ask().baseline.margins)
    other = ask(size=64)
    assert not any(case.startswith("translate/") for case, _ in other.baseline.margins)
    assert {case.shape for batch in other.batches for case in batch} == {(64, 64)}


def test_a_network_that_does_not_take_the_size_names_the_nearest() -> None:
    assert refusal(lambda: ask(metric=["sort"], network=["thirds.py:net"])) == (
        f"{TRANSLATE}:13: case 'mosaic-000': network 'thirds.py:net' does not accept images of 96 x 96 pixels; it "
        "accepts 91 or 98. Draw at a size that it accepts with --size: 224."
    )


@pytest.fixture(autouse=True)
def thirds(here: None) -> None:
    """A network that takes multiples of 7."""
    Path("thirds.py").write_text(
        "import dps\nnet = dps.Network(features=lambda x: [x[:, :, ::7, ::7]], multiple_of=7)\n", encoding="utf-8"
    )


@pytest.mark.parametrize("size", ["32", "96", "1024"])
def test_sizes_are_multiples_of_32(size: str) -> None:
    assert image_size(size) == int(size)


@pytest.mark.parametrize(
    ("size", "nearest"), [("100", "96 or 128"), ("8", "32"), ("4000", "1024"), ("0", ""), ("-32", ""), ("big", "")]
)
def test_another_size_is_refused_with_the_nearest(size: str, nearest: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        image_size(size)
    message = f"must be a multiple of 32 from 32 to 1024, such as {nearest}; found {size!r}"
    assert str(caught.value) == (message if nearest else f"must be an integer of at least 1, found {size!r}")

"""Is a metric the same as another one: what passes, what differs, and which mistake explains it."""

import pytest

from dps.same import mistakes  # noqa: F401
from tests.running import SUITES, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

PORTS = """
import torch

def l1(a, b):
    return (a - b).abs().mean((1, 2, 3))

def again(a, b):
    return torch.stack([(x - y).abs().mean() for x, y in zip(a, b)])

def flipped(a, b):
    return (a - b).abs()[..., : a.shape[-1] // 2].mean((1, 2, 3))
"""


@pytest.fixture
def same(suite: Suite, pytester: pytest.Pytester) -> Suite:
    """Run the suite on a file of ports."""
    (pytester.path / "port.py").write_text(PORTS, encoding="utf-8")
    return lambda *options: suite("--gate=off", *options, paths=(str(SUITES / "test_same.py"),))


def test_equal_metrics_pass_and_others_fail_with_the_smallest_pair(same: Suite) -> None:
    done = same("--metric=port.py:again,port.py:flipped", "--same-as=port.py:l1")
    assert (done.code, done.outcomes) == (1, {"passed": 1, "failed": 1})
    first, second = done.results["same"]
    assert (first["metric"], first["same_as"], first["same"]) == ("port.py:again", "port.py:l1", True)
    assert (second["metric"], second["same"]) == ("port.py:flipped", False)
    assert second["pairs"] == second["compared"] > second["differing"] > 0
    assert second["pair"].startswith("32 x 32 pixels, face against itself")
    assert "port.py:flipped is not port.py:l1: 0." in done.text
    for name in ("original", "other"):
        assert (done.folder / "same" / f"port.py_flipped-{name}.png").is_file()


def test_the_suite_needs_both_metrics(same: Suite) -> None:
    wanted = "ERROR: test_same.py: name the metric that others must be the same as; pass --same-as METRIC."
    assert wanted in same("--metric=pixel").errors
    done = same("--same-as=pixel")
    assert done.code == 4
    assert "ERROR: --same-as pixel: name the metric that is compared with it, with --metric." in done.errors
    done = same("--metric=pixel", "--same-as=spatial")
    assert done.code == 4
    assert "--same-as spatial: stands for 8 variants, squeezenet-none-spatial and so on; choose one" in done.errors[0]

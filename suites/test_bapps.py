"""How well a metric agrees with people: BAPPS with ``--bapps DIR``, and else a synthetic stand-in of its form."""

from collections.abc import Callable

import pytest

from dps.agreement import Panel
from dps.metrics import Variant
from dps.run import Score


def test_score(panel: Panel, variant: Variant, scored: Callable[[Panel, Variant], Score]) -> None:
    """Every triplet or pair has a distance; what the score must be, ``--require`` says."""
    score = scored(panel, variant)  # the first look-up measures a subset, all of a network's variants at once
    if score.error:
        pytest.fail(f"{panel}: {score.error}", pytrace=False)

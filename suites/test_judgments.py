"""How well a metric agrees with people's judgments: with ``--judgments PATH``."""

from collections.abc import Callable

import pytest

from dps.agreement import Subset
from dps.metrics import Variant
from dps.session.session import ScoreResult


def test_score(subset: Subset, variant: Variant, scored: Callable[[Subset, Variant], ScoreResult]) -> None:
    """Every triplet or pair has a distance; what the score must be, ``--require`` says."""
    score = scored(subset, variant)  # the first look-up measures a subset, all of a network's variants at once
    if score.error:
        pytest.fail(f"{subset}: {score.error}", pytrace=False)

"""Which known flaws a metric has: every probe's cases, one item for each case and variant."""

from collections.abc import Callable

import pytest

from dps.metrics import Variant
from dps.probes import Case
from dps.run import Answer, Measured


def test_probe(
    case: Case,
    variant: Variant,
    measured: Measured,
    record_answer: Callable[[Case, Variant, Answer], None],
    gate: str,
) -> None:
    """The distorted image is closer to the original than every reference."""
    answer = measured[case, variant]  # the first look-up measures a batch of cases, all variants at once
    record_answer(case, variant, answer)
    if answer.drawing_failed or (gate == "strict" and not answer.verdict.passed):
        pytest.fail(f"{case.name}: {answer.verdict}", pytrace=False)

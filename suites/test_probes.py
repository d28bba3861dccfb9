"""Which known flaws a metric has: every probe's cases, one item for each case and variant."""

from collections.abc import Callable

from dps.metrics import Variant
from dps.probes import Case
from dps.session.session import CaseResult, Session


def test_probe(
    case: Case, variant: Variant, measured: Session, gate: Callable[[Case, Variant, CaseResult], None]
) -> None:
    """The distorted image is closer to the original than every reference, or no farther off than it was known to be."""
    answer = measured[case, variant]  # the first look-up measures a batch of cases, all variants at once
    gate(case, variant, answer)

"""A plugin for pytest that draws and measures nothing, so that what is left is the harness alone."""

from dataclasses import asdict

import pytest

from dps.errors import DrawError
from dps.metrics import Variant
from dps.probes import Case
from dps.rows import Row, case_row
from dps.session.session import Session
from dps.verdicts import Verdict

PASSED = asdict(
    Verdict(passed=True, distance=1.0, nearest_reference="gray", nearest_reference_distance=2.0, margin=1.0)
)


@pytest.fixture(autouse=True, scope="session")
def nothing_is_measured() -> None:
    """Every case passes at once."""

    def row(self: Session, case: Case, variant: Variant) -> Row:
        return case_row(case.probe, case.id, variant.key, PASSED, "0" * 64)

    def triple(self: Session, case: Case) -> DrawError:
        return DrawError(f"{case.name}: not drawn")

    Session.row = row  # type: ignore[method-assign]
    Session.triple = triple  # type: ignore[method-assign]

"""A plugin for pytest that draws and measures nothing, so that what is left is the harness alone."""

import pytest

from dps.metrics import Variant
from dps.probes import Case
from dps.session.session import CaseResult, Session
from dps.verdicts import Verdict

PASSED = Verdict(passed=True, distance=1.0, nearest_reference="gray", nearest_reference_distance=2.0, margin=1.0)


@pytest.fixture(autouse=True, scope="session")
def nothing_is_measured() -> None:
    """Every case passes at once."""

    def answer(self: Session, asked: tuple[Case, Variant]) -> CaseResult:
        return CaseResult(verdict=PASSED, images_sha256="0" * 64)

    Session.__getitem__ = answer  # type: ignore[method-assign]

"""A plugin for pytest that draws and measures nothing, so that what is left is the harness alone."""

import pytest

from dps import run
from dps.metrics import Variant
from dps.probes import Case
from dps.run import Answer, Measured
from dps.verdicts import Verdict

PASSED = Verdict(passed=True, distance=1.0, nearest_reference="gray", nearest_reference_distance=2.0, margin=1.0)


@pytest.fixture(autouse=True, scope="session")
def nothing_is_measured() -> None:
    """Every case passes at once."""

    def answer(self: Measured, asked: tuple[Case, Variant]) -> Answer:
        return Answer(verdict=PASSED, images_sha256="0" * 64)

    run.Measured.__getitem__ = answer  # type: ignore[method-assign]

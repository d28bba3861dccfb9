"""Throughput, where it is named: images per second, and the ratio to the forward pass of the same images."""

from collections.abc import Callable

import pytest

from dps import throughput
from dps.metrics import Variant
from dps.rows import Row
from dps.session.session import Session


def test_throughput(
    variants: list[Variant],
    measurements: Session,
    pytestconfig: pytest.Config,
    record: Callable[[str, list[Row]], None],
) -> None:
    """All variants of a network take turns, for at most two minutes; see `throughput.measure`."""
    if hasattr(pytestconfig, "workerinput"):
        pytest.skip("not measured: the other processes would take part of each core; leave -n out")
    engine = measurements.engine(variants[0].backbone, variants[0].network)
    record("throughput", throughput.measure(engine, variants, measurements.configuration.size))

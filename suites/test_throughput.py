"""Images per second, and the time relative to the forward pass alone. The suite runs only where it is named."""

import pytest

from dps import throughput
from dps.metrics import Variant
from dps.plugin import Suites


def test_throughput(variants: list[Variant], suites: Suites) -> None:
    """All variants of a network take turns, for at most two minutes; see `throughput.measure`."""
    if hasattr(suites.config, "workerinput"):
        pytest.skip("not measured: the other processes would take part of each core; leave -n out")
    engine = suites.session.engine(variants[0].backbone, variants[0].network)
    suites.record("throughput", throughput.measure(engine, variants, suites.configuration.options.size))

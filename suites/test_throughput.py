"""What each variant costs, beside the bare forward pass of the same images: images per second and a ratio."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from dps import throughput
from dps.session.session import Session
from dps.throughput import Load

ROUNDS = 5


def test_throughput(
    load: Load,
    measurements: Session,
    benchmark: BenchmarkFixture,
    record: Callable[[str, Any], None],
) -> None:
    """The ratio is the median over rounds, each beside a forward pass of its own."""
    if benchmark.disabled:
        pytest.skip("not measured: benchmarks are disabled here (pytest-xdist does that, or --benchmark-disable)")
    engine = measurements.engine(load.network)
    images = throughput.triples(load.image_size, load.batch_size)
    forwards: list[float] = []

    def time_forward() -> None:
        throughput.settle()
        start = time.perf_counter()
        throughput.forward(engine, images)
        forwards.append(time.perf_counter() - start)
        throughput.settle()

    benchmark.group = f"{load.network or 'no network'}, {load.image_size} pixels, {load.batch_size} images"
    benchmark.name = f"{load.normalization or ''} {load.metric}".strip()
    setup: dict[str, Any] = {"args": (load, engine, images), "setup": time_forward}
    benchmark.pedantic(throughput.run, **setup, rounds=ROUNDS, warmup_rounds=1)  # type: ignore[no-untyped-call]
    assert benchmark.stats is not None
    seconds = benchmark.stats.stats.data
    record("throughput", throughput.row(load, seconds, forwards[-len(seconds) :]))

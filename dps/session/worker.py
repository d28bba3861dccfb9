"""One of many workers that measure a data set into a store."""

import functools
from collections.abc import Iterator

from dps.session.configuration import RunConfiguration


def measure_shards(configuration: RunConfiguration, worker: int = 0, workers: int = 1) -> Iterator[str]:
    """Measure this worker's share of the data set into the store; what is there already is not measured again.

    Nothing is shared between workers but the store: worker i of n takes every n-th shard from the i-th on.

    Args:
        configuration: with a store.
        worker: which one this is, from 0.
        workers: how many there are.

    Yields:
        A line for each network, when its share is done.

    Raises:
        DpsError: a metric broke, images cannot be read, or the store cannot be written.
    """
    assert configuration.dataset is not None
    shards = configuration.dataset.shards[worker::workers]
    by_network = configuration.distances(
        configuration.variants, functools.cache(configuration.engine), shown=worker == 0
    )
    for network in dict.fromkeys(variant.network for variant in configuration.variants):
        measured = by_network.measure(shards, network, configuration.dataset.name)
        by_network.check(shards, network)
        yield (
            f"worker {worker} of {workers}, {network or 'no network'}: {measured} shards measured, "
            f"{len(shards) - measured} of {len(shards)} were in the store"
        )

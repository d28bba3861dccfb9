"""Measuring data sets into a store, as one of several workers."""

import functools
import itertools
from collections.abc import Iterator

from dps import store
from dps.errors import UsageError
from dps.fingerprint import NoFingerprintError
from dps.session.configuration import RunConfiguration


def measure_shards(configuration: RunConfiguration, worker: int = 0, workers: int = 1) -> Iterator[str]:
    """Measure this worker's share of each data set into the store, and yield a line after each backbone.

    Workers share nothing but the store: worker i of n, from 0, takes every n-th shard from the i-th on. Distances in
    the store are not measured again.

    Raises:
        DpsError: a metric failed or its distances cannot be stored, images cannot be read, or the store not written.
    """
    for dataset, variant in itertools.product(configuration.datasets, configuration.variants):
        try:
            configuration.key_of(dataset.preprocessing, variant)
        except NoFingerprintError as error:
            raise UsageError(store.not_stored(variant.metric.name, str(error))) from None
    engine = functools.cache(configuration.engine)
    for dataset in configuration.datasets:
        shards = dataset.shards[worker::workers]
        distances = configuration.distances(dataset, configuration.variants, engine, shown=worker == 0)
        for backbone in dict.fromkeys(variant.backbone for variant in configuration.variants):
            measured = distances.measure(shards, backbone, dataset.name)
            distances.check(shards, backbone)
            yield (
                f"worker {worker} of {workers}, {dataset.name}, {backbone or 'no network'}: {measured} shards "
                f"measured, {len(shards) - measured} of {len(shards)} were in the store"
            )

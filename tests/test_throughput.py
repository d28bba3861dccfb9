"""What a benchmark's row says, worked out by hand; the suite itself is run in `test_suites`."""

import pytest

from dps import metrics, throughput
from dps.throughput import Load

VARIANTS = metrics.variants([metrics.named("sort"), metrics.named("pixel")], ["alexnet"], ["none", "unit"])


def test_each_network_has_a_forward_pass_each_variant_and_all_at_once() -> None:
    loads = throughput.loads(VARIANTS, [(64, 6)])
    assert [str(load) for load in loads] == [
        "64px-6-alexnet-forward",
        "64px-6-alexnet-none-sort",
        "64px-6-alexnet-unit-sort",
        "64px-6-alexnet-all",
        "64px-6-pixel",
    ]
    assert [len(load.variants) for load in loads] == [0, 1, 1, 2, 1]


def test_the_ratio_is_the_median_of_ratios_side_by_side() -> None:
    load = throughput.loads(VARIANTS, [(64, 6)])[1]
    row = throughput.row(load, [2.0, 3.0, 8.0], [1.0, 2.0, 2.0])  # ratios 2, 1.5 and 4
    assert row["relative_to_forward"] == 2.0
    assert row["images_per_second"] == 2.0  # 6 images in a median of 3 seconds


def test_a_metric_without_a_network_has_no_ratio() -> None:
    assert throughput.row(throughput.loads(VARIANTS, [(64, 6)])[-1], [1.0], [1.0])["relative_to_forward"] is None


@pytest.mark.parametrize(("size", "batch"), [(64, 6), (96, 3)])
def test_a_batch_holds_as_many_different_images_as_it_says(size: int, batch: int) -> None:
    triples = throughput.triples(size, batch)
    pictures = [each for triple in triples for each in [triple.original, *triple.compared]]
    assert len({each.digest for each in pictures}) == len(pictures) == batch
    assert {each.pixels.shape for each in pictures} == {(size, size, 3)}


def test_a_load_without_variants_is_the_bare_forward_pass() -> None:
    assert [load.metric for load in throughput.loads(VARIANTS, [(64, 6)]) if not load.variants] == [throughput.FORWARD]
    assert isinstance(throughput.loads(VARIANTS, [(64, 6)])[0], Load)

"""Rows of throughput worked out by hand, and rounds that take turns; the suite itself is run in `test_suites`."""

import time

import pytest

from dps import metrics, throughput
from dps.measurement import IMAGES_AT_ONCE, Engine, images_at_once
from dps.networks import Extractor
from dps.rows import VariantKey


def test_each_network_has_a_forward_pass_all_at_once_and_each_variant(
    alexnet: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throughput, "MAX_ROUNDS", 2)
    variants = metrics.variants([metrics.named("sort")], ["alexnet"], ["none", "unit"])
    rows = throughput.measure(Engine(alexnet), variants, 192)
    labels = [VariantKey(row["network"], row["normalization"], row["metric"]).label for row in rows]
    assert labels == ["alexnet-forward", "alexnet-all", "alexnet-none-sort", "alexnet-unit-sort"]
    assert {(row["image_size"], row["batch_size"]) for row in rows} == {(192, IMAGES_AT_ONCE // 4)}  # of more pixels
    assert rows[0]["relative_to_forward"] == 1.0
    (pixel,) = throughput.measure(Engine(), metrics.variants([metrics.named("pixel")], [], []))
    assert (pixel["metric"], pixel["relative_to_forward"], pixel["relative_to_forward_low"]) == ("pixel", None, None)
    assert (pixel["image_size"], pixel["batch_size"]) == (96, IMAGES_AT_ONCE)


def test_a_row_has_the_median_and_quartiles_of_ratios_round_by_round() -> None:
    key = VariantKey("alexnet", "none", "sort")
    row = throughput.row(key, [2.0, 3.0, 8.0], [1.0, 2.0, 2.0])  # ratios 2, 1.5 and 4
    assert row["relative_to_forward"] == 2.0
    assert row["relative_to_forward_low"] == 1.75  # half way from 1.5 to 2
    assert row["relative_to_forward_high"] == 3.0  # half way from 2 to 4
    assert row["images_per_second"] == 16.0  # 48 images in a median of 3 seconds


def test_sides_take_turns_and_rounds_before_are_not_timed() -> None:
    calls: list[str] = []
    seconds = throughput.take_turns(2, lambda: calls.append("a"), lambda: calls.append("b"), warm_up=1)
    assert calls == ["a", "b"] * 3
    assert [len(taken) for taken in seconds] == [2, 2]


def test_no_round_begins_that_would_end_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def work() -> None:
        nonlocal now
        now += 10

    (taken,) = throughput.take_turns(99, work, warm_up=0, limit=45)  # the fourth round ends at 40, a fifth at 50
    assert taken == [10.0] * 4
    (taken,) = throughput.take_turns(99, work, warm_up=0, limit=5)
    assert taken == [10.0] * throughput.MIN_ROUNDS


def test_an_accelerator_gets_more_images_at_once() -> None:
    assert images_at_once("cpu") < images_at_once("cuda:1") == images_at_once("mps")

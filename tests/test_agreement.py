"""Scores on a data set: distances against measuring pair by pair, each shard once, resumed, and split over workers."""

import dataclasses
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dps import agreement, metrics, notes, store
from dps.agreement import DatasetDistances, Subset, subsets_of
from dps.comparisons import NORMALIZATIONS
from dps.errors import DpsError, JudgmentsError, MetricError, UsageError
from dps.images import Triple, make_image
from dps.judgments import bapps
from dps.judgments.dataset import Dataset
from dps.judgments.rank_flips import PERTURBATIONS, rotate, shift, with_perturbations
from dps.measurement import Engine
from dps.metrics import Metric, Variant, named, variants
from dps.networks import Extractor
from dps.options import Options
from dps.report import results, scores_table, tables
from dps.rows import Row
from dps.scores import Estimate
from dps.session.configuration import RunConfiguration
from dps.session.configuring import configure_measurement
from dps.session.session import ScoreResult, Session
from dps.session.worker import measure_shards
from dps.verdicts import CaseDistances as Of
from tests.bapps_folders import counts

PIXEL = Variant(metric=named("pixel"), network=None, normalization=None)
ALL_TEN = variants([named(name) for name in metrics.DEFAULT_METRICS[1:]], ["alexnet"], NORMALIZATIONS)


ANY = Dataset(name="any", about="", shards=())


def image_variant(distance: Callable[[Tensor, Tensor], Tensor], name: str = "mine") -> Variant:
    return Variant(metric=Metric(name=name, distance=distance), network=None, normalization=None)


def options(**changed: Any) -> Options:
    return Options(**{"metric": ["pixel"], "bapps": "synthetic", **changed})


# ------------------------------------------------------------------------------------------------ rank flips


def test_a_shift_by_hand_repeats_the_outermost_pixels() -> None:
    images = np.arange(9, dtype=np.uint8).reshape(1, 3, 3, 1)
    by_number = [shift(images, number, pixels=1)[0, :, :, 0].tolist() for number in range(5)]
    assert by_number == [
        [[0, 0, 1], [3, 3, 4], [6, 6, 7]],  # right
        [[0, 1, 2], [0, 1, 2], [3, 4, 5]],  # down
        [[1, 2, 2], [4, 5, 5], [7, 8, 8]],  # left
        [[3, 4, 5], [6, 7, 8], [6, 7, 8]],  # up
        [[0, 0, 1], [3, 3, 4], [6, 6, 7]],
    ]


def test_a_rotation_is_small_and_in_both_directions_in_turn(small: Dataset) -> None:
    images = small.shards[0].read().stacks[0][0, 1:]
    one, other = (rotate(images, number, degrees=2) for number in (0, 1))
    assert one.shape == images.shape
    assert one.dtype == np.uint8
    assert (one != other).any()
    assert 0 < np.abs(one.astype(int) - images).mean() < np.abs(np.roll(images, 8, axis=2).astype(int) - images).mean()


def test_perturbed_triplets_are_added_and_change_no_other_score(small: Dataset) -> None:
    more = with_perturbations(small)
    assert list(PERTURBATIONS) == ["1px", "2px", "3px", "1deg", "2deg", "3deg"]
    assert counts(more) == counts(small)
    added = [str(subset) for subset in subsets_of(more)][len(subsets_of(small)) :]
    assert added == [f"synthetic/rank_flips/{name}" for name in PERTURBATIONS]
    perturbed = next(shard for shard in more.shards if shard.perturbation == "1px")
    assert str(perturbed) == "2afc/noise/000 (1px)"
    before, after = small.shards[0].read(), perturbed.read()
    assert (after.stacks[0][:, 0] == before.stacks[0][:, 0]).all()
    assert (after.stacks[0][:, 1:] != before.stacks[0][:, 1:]).any()
    assert after.judgments.tolist() == before.judgments.tolist()
    assert len({shard.read_judgments().digest for shard in more.shards}) == len(more.shards)
    assert perturbed.read_judgments().digest == after.digest


def test_the_share_of_rank_flips_by_hand(small: Dataset) -> None:
    """One of three answers changes in one subset, none of one in another: each subset counts as much."""
    shard = dataclasses.replace(small.shards[0], subset="large", count=3)
    other = dataclasses.replace(shard, subset="small", count=1)
    perturbed = tuple(dataclasses.replace(unchanged, perturbation="1px") for unchanged in (shard, other))
    subset = Subset(dataset="any", kind="rank_flips", name="1px", shards=(shard, other, *perturbed))
    before = [[1.0, 2.0], [1.0, 2.0], [1.0, 1.0], [2.0, 1.0]]
    after = [[3.0, 4.0], [4.0, 3.0], [1.0, 1.0], [2.0, 1.0]]  # kept, flipped, a tie again; kept
    found = agreement.score(subset, np.zeros(8), np.array(before + after))["rank_flips"]
    assert found.value == pytest.approx((1 / 3 + 0) / 2)
    assert found.count == 4
    assert agreement.triplet_scores("rank_flips", np.zeros(2), np.array([[1.0, 1.0], [1.0, 2.0]])) == [1]  # no tie now
    assert agreement.judges_score("rank_flips", np.zeros(8)) is None


def test_a_metric_of_the_mean_color_flips_few_ranks_under_shifts(small: Dataset) -> None:
    """Of objects that stay inside the frame on a plain ground, nothing but the place changes."""
    mean = image_variant(lambda a, b: (a.mean((2, 3)) - b.mean((2, 3))).square().sum(1), "mean")
    more = with_perturbations(small)
    configuration = dataclasses.replace(configure_measurement(options()), datasets=(more,))
    measured = Session(configuration, [], [PIXEL, mean])
    subset = {str(subset): subset for subset in subsets_of(more)}["synthetic/rank_flips/1px"]
    found = measured.score(subset, mean)
    assert found.estimates["rank_flips"].value <= 0.1
    assert found.estimates["rank_flips"].count == len(found.originals) == 12


def test_scores_are_made_only_where_a_data_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    nothing = configure_measurement(options(bapps=None))
    assert (nothing.datasets, nothing.store, list(nothing.scores())) == ((), None, [])
    stand_in = configure_measurement(options(rank_flips=True))
    assert ([dataset.name for dataset in stand_in.datasets], stand_in.store) == (["synthetic"], None)
    assert "synthetic/rank_flips/1px" in [str(subset) for subset, _ in stand_in.scores()]


# ------------------------------------------------------------------------------------------------ stacks


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_stack_gives_what_its_pairs_give_one_by_one(alexnet: Extractor, small: Dataset, reduction: str) -> None:
    images = small.shards[0].read().stacks[0]
    engine = Engine(alexnet, reduction)
    found = engine.measure_stack(images, ALL_TEN)
    triples = [
        Triple(original=make_image(o), distorted=make_image(a), references={"b": make_image(b)})
        for o, a, b in images.copy()
    ]
    for row, outcomes in enumerate(engine.measure(triples, ALL_TEN)):
        for variant, outcome in outcomes.items():
            distances = found[variant]
            assert isinstance(outcome, Of)
            assert not isinstance(distances, DpsError)
            assert distances.shape == (3, 2)
            assert distances[row] == pytest.approx([outcome.distorted, outcome.references["b"]], rel=2e-5)


def test_distances_do_not_depend_on_what_is_measured_beside(alexnet: Extractor, small: Dataset) -> None:
    alone = Engine(alexnet).measure_stack(small.shards[0].read().stacks[0], ALL_TEN[:1])[ALL_TEN[0]]
    beside = Engine(alexnet).measure_stack(small.shards[0].read().stacks[0], ALL_TEN)[ALL_TEN[0]]
    assert not isinstance(alone, DpsError)
    assert alone.tobytes() == beside.tobytes()  # type: ignore[union-attr]


def throws(_features: Tensor) -> Tensor:
    raise ValueError("no such layer")


def test_a_metric_that_breaks_takes_no_other_with_it(alexnet: Extractor, small: Dataset) -> None:
    term = metrics.Term(name="throws", comparison=throws)
    broken = Variant(
        metric=metrics.FeatureMetric(name="throws", terms=(term,)), network="alexnet", normalization="none"
    )
    found = Engine(alexnet).measure_stack(small.shards[0].read().stacks[0], [broken, ALL_TEN[0]])
    assert isinstance(found[broken], MetricError)
    assert "no such layer" in str(found[broken])
    assert isinstance(found[ALL_TEN[0]], np.ndarray)


# ------------------------------------------------------------------------------------- measured and kept


def counting(calls: list[str | None]) -> Callable[[str | None], Engine]:
    def engine(network: str | None) -> Engine:
        calls.append(network)
        return Engine()

    return engine


def kept_in(
    folder: Path, chosen: list[Variant], engine: Callable[[str | None], Engine] = lambda _: Engine()
) -> DatasetDistances:
    """Distances with a store."""
    key_of = functools.partial(store.key_of, network=None, reduction="sum", preprocessing="none", device="cpu")
    return DatasetDistances(chosen, ANY, engine, store.prepare(folder), key_of)


def test_only_what_is_not_kept_or_is_damaged_is_measured(
    written: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = bapps.read(written)
    calls: list[str | None] = []
    first = kept_in(tmp_path / "store", [PIXEL], counting(calls))
    assert first.measure(dataset.shards, None, "first") == len(calls) == 6
    second = kept_in(tmp_path / "store", [PIXEL], functools.partial(pytest.fail, "measured again"))
    for subset in subsets_of(bapps.read(written)):
        for mine, theirs in zip(first.look_up(subset, PIXEL), second.look_up(subset, PIXEL), strict=True):
            assert mine.tobytes() == theirs.tobytes()
    file = next((tmp_path / "store").glob("??/*.npy"))
    file.write_bytes(file.read_bytes()[:-3])
    assert kept_in(tmp_path / "store", [PIXEL]).measure(dataset.shards, None, "third") == 1
    assert "damaged" in caplog.text


def blue(a: Tensor, b: Tensor) -> Tensor:
    return (a - b)[:, 2].abs().mean((1, 2))


def test_a_second_metric_measures_only_itself(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = image_variant(blue, "blue")
    dataset = bapps.read(written)
    kept_in(tmp_path / "store", [PIXEL]).measure(dataset.shards, None, "one")
    measured: list[list[str]] = []
    real = Engine.measure_stack

    def watched(self: Engine, images: Any, chosen: Any) -> Any:
        measured.append([variant.metric.name for variant in chosen])
        return real(self, images, chosen)

    monkeypatch.setattr(Engine, "measure_stack", watched)
    assert kept_in(tmp_path / "store", [PIXEL, second]).measure(dataset.shards, None, "two") == 6
    assert measured == [["blue"]] * 6


@pytest.fixture
def no_notes() -> Iterator[None]:
    notes.clear()
    yield
    notes.clear()


class Counting:
    """A metric whose answer depends on how often it was called."""

    calls = 0

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        self.calls += 1
        return self.calls * (a - b).abs().mean((1, 2, 3))


class Tiring:
    """A metric whose answer changes once it has seen many images."""

    images = 0

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        self.images += len(a)
        return (1 + self.images // 8) * (a - b).abs().mean((1, 2, 3))


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (Counting, "it returns different numbers when it is called again"),
        (Tiring, "its state changes while it measures"),
    ],
)
def test_what_cannot_be_kept_is_measured_again_and_the_run_says_so(
    written: Path, tmp_path: Path, no_notes: None, metric: Callable[[], Any], reason: str
) -> None:
    dataset = bapps.read(written)
    for expected in (6, 6):
        distances = kept_in(tmp_path / "store", [image_variant(metric()), PIXEL])
        assert distances.measure(dataset.shards, None, "run") == expected
        assert store.size(tmp_path / "store")[0] == 6  # of pixel
    assert notes.lines() == [f"metric 'mine': its distances are not kept between runs, since {reason}."]


def test_a_metric_that_cannot_be_kept_is_refused_where_a_store_is_to_be_filled(written: Path, tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        "import torch\ndef distance(a, b):\n    return torch.rand(1) * (a - b).abs().mean((1, 2, 3))\n",
        encoding="utf-8",
    )
    configuration = configure_measurement(
        options(bapps=str(written), store=str(tmp_path / "store"), metric=[f"{tmp_path / 'noisy.py'}:distance"])
    )
    with pytest.raises(UsageError) as caught:
        list(measure_shards(configuration))
    reason = "it returns different numbers when it is called again"
    assert str(caught.value).endswith(f"its distances are not kept between runs, since {reason}.")
    assert store.size(tmp_path / "store") == (0, 0)


def test_an_image_that_cannot_be_read_breaks_its_subset_alone(written: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(written, tmp_path / "copy"))
    dataset = bapps.read(folder)
    image = next((folder / "2afc" / "val" / "blur" / "p1").iterdir())
    image.write_bytes(image.read_bytes()[:100])
    distances = DatasetDistances([PIXEL], ANY, lambda _: Engine())
    by_name = {str(subset): subset for subset in subsets_of(dataset)}
    with pytest.raises(JudgmentsError, match=image.name):
        distances.look_up(by_name["synthetic/2afc/blur"], PIXEL)
    judgments, found = distances.look_up(by_name["synthetic/2afc/noise"], PIXEL)
    assert judgments.shape == (3,)
    assert found.shape == (3, 2)


# ------------------------------------------------------------------------------------------------ scores


def test_pairs_are_scored_by_subset_and_pooled(small: Dataset) -> None:
    names = ["2afc/noise", "2afc/blur", "2afc/shift", "2afc/contrast", "jnd/noise", "jnd/blur", "jnd/pooled"]
    assert [str(subset) for subset in subsets_of(small)] == [f"synthetic/{name}" for name in names]
    distances = DatasetDistances([PIXEL], ANY, lambda _: Engine())
    by_name = {str(subset): distances.look_up(subset, PIXEL) for subset in subsets_of(small)}
    pooled = np.concatenate([by_name["synthetic/jnd/noise"][1], by_name["synthetic/jnd/blur"][1]])
    assert by_name["synthetic/jnd/pooled"][1].tolist() == pooled.tolist()
    likelihoods = [f"log_likelihood/{family}" for family in ("noise", "blur", "shift", "contrast", "all")]
    of_everything = {f"synthetic/{name}" for name in [*names, *likelihoods, "2afc/all", "2afc", "log_likelihood"]}
    assert set(agreement.all_score_names(small)) == of_everything | {*names, *likelihoods, "2afc/all"}


def test_scores_by_hand(small: Dataset) -> None:
    triplets, pairs = (
        Subset(dataset="any", kind=kind, name="any", shards=(dataclasses.replace(small.shards[0], count=count),))
        for kind, count in (("2afc", 3), ("jnd", 2))
    )
    judgments, distances = np.array([0.2, 1.0, 0.4]), np.array([[1.0, 2.0], [3.0, 1.0], [1.0, 1.0]])
    found = agreement.score(triplets, judgments, distances)
    assert found["2afc"].value == pytest.approx((0.8 + 1.0 + 0.5) / 3)
    judges = agreement.judges_score("2afc", judgments)
    assert judges is not None
    assert judges.value == pytest.approx((0.68 + 1.0 + 0.52) / 3)
    assert agreement.score(pairs, np.array([1.0, 0.0]), np.array([[0.1], [0.2]]))["jnd"].value == 1
    assert agreement.score(pairs, np.array([1.0, 0.0]), np.array([[0.2], [0.1]]))["jnd"].value == 0.5
    assert agreement.judges_score("jnd", judgments) is None


@pytest.mark.parametrize("value", [float("nan"), -1.0])
def test_distances_that_are_none_have_no_score(small: Dataset, value: float) -> None:
    bad = image_variant(lambda a, _b: torch.full((len(a),), value))
    configuration = dataclasses.replace(configure_measurement(options()), datasets=(small,), variants=(bad,))
    score = Session(configuration, [], [bad]).score(subsets_of(small)[0], bad)
    assert score.estimates == {}
    assert score.error == f"6 of 6 distances are invalid, the first is {value}"


# ------------------------------------------------------------------------------------------------ tables


BAPPS = Dataset(name="bapps", about="people", shards=(), groups=bapps.GROUPS, judges="human")


def bapps_rows() -> list[Row]:
    """Scores as a run on BAPPS has them; their values are made up."""
    dataset = BAPPS
    variant = variants([named("spatial")], ["alexnet"], ["unit"])[0]
    rows = []
    for number, subset in enumerate(bapps.TRIPLETS):
        score = ScoreResult(
            estimates={"2afc": Estimate(value=0.6 + number / 100, standard_error=0.006, count=10)},
            judges=Estimate(value=0.8, standard_error=0.003, count=10),
        )
        rows += results.score_rows(
            dataset, agreement.Subset(dataset="bapps", kind="2afc", name=subset, shards=()), variant, score
        )
    pooled = ScoreResult(estimates={"jnd": Estimate(value=0.5, standard_error=0.01, count=20)})
    rows += results.score_rows(
        dataset, agreement.Subset(dataset="bapps", kind="jnd", name="pooled", shards=()), variant, pooled
    )
    return results.add_means([row for row in rows if row["score"] is not None], [BAPPS])


def test_table_2_has_the_papers_columns_with_its_values_beside() -> None:
    lines = tables.as_markdown(scores_table.table(bapps_rows(), {"name": "bapps", "about": "people"}))
    heads = [cell.strip() for cell in lines[0].split("|")[4:-1]]
    assert [head for head in heads if head != "paper"] == [
        "traditional", "cnn", "distortions", "superres", "deblur", "color", "frameinterp", "real", "all", "jnd/pooled",
    ]  # fmt: skip
    assert heads.count("paper") == 10
    human, spatial = ([cell.strip() for cell in line.split("|")[4:-1]] for line in lines[2:4])
    assert human[:6] == ["80.0 ±0.3", "*80.8*", "80.0 ±0.3", "*84.4*", "80.0 ±0.2", "*82.6*"]
    assert spatial[:6] == ["60.0 ±0.6", "*70.6*", "61.0 ±0.6", "*83.1*", "60.5 ±0.4", "*76.8*"]
    assert spatial[-4:] == ["62.5 ±0.2", "*68.9*", "50.0 ±1.0", "*57.6*"]
    text = tables.as_text(scores_table.table(bapps_rows(), {"name": "bapps", "about": "people"}), 80)
    assert max(map(len, text)) <= 80


def test_what_is_synthetic_never_stands_beside_the_papers() -> None:
    rows = [{**row, "dataset": "synthetic"} for row in bapps_rows()]
    table = scores_table.table(rows, {"name": "synthetic", "about": "drawn"})
    text = "\n".join(tables.as_markdown(table))
    assert "paper" not in text
    assert "synthetic: drawn." in text
    assert "people" not in text


def test_the_means_over_subsets_by_hand() -> None:
    means = {row["subset"]: row["score"] for row in bapps_rows() if row["metric"] == "spatial"}
    assert means["distortions"] == pytest.approx((0.60 + 0.61) / 2)
    assert means["real"] == pytest.approx((0.62 + 0.63 + 0.64 + 0.65) / 4)
    assert means["all"] == pytest.approx((0.60 + 0.61 + 0.62 + 0.63 + 0.64 + 0.65) / 6)
    partial = [row for row in bapps_rows() if row["subset"] == "cnn"]
    assert results.add_means(partial, [BAPPS]) == partial


# ----------------------------------------------------------------------------------------------- workers


def question_of(written: Path, folder: Path) -> RunConfiguration:
    return configure_measurement(options(bapps=str(written), store=str(folder)))


def test_workers_share_the_shards_and_measure_none_twice(written: Path, tmp_path: Path) -> None:
    configuration = question_of(written, tmp_path / "store")
    lines = [line for worker in range(4) for line in measure_shards(configuration, worker, 4)]
    assert lines[0] == "worker 0 of 4, synthetic, no network: 2 shards measured, 0 of 2 were in the store"
    assert [line.split(": ")[1].split()[0] for line in lines] == ["2", "2", "1", "1"]
    assert list(measure_shards(configuration)) == [
        "worker 0 of 1, synthetic, no network: 0 shards measured, 6 of 6 were in the store"
    ]


MORTAL = """
import os, pathlib, sys
import pytest
from dps.cli import main
from dps.measurement import Engine

here, rank, measure_stack = pathlib.Path(__file__).parent, os.environ.get("RANK", ""), Engine.measure_stack


def mortal(self, images, variants):
    tally, died = here / f"tally{rank}", here / "died"
    done = len(tally.read_text()) if tally.exists() else 0
    if done == int(os.environ["DIES_AFTER"]) and rank in ("", "1") and not died.exists():
        died.touch()
        os.kill(os.getpid(), 9)
    tally.write_text("x" * (done + 1))
    return measure_stack(self, images, variants)


Engine.measure_stack = mortal
if __name__ == "__main__":
    sys.exit(pytest.main(sys.argv[2:]) if sys.argv[1] == "pytest" else main())
"""
"""dps, killed once when so many shards are measured; the tally has a letter for each measured shard."""


@pytest.fixture
def mortal(tmp_path: Path) -> str:
    script = tmp_path / "mortal.py"
    script.write_text(MORTAL, encoding="utf-8")
    return str(script)


def test_torchrun_continues_after_a_worker_died_and_suites_then_only_read(
    written: Path, tmp_path: Path, mortal: str
) -> None:
    """Worker 1 dies once, when it has measured the first of its three shards."""
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--max-restarts", "2", "--master-port", "0"]
    done = subprocess.run(
        [sys.executable, *torchrun, mortal, "measure", "--bapps", str(written), "--store", str(tmp_path / "store"),
         "--metric", "pixel"],
        capture_output=True, text=True, check=False, timeout=240, env={**os.environ, "DIES_AFTER": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "died").exists()
    assert "worker 1 of 2, synthetic, no network: 2 shards measured, 1 of 3 were in the store" in done.stdout
    assert "worker 0 of 2: done" in done.stdout
    assert (tmp_path / "tally1").read_text() == "xxx"  # none twice
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("??/*")}
    assert len(files) == 6
    configuration = question_of(written, tmp_path / "store")
    (dataset,) = configuration.datasets
    distances = configuration.distances(dataset, configuration.variants, functools.partial(pytest.fail, "measured"))
    subsets = subsets_of(bapps.read(written))
    assert [len(distances.look_up(subset, PIXEL)[0]) for subset in subsets] == [3, 3, 3, 3, 2, 2, 4]
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("??/*")}


def test_killed_at_any_point_it_ends_with_the_same_scores(written: Path, tmp_path: Path, mortal: str) -> None:
    root = Path(__file__).resolve().parents[1]
    command = [sys.executable, mortal, "pytest", "suites/test_judgments.py", "-q", "-p", "no:cacheprovider", "--bapps",
               str(written), "--store", str(tmp_path / "store"), "--report-dir", str(tmp_path / "report"),
               "--metric", "pixel"]  # fmt: skip
    run = functools.partial(
        subprocess.run, command, cwd=root, capture_output=True, env={**os.environ, "DIES_AFTER": "3"}
    )
    assert run().returncode == -9
    assert store.size(tmp_path / "store")[0] == 3
    run(check=True)
    assert (tmp_path / "tally").read_text() == "x" * 6  # one for each of six shards, none twice
    resumed = json.loads((tmp_path / "report" / "results.json").read_bytes())["scores"]
    assert len(resumed) == 7 + 4 + 4 + 3  # subsets, log-likelihoods, the judges', and the means of all three
    session = Session(question_of(written, tmp_path / "anew"), [], [PIXEL])
    found = {(row["kind"], row["subset"]): row["score"] for row in resumed if row["metric"] == "pixel"}
    for subset in subsets_of(bapps.read(written)):
        for kind, estimate in session.score(subset, PIXEL).estimates.items():
            assert found[kind, subset.name] == estimate.value

"""Judgments of people beyond BAPPS: correlations, CSV files, published layouts (small, drawn), and the suite."""

import csv
import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import scipy.io
from click.testing import CliRunner
from scipy import optimize, stats

from dps import agreement, metrics, scores
from dps.cli import main
from dps.comparisons import NORMALIZATIONS
from dps.errors import DpsError, JudgmentsError
from dps.images import Triple, make_image
from dps.judgments import layouts, tables
from dps.measurement import Engine
from dps.metrics import Variant, named, variants
from dps.networks import Extractor
from dps.significance import Conclusion
from dps.verdicts import CaseDistances
from tests.running import SUITES, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

Row = list[object]

HEADS: Row = ["original", "distorted", "score", "group"]

PATHS = (str(SUITES / "test_judgments.py"),)


def drawn(path: Path, level: int = 0, size: tuple[int, int] = (64, 48)) -> Path:
    """Write noise of some strength on a gradient; drawn, and no one judged it."""
    rng = np.random.default_rng(len(path.stem))
    ramp = np.linspace(40, 200, size[0])[None, :, None] + np.zeros((size[1], 1, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.clip(ramp + 4 * level * (rng.random(ramp.shape) - 0.5), 0, 255).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(path, format=path.suffix[1:])
    return path


def write(path: Path, *rows: Row, first: str = "# high score: similar\n") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(first)
        csv.writer(file).writerows(rows)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three originals of two sizes with six distorted images each, of two groups; the scores follow the strength."""
    rows: list[Row] = []
    for number, (group, level) in itertools.product(range(3), itertools.product(("fine", "coarse"), (1, 4, 8))):
        size = (64, 48) if number else (96, 64)
        drawn(tmp_path / f"o{number}.png", 0, size)
        name = drawn(tmp_path / f"o{number}-{group}-{level}.png", level * (1 + (group == "coarse")), size).name
        rows.append([f"o{number}.png", name, 5 - level / 2 + number / 10, group])
    return write(tmp_path / "mine.csv", HEADS, *rows)


# ------------------------------------------------------------------------------------------------ scores


def numbers(pairs: int = 300, originals: int = 12) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(7)
    distances = np.round(rng.random(pairs) ** 2, 2)  # some are equal
    judged = np.round(5 - 4 * np.sqrt(distances) + rng.random(pairs), 1)
    return distances, judged, rng.integers(0, originals, pairs)


def test_correlations_are_those_of_scipy_and_of_its_fit() -> None:
    distances, judged, originals = numbers()
    found = scores.correlations(distances, judged, originals)
    assert found["srcc"].value == pytest.approx(stats.spearmanr(-distances, judged).statistic, abs=1e-12)
    assert found["krcc"].value == pytest.approx(stats.kendalltau(-distances, judged).statistic, abs=1e-12)

    def logistic(x: Any, b1: float, b2: float, b3: float, b4: float) -> Any:
        return b2 + (b1 - b2) / (1 + np.exp((x - b3) / np.abs(b4)))

    start = judged.max(), judged.min(), distances.mean(), distances.std() / 4
    fitted = logistic(distances, *optimize.curve_fit(logistic, distances, judged, start, maxfev=10**5)[0])
    assert found["plcc"].value == pytest.approx(stats.pearsonr(fitted, judged).statistic, abs=1e-5)
    for estimate in found.values():
        assert estimate.low < estimate.value < estimate.high
        assert estimate.count == 300


def test_a_rank_correlation_by_hand() -> None:
    # ranks of closeness 4 3 2 1, of scores 4 2 3 1: squares of differences 0 1 1 0, so 1 - 6 * 2 / (4 * 15) = 0.8;
    # of six pairs five are in order: (5 - 1) / 6
    found = scores.correlations([1, 2, 3, 4], [9, 5, 6, 1], [0, 0, 0, 0])
    assert [found["srcc"].value, found["krcc"].value] == pytest.approx([0.8, 4 / 6])
    assert math.isnan(found["srcc"].standard_error)  # one original says nothing about others
    assert scores.concordance([1, 2, 3, 4], [9, 5, 6, 1]) == pytest.approx(5 / 6)
    assert scores.concordance([1, 1], [9, 5]) == 0.5
    assert math.isnan(scores.concordance([1, 2], [5, 5]))


def test_the_bootstrap_draws_originals_with_all_of_their_pairs() -> None:
    distances, judged, originals = numbers(60, 6)
    found = scores.correlations(distances, judged, originals)
    samples = []
    for counts in scores._resampled_counts(6):
        rows = np.concatenate([np.flatnonzero(originals == o) for o in np.repeat(np.arange(6), counts.astype(int))])
        samples.append(stats.spearmanr(-distances[rows], judged[rows]).statistic)
    assert found["srcc"].standard_error == pytest.approx(np.std(samples, ddof=1))
    assert [found["srcc"].low, found["srcc"].high] == pytest.approx(np.percentile(samples, [2.5, 97.5]))
    shuffled = np.random.default_rng(0).permutation(60)
    again = scores.correlations(distances[shuffled], judged[shuffled], originals[shuffled])
    assert again["krcc"].low == found["krcc"].low


def test_the_error_of_a_mean_counts_originals() -> None:
    values = [1.0, 1.0, 0.0, 0.0, 0.5, 0.5]
    alone, paired = scores.mean_score(values), scores.mean_score(values, [0, 0, 1, 1, 2, 2])
    # deviations of three originals 1, -1, 0: sum of squares 2, times 3 / 2, root, over 6
    assert paired.standard_error == pytest.approx(math.sqrt(3) / 6)
    assert alone.standard_error == pytest.approx(np.std(values, ddof=1) / math.sqrt(6))


def test_the_log_likelihood_of_choices() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random((2, 4000))
    chosen = (rng.random(4000) < 1 / (1 + np.exp(-3 * (first - second)))).astype(float)
    found = scores.log_likelihood(first, second, chosen)
    likely = 1 / (1 + np.exp(-3 * (first - second)))
    assert found.mean() == pytest.approx(np.log(np.where(chosen == 1, likely, 1 - likely)).mean(), abs=2e-3)
    assert scores.log_likelihood(1e6 * first, 1e6 * second, chosen) == pytest.approx(found, rel=1e-3)
    assert scores.log_likelihood([1, 1], [1, 1], [0, 0.4]) == pytest.approx([-math.log(2)] * 2)
    assert scores.log_likelihood(second, first, chosen).mean() == pytest.approx(-math.log(2), abs=1e-3)


# --------------------------------------------------------------------------------------------- measuring

LARGE = variants([named(name) for name in metrics.DEFAULT_METRICS[1:]], ["alexnet"], NORMALIZATIONS)


def test_a_large_stack_measures_its_original_once_and_gives_what_its_pairs_give(
    alexnet: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, 6, 288, 320, 3), dtype=np.uint8)
    pixel = Variant(metric=named("pixel"), network=None, normalization=None)
    seen: list[int] = []
    run = Extractor.run

    def counted(self: Extractor, batch: Any, visit: Any) -> None:
        seen.append(len(batch))
        run(self, batch, visit)

    monkeypatch.setattr(Extractor, "run", counted)
    found = Engine(alexnet).measure_stack(images, [*LARGE, pixel])
    assert (sum(seen), max(seen)) == (6, 2)  # a batch of two large ones is as many pixels as memory is made for
    original, *others = map(make_image, images[0])
    triples = [Triple(original=original, distorted=other, references={}) for other in others]
    for column, outcomes in enumerate(Engine(alexnet).measure(triples, [*LARGE, pixel])):
        for variant, outcome in outcomes.items():
            distances = found[variant]
            assert isinstance(outcome, CaseDistances)
            assert not isinstance(distances, DpsError)
            assert distances.shape == (1, 5)
            assert distances[0, column] == pytest.approx(outcome.distorted, rel=2e-5)


def test_a_study_has_images_of_several_sizes_and_each_original_once(study: Path) -> None:
    dataset = layouts.read(str(study))
    (shard,) = dataset.shards
    content = shard.read()
    assert [stack.shape for stack in content.stacks] == [(1, 7, 64, 96, 3), (2, 7, 48, 64, 3)]
    assert shard.image_count == 21
    assert shard.read_judgments() == content
    assert dataset.shapes == {(64, 96), (48, 64)}
    smaller = layouts.read(str(study), size=24)
    assert [stack.shape[2:4] for stack in smaller.shards[0].read().stacks] == [(24, 36), (24, 32)]
    assert smaller.preprocessing != dataset.preprocessing


def test_an_image_in_several_choices_is_read_once_and_found_in_each(tmp_path: Path) -> None:
    for number, name in enumerate(("o", "p", "q", "r")):
        drawn(tmp_path / f"{name}.png", 3 * number)
    rows = [["o.png", "p.png", "q.png", 1], ["o.png", "q.png", "p.png", 0], ["o.png", "r.png", "p.png", 0.5]]
    dataset = layouts.read(str(write(tmp_path / "c.csv", ["original", "a", "b", "chose_b"], *rows, first="")))
    distances = agreement.DatasetDistances([PIXEL], dataset, lambda _: Engine())
    everything = agreement.subsets_of(dataset)[0]
    assert str(everything) == "c/2afc/all"
    judgments, found = distances.look_up(everything, PIXEL)
    assert judgments.tolist() == [1, 0, 0.5]
    assert dataset.shards[0].read().stacks[0].shape[:2] == (1, 4)
    assert found[0].tolist() == found[1][::-1].tolist()
    assert found[2].tolist() == [pytest.approx(found[2, 0]), found[0, 0]]
    assert found[2, 0] > found[0, 1] > found[0, 0] > 0


PIXEL = Variant(metric=named("pixel"), network=None, normalization=None)


# ------------------------------------------------------------------------------------------------- files


def test_choices_are_fractions_or_votes(tmp_path: Path) -> None:
    for name in ("o", "p", "q"):
        drawn(tmp_path / f"{name}.png", len(name))
    heads: Row = ["original", "a", "b", "chose_b", "count"]
    votes = write(tmp_path / "v.csv", heads, ["o.png", "p.png", "q.png", 3, 4], ["o.png", "q.png", "p.png", 1, 4])
    assert sorted(row.judgment for row in layouts.read(str(votes)).shards[0].rows) == [0.25, 0.75]


def test_a_file_of_pyiqa_and_a_name_of_a_published_set(study: Path, tmp_path: Path) -> None:
    text = study.read_text(encoding="utf-8").replace("original,distorted,score,group", "ref_name,dist_name,mos,group")
    other = tmp_path / "elsewhere" / "KADID10k.csv"
    other.parent.mkdir()
    text = text.replace("similar", "different")
    other.write_bytes(b"\xef\xbb\xbf# originals: ..\r\n# distorted: ..\r\n" + text.replace("\n", "\r\n").encode())
    dataset = layouts.read(str(other))
    assert dataset.name == "KADID10k.csv"  # which a study of one's own is never called
    ours = layouts.read(str(study)).shards[0].rows
    assert [-row.judgment for row in dataset.shards[0].rows] == [row.judgment for row in ours]  # type: ignore[operator]


def test_names_are_found_with_backslashes_and_in_another_case(tmp_path: Path) -> None:
    drawn(tmp_path / "Sub" / "Ö.PNG".replace("PNG", "png"))
    (tmp_path / "Sub" / "Ö.png").rename(tmp_path / "Sub" / "O\u0308.png")
    drawn(tmp_path / "p.png", 3)
    drawn(tmp_path / "q.png", 5)
    rows = [["Sub\\ö.PNG", "p.png", 1, ""], ["Sub/Ö.png", "q.png", 2, ""]]
    (shard,) = layouts.read(str(write(tmp_path / "n.csv", HEADS, *rows))).shards
    assert {row.original for row in shard.rows} == {str(tmp_path / "Sub" / "O\u0308.png")}


GOOD = "# high score: similar\noriginal,distorted,score\no.png,p.png,1\no.png,q.png,2\n"

CHOICES = "original,a,b,chose_b\no.png,p.png,q.png,{}\no.png,q.png,p.png,0\n"

WRONG: dict[str, tuple[str | bytes, str]] = {
    "nothing": ("", "s.csv: no rows."),
    "no direction": (
        GOOD.partition("\n")[2],
        "what does a high score mean? Begin the file with the line",
    ),
    "two directions": ("# high score: different\n" + GOOD, "high score: similar, but different above; keep one line."),
    "odd direction": (GOOD.replace("similar", "good"), "or '# high score: different'; found 'good'."),
    "semicolons": (GOOD.replace(",", ";"), "s.csv: the columns are separated by ';'; save it with commas."),
    "Latin-1": (GOOD.replace("p.png", "ü.png").encode("latin-1"), "s.csv:3: not UTF-8; save it in this encoding."),
    "no such column": (
        GOOD.replace("score\n", "quality\n"),
        "the columns are original, distorted, quality; ",
    ),
    "a column twice": (GOOD.replace("distorted", "score"), "s.csv: 2 columns mean score: score, score; keep one."),
    "a short row": (GOOD + "o.png,p.png\n", "s.csv:5: 2 cells in a table of 3 columns."),
    "nan": (GOOD.replace("png,2", "png,nan"), "s.csv:4: score 'nan' is not a finite number."),
    "a row twice": (GOOD + "o.png,p.png,3\n", "s.csv: 2 rows with the same images as another row; merge them: "),
    "equal scores": (GOOD.replace("png,2", "png,1"), "s.csv: 2 rows; at least two with different scores are needed."),
    "missing": (GOOD + "".join(f"o.png,{i}.png,3\n" for i in range(5)), "s.csv: 5 image files missing: "),
    "another size": (GOOD + "o.png,small.png,3\n", "s.csv: 1 image with another size than the original: "),
    "no image": (GOOD + "o.png,s.csv,3\n", "s.csv: 1 image file not readable: "),
    "a fraction above 1": (CHOICES.format(1.5), "1 row with a judgment outside [0, 1]: "),
    "half a vote": (
        CHOICES.format("0.5,3").replace("chose_b", "chose_b,count").replace("png,0\n", "png,0,3\n"),
        "s.csv:2: chose_b 0.5 of count 3; with a column count, chose_b must be a number of votes, an integer",
    ),
    "a group like a split": (
        GOOD.replace("score\n", "score,group,split\n").replace(",1\n", ",1,test,test\n").replace(",2\n", ",2,,test\n"),
        "the group 'test' is also a split or the name of all rows; rename it.",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_one_line(tmp_path: Path, wrong: str) -> None:
    text, message = WRONG[wrong]
    for level, name in enumerate(("o", "p", "q")):
        drawn(tmp_path / f"{name}.png", level)
    drawn(tmp_path / "small.png", 2, (32, 32))
    (tmp_path / "s.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(JudgmentsError) as caught:
        layouts.read(str(tmp_path / "s.csv"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# ----------------------------------------------------------------------------------------------- layouts


def pairs(folder: Path, original: str, distorted: list[str]) -> Iterator[tuple[str, float]]:
    """Draw an original and distorted images, and yield the names of these with made-up scores."""
    drawn(folder / original)
    for level, name in enumerate(distorted, 1):
        drawn(folder / name, level)
        yield Path(name).name, round(1 + 0.5 * level, 2)


def kadid(folder: Path) -> None:
    found = list(pairs(folder / "images", "I01.png", [f"I01_{t}_0{i}.png" for t in ("01", "02") for i in (1, 2)]))
    write(
        folder / "dmos.csv",
        ["dist_img", "ref_img", "dmos", "var"],
        *[[n, "I01.png", s, 0.5] for n, s in found],
        first="",
    )


def tid(folder: Path) -> None:
    found = pairs(folder / "distorted_images", "../reference_images/I01.BMP", [f"i01_0{t}_1.bmp" for t in (1, 2, 3)])
    (folder / "mos_with_names.txt").write_text("".join(f"{score} {name.upper()}\r\n" for name, score in found))


def csiq(folder: Path) -> None:
    found = pairs(folder / "dst_imgs", "../src_imgs/1600.png", ["awgn/1600.AWGN.1.png", "blur/1600.BLUR.1.png"])
    (folder / "csiq_label.txt").write_text("".join(f"{name}\t{score / 10}\n" for name, score in found))


def live(folder: Path) -> None:
    drawn(folder / "refimgs" / "sailing1.bmp")
    names = [f"{place}/img{i}.bmp" for place, count in layouts.LIVE_FOLDERS.items() for i in range(1, count + 1)]
    is_original = np.array([name not in ("jp2k/img3.bmp", "wn/img174.bmp") for name in names])
    for level, name in enumerate(np.array(names)[~is_original], 1):
        drawn(folder / name, level)
    references = np.array(["sailing1.bmp"] * len(names), dtype=object)[None]
    dmos = np.linspace(0, 80, len(names))[None]
    scipy.io.savemat(folder / "dmos.mat", {"dmos": dmos, "orgs": is_original[None].astype(np.uint8)})
    scipy.io.savemat(folder / "refnames_all.mat", {"refnames_all": references})


def pipal(folder: Path) -> None:
    found = pairs(
        folder / "Distortion_1", "../Train_Ref/A0001.bmp", ["A0001_00_00.bmp", "../Distortion_2/A0001_06_01.bmp"]
    )
    (folder / "Train_Label").mkdir()
    (folder / "Train_Label" / "A0001.txt").write_text("".join(f"{name},{1400 + score}\n" for name, score in found))


def nights(folder: Path) -> None:
    heads: Row = ["id", "left_vote", "right_vote", "votes", "ref_path", "left_path", "right_path", "split"]
    rows: list[Row] = []
    for i, votes in enumerate((8, 6, 5)):
        names = [f"ref/000/{i}.png", f"distort/000/{i}_0.png", f"distort/000/{i}_1.png"]
        for level, name in enumerate(names):
            drawn(folder / name, 3 * level)
        rows.append([i, 1 - i % 2, i % 2, votes, *names, "test" if i else "train"])
    write(folder / "data.csv", heads, *rows, first="")


DRAWN: dict[str, tuple[Callable[[Path], None], int, tuple[float, float], set[str]]] = {
    "kadid10k": (kadid, 4, (1.5, 3.0), {"01", "02"}),
    "tid2013": (tid, 3, (1.5, 2.5), {"01", "02", "03"}),
    "csiq": (csiq, 2, (-0.2, -0.15), {"awgn", "blur"}),
    "live": (live, 2, (-80 * 633 / 981, -80 * 2 / 981), {"jp2k", "wn"}),
    "pipal": (pipal, 2, (1401.5, 1402), {"00", "06"}),
    "nights": (nights, 2, (0, 1), {""}),
}
"""For each layout: how to draw one, how many judgments it has, the least and the most similar, and the groups."""


@pytest.mark.parametrize("name", DRAWN)
def test_a_layout_is_recognized_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    draw, count, judged, groups = DRAWN[name]
    draw(tmp_path)
    dataset = layouts.read(str(tmp_path))
    rows = [row for shard in dataset.shards for row in shard.rows]
    assert (dataset.name, len(rows), dataset.judges) == (f"{name}-layout", count, "judges")
    assert (min(r.judgment for r in rows), max(r.judgment for r in rows)) == pytest.approx(judged)
    assert {row.group for row in rows} == groups
    (layout,) = (each for each in layouts.LAYOUTS if each.name == name)
    assert dataset.about == f"{count} judgments in the layout of {layout.title}, which has {layout.count:,}"
    assert all(np.isfinite(stack).all() for shard in dataset.shards for stack in shard.read().stacks)
    monkeypatch.setattr(layouts, "LAYOUTS", [dataclasses.replace(layout, count=count)])
    whole = layouts.read(str(tmp_path))
    assert (whole.name, whole.judges, whole.title) == (name, "human", f"Agreement with people, on {layout.title}")


@pytest.mark.parametrize(
    ("name", "file", "text", "message"),
    [
        ("kadid10k", "dmos.csv", "a,b\n1,2\n", "dmos.csv:2: 1, 2: not an image and its score in this layout."),
        ("tid2013", "mos_with_names.txt", "1.5\n", "mos_with_names.txt:1: 1 cells in a table of 2 columns."),
        (
            "tid2013",
            "mos_with_names.txt",
            "9.5 I01_01_1.bmp\n1 I01_02_1.bmp\n",
            "1 row with a judgment outside [0, 9]: ",
        ),
        ("live", "dmos.mat", "text", "dmos.mat: not LIVE's scores (MatReadError: "),
        ("csiq", "csiq_label.txt", None, "csiq_label.txt: missing; see docs/judgments.md."),
    ],
)
def test_a_damaged_layout_is_one_line(tmp_path: Path, name: str, file: str, text: str | None, message: str) -> None:
    DRAWN[name][0](tmp_path)
    (tmp_path / file).unlink() if text is None else (tmp_path / file).write_text(text, encoding="utf-8")
    with pytest.raises(JudgmentsError) as caught:
        layouts.read(str(tmp_path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_nothing_that_is_known_names_what_is(tmp_path: Path) -> None:
    with pytest.raises(JudgmentsError, match=r"not a known data set\. KADID-10k \(Lin .*\) has dmos\.csv; TID"):
        layouts.read(str(tmp_path))
    with pytest.raises(JudgmentsError, match=r"none\.csv: no such file\."):
        layouts.read(str(tmp_path / "none.csv"))


def test_describing_says_what_is_there(study: Path) -> None:
    done = CliRunner().invoke(main, ["judgments", "describe", str(study)])
    assert done.exit_code == 0
    assert done.output.splitlines()[1:] == [
        "  mos/all: 18", "  group coarse: 9", "  group fine: 9", "  judgments: 1 to 4.7, higher is more similar",
        "  originals: 3", "  images: 64 x 48, 96 x 64",
    ]  # fmt: skip
    (study.parent / "o1.png").unlink()
    done = CliRunner().invoke(main, ["judgments", "describe", str(study)])
    assert (done.exit_code, done.output) == (
        4,
        f"Error: {study}: 1 image file missing: {study.parent / 'o1.png'}.\n",
    )


# --------------------------------------------------------------------------------------------- the suite


def test_a_study_is_scored_by_group_and_held_to_floors(suite: Suite, study: Path) -> None:
    asked = [f"--judgments={study}", "--metric=pixel", f"--store={study.parent / 'store'}"]
    done = suite(*asked, "--require=mine/srcc>=0.5,mine/srcc/fine>=0.5,mine/plcc<=1", paths=PATHS)
    assert done.code == 4
    assert "more is better; write mine/plcc>=1." in done.errors[0]
    done = suite(*asked, "--require=mine/srcc>=0.5,srcc/fine>=0.5,mine/krcc>=0.99", paths=PATHS)
    rows = {(row["kind"], row["subset"]): row for row in done.results["scores"]}
    assert set(rows) == set(itertools.product(("srcc", "krcc", "plcc"), ("all", "coarse", "fine")))
    everything = rows["srcc", "all"]
    assert everything["low"] <= everything["score"] <= everything["high"]
    assert (everything["dataset"], everything["count"], rows["srcc", "fine"]["count"]) == ("mine", 18, 9)
    assert (done.code, done.outcomes) == (1, {"passed": 3})
    assert "required mine/krcc>=0.99: pixel has 0." in done.text
    assert "Scores on the study mine" in done.text
    assert done.results["run"]["datasets"][0]["name"] == "mine"
    text = suite(*asked, "--judgments=synthetic", paths=(str(SUITES / "test_bapps.py"),)).text  # its earlier name
    assert text.index("Scores on the study mine") < text.index(
        "Scores on synthetic data, which do not measure agreement"
    )


def predictions(path: Path, rows: Any, column: str = "distorted", meaning: str = "different") -> Path:
    return write(path, [column, "prediction"], *rows, first=f"# high prediction: {meaning}\n")


def test_predictions_stand_beside_metrics_and_are_compared_on_the_same_images(suite: Suite, study: Path) -> None:
    rows = [row for shard in layouts.read(str(study)).shards for row in shard.rows]
    perfect = [[Path(row.compared[0]).name.upper(), row.judgment] for row in rows]
    path = predictions(study.parent / "perfect.csv", perfect, "image", "similar")
    inverted = predictions(study.parent / "inverted.csv", perfect)
    asked = [f"--judgments={study}", f"--predictions={path}", f"--predictions={inverted}", "--metric=pixel"]
    Path("mine.py").write_text("def far(a, b):\n    return (a - b).abs().mean((1, 2, 3))\n", encoding="utf-8")
    done = suite(*asked, "--against=pixel", "--metric=mine.py:far", f"--store={study.parent / 'store'}", paths=PATHS)
    values = {(row["metric"], row["kind"], row["subset"]): row["score"] for row in done.results["scores"]}
    assert values["perfect", "srcc", "all"] == pytest.approx(1)
    assert values["inverted", "srcc", "all"] == pytest.approx(-1)
    lines = [line.strip() for line in done.results["run"]["gate_outcome"]["lines"]]
    # of the 15 pairs of distorted images of each of three originals, which are too few to tell
    (line,) = (line for line in lines if line.startswith("mine/mos/all: perfect against pixel: "))
    assert line.startswith(f"mine/mos/all: perfect against pixel: {Conclusion.CANNOT_TELL} (+")
    assert line.endswith(" points on 3 originals)")


def test_predictions_with_their_own_scores_need_no_images(suite: Suite, tmp_path: Path) -> None:
    rows = [[f"i{number}.bmp", 5 - number, number**2, f"o{number % 3}"] for number in range(6)]
    heads: Row = ["image", "score", "prediction", "original"]
    first = "# high score: similar\n# high prediction: different\n"
    path = write(tmp_path / "published.csv", heads, *rows, first=first)
    done = suite(f"--predictions={path}", "--metric=pixel", "--require=published/srcc>=1", paths=PATHS)
    assert (done.code, done.outcomes) == (0, {"passed": 1})
    assert {row["metric"] for row in done.results["scores"]} == {"published"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("distorted,prediction\nx.png,1\n", "what does a high prediction mean? Begin the file with"),
        ("# high prediction: similar\ndistorted\nx.png\n", "predictions need distorted and prediction, with"),
        ("# high prediction: similar\nimage,prediction\nx.png,1\nX.png,2\n", "X.png has more than one prediction."),
        ("# high prediction: similar\nimage,prediction\no0-fine-1.png,1\n", "no prediction for 17 of 18 images: "),
        (
            "# high prediction: similar\nimage,prediction\no0-fine-1.png,inf\n",
            "'inf' is not a finite number.",
        ),
    ],
)
def test_wrong_predictions_are_one_line(study: Path, text: str, message: str) -> None:
    path = study.parent / "p.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(JudgmentsError) as caught:
        layouts.read(str(study), predictions=[tables.predictions(path)])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)

"""Agreement of each variant with the judgments of people or of a stand-in, as in the paper's Table 2."""

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dps import agreement
from dps.judgments.dataset import ALL
from dps.report import published, tables
from dps.report.published import DATASET
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, finite, variant_key

SUBSETS = ("traditional", "cnn", "distortions", "superres", "deblur", "color", "frameinterp", "real")
ORDER = (
    *(f"2afc/{subset}" for subset in SUBSETS),
    *(f"jnd/{subset}" for subset in SUBSETS[:2]),
    *(f"{agreement.RANK_FLIPS}/{size}{unit}" for unit in ("px", "deg") for size in (1, 2, 3)),
)
"""Order of the paper's scores; others, with means over subsets and pooled pairs, follow by name."""

KINDS = ("2afc", "log_likelihood", "jnd", "srcc", "krcc", "plcc", agreement.RANK_FLIPS)
"""Order of the kinds of scores."""

PERCENT = ("2afc", "jnd", agreement.RANK_FLIPS)
"""Kinds of scores in percent with their standard error; others have an interval."""

SECONDARY = tuple(kind for kinds in agreement.SCORES.values() for kind in kinds[1:])
"""Kinds of scores that are shown for all subsets together only."""

JUDGES = ("human", "judges")
"""Names of the judges in place of a metric: people, or a stand-in for them."""


def by_dataset(rows: Iterable[Row], run: Mapping[str, Any]) -> Iterator[tuple[list[Row], Mapping[str, str]]]:
    """Yield the scores of each data set, and its description in ``run`` of results.json."""
    about = {dataset["name"]: dataset for dataset in run.get("datasets") or [run.get("dataset")] if dataset}
    by_name = operator.itemgetter("dataset")
    for name, scores in itertools.groupby(sorted(rows, key=by_name), by_name):
        yield list(scores), about.get(name, {"name": name, "about": ""})


def table(rows: Sequence[Row], dataset: Mapping[str, str]) -> Table:
    """Return the table of the scores of a data set, for BAPPS with the paper's numbers."""
    rows = [row for row in rows if row["kind"] not in SECONDARY or row["subset"] == ALL]
    scores = {(variant_key(row), _head(score_name(row))): row for row in rows}
    names = sorted({score_name(row) for row in rows}, key=_position)
    variants = sorted(tables.sort_variants(key for key, _ in scores), key=lambda key: key.metric not in JUDGES)
    is_bapps = all(row["dataset"] == DATASET for row in rows)

    def published_cell(variant: VariantKey, head: str) -> str:
        row = scores.get((variant, head))
        return published.cell(variant, score_name(row)) if is_bapps and row else ""

    return tables.build(
        dataset.get("title") or f"Scores on {dataset['name']} data",
        variants,
        [_head(name) for name in names],
        lambda *key: _cell(scores.get(key)),
        published_cell,
        _note(rows, dataset),
    )


def score_name(row: Row) -> str:
    """Return the name of a score, such as ``2afc/cnn``."""
    return f"{row['kind']}/{row['subset']}"


def _head(name: str) -> str:
    kind, _, subset = name.partition("/")
    return kind if kind not in PERCENT and subset == ALL else name.removeprefix("2afc/")


def _position(name: str) -> tuple[object, ...]:
    kind, _, subset = name.partition("/")
    return kind not in PERCENT and subset != ALL, tables.position(kind, KINDS), tables.position(name, ORDER), name


def _cell(row: Row | None) -> Cell:
    if row is None:
        return Cell()
    if row["score"] is None:
        return Cell("not measured", shade="unmeasured")
    if row["kind"] not in PERCENT:
        low, high = row.get("low"), row.get("high")
        return Cell(f"{row['score']:.3f}", "" if low is None else f"{low:.3f}..{high:.3f}", row["score"])
    error = finite(row["standard_error"])
    return Cell(f"{100 * row['score']:.1f}", "" if error is None else f"±{100 * error:.1f}", row["score"])


NOTES = {
    agreement.RANK_FLIPS: (
        "rank_flips: the share of triplets whose 2AFC answer changes when the compared images are shifted by that many "
        "pixels or rotated by that many degrees, the unweighted mean over subsets; here lower is better. "
        "arXiv:2207.13686 published 9.3 for AlexNet and 4.2 for VGG at 1px: on BAPPS, for LPIPS with retrained heads, "
        "and with windows cut out of the images, while here the outermost pixels are repeated. "
    ),
    "srcc": (
        "srcc, krcc, plcc: Spearman's and Kendall's (tau-b) correlation with people's scores, and Pearson's after the "
        "four-parameter logistic of VQEG; with 95 % bootstrap intervals over originals; higher is better. "
    ),
    "log_likelihood": (
        "log_likelihood: of a person's choice under a logistic function of the difference of distances, in nats, at "
        "most 0; -0.693 is chance. "
    ),
}
"""Descriptions of kinds of scores."""


def _note(rows: Sequence[Row], about: Mapping[str, str]) -> str:
    kinds = {row["kind"] for row in rows}
    text = "percent ± standard error; higher is better. " if kinds & set(PERCENT) else ""
    text += "".join(note for kind, note in NOTES.items() if kind in kinds)
    if "2afc" not in kinds and "jnd" not in kinds:
        return f"{text}{about['name']}: {about['about']}."
    text += "2AFC: "
    if about["name"] != DATASET:
        return text + (
            "how many of the judges chose the image that the metric finds closer; all: the unweighted mean; jnd: "
            f"average precision; judges: how often two of them agree. {about['name']}: {about['about']}."
        )
    return text + (
        "how many people chose the image that the metric finds closer; distortions, real, all: unweighted means over "
        "subsets; jnd: average precision; human: how often two people agree, computed from the judgments. paper: "
        f"published in {published.source()}, not measured here."
    )

"""How well each variant agrees with people or with what stands in for them, as in the paper's Table 2."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dps import agreement
from dps.judgments.dataset import ALL
from dps.report import published, tables
from dps.report.published import DATASET
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, finite, variant_key

ORDER = (
    "2afc/traditional",
    "2afc/cnn",
    "2afc/distortions",
    "2afc/superres",
    "2afc/deblur",
    "2afc/color",
    "2afc/frameinterp",
    "2afc/real",
    "2afc/all",
    "jnd/traditional",
    "jnd/cnn",
    "jnd/pooled",
    *(f"{agreement.RANK_FLIPS}/{far}{unit}" for unit in ("px", "deg") for far in (1, 2, 3)),
)
"""The paper's; what another data set has follows by name, means over subsets and pooled pairs last."""

AGGREGATES = ("2afc/all", "jnd/pooled")

KINDS = ("2afc", "log_likelihood", "jnd", "srcc", "krcc", "plcc", agreement.RANK_FLIPS)
"""Kinds of scores in the order in which they stand."""

PERCENT = ("2afc", "jnd", agreement.RANK_FLIPS)
"""Kinds of scores that are shown in percent with their standard error; others are with their interval."""

MINOR = tuple(kind for kinds in agreement.SCORES.values() for kind in kinds[1:])
"""Kinds of scores that are shown of all together alone."""


def by_dataset(rows: Iterable[Row], run: Mapping[str, Any]) -> Iterator[tuple[list[Row], Mapping[str, str]]]:
    """Yield the scores of each data set, and what ``run`` of results.json says about it."""
    about = {each["name"]: each for each in run.get("datasets") or [run.get("dataset")] if each}
    for name, same in itertools.groupby(sorted(rows, key=lambda row: str(row["dataset"])), lambda row: row["dataset"]):
        yield list(same), about.get(name, {"name": name, "about": ""})


def table(rows: Sequence[Row], dataset: Mapping[str, str]) -> Table:
    """Return the typed table of the scores of a data set, as ``run`` of results.json has it.

    The paper's numbers stand right of ours where people were asked, and nowhere else.
    """
    rows = [row for row in rows if row["kind"] not in MINOR or row["subset"] == ALL]
    scores = {(variant_key(row), _head(score_name(row))): row for row in rows}
    names = sorted({score_name(row) for row in rows}, key=_position)
    variants = sorted(tables.sort_variants(key for key, _ in scores), key=lambda key: key.metric not in JUDGES)
    people = all(row["dataset"] == DATASET for row in rows)

    def published_cell(variant: VariantKey, head: str) -> str:
        row = scores.get((variant, head))
        return published.cell(variant, score_name(row)) if people and row else ""

    return tables.build(
        dataset.get("title") or f"Scores on {dataset['name']} data",
        variants,
        [_head(name) for name in names],
        lambda *key: _cell(scores.get(key)),
        published_cell,
        _note(rows, dataset),
    )


def score_name(row: Row) -> str:
    """Return what a score is of, such as ``2afc/cnn``."""
    return f"{row['kind']}/{row['subset']}"


JUDGES = ("human", "judges")
"""What those who judged are called in the place of a metric: people, or what only stands in for them."""


def _head(name: str) -> str:
    kind, _, subset = name.partition("/")
    return kind if kind not in PERCENT and subset == ALL else name.removeprefix("2afc/")


def _position(name: str) -> tuple[object, ...]:
    kind, _, subset = name.partition("/")
    place = kind not in PERCENT and subset != ALL, tables.position(kind, KINDS)
    return *place, tables.position(name, ORDER) if name not in AGGREGATES else len(ORDER), name


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


FLIPS = (
    "rank_flips: the share of triplets whose 2AFC answer changes when the compared images are shifted by that many "
    "pixels or rotated by that many degrees, the unweighted mean over subsets; here lower is better. arXiv:2207.13686 "
    "published 9.3 for AlexNet and 4.2 for VGG at 1px: on BAPPS, for LPIPS with retrained heads, and with windows cut "
    "out of the images, while here the outermost pixels are repeated. "
)


CORRELATIONS = (
    "srcc, krcc, plcc: Spearman's and Kendall's (tau-b) correlation with people's scores, and Pearson's after the "
    "four-parameter logistic of VQEG; with 95 % bootstrap intervals over originals; higher is better. "
)

LIKELIHOOD = (
    "log_likelihood: of a person's choice under a logistic function of the difference of distances, in nats, at "
    "most 0; -0.693 is chance. "
)


def _note(rows: Sequence[Row], about: Mapping[str, str]) -> str:
    kinds = {row["kind"] for row in rows}
    text = "percent ± standard error; higher is better. " if kinds & set(PERCENT) else ""
    text += FLIPS if agreement.RANK_FLIPS in kinds else ""
    text += CORRELATIONS if "srcc" in kinds else ""
    text += LIKELIHOOD if "log_likelihood" in kinds else ""
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

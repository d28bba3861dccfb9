"""How well each variant agrees with people or with what stands in for them, as in the paper's Table 2."""

from collections.abc import Iterable, Mapping, Sequence

from dps import agreement
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


def table(rows: Sequence[Row], dataset: Mapping[str, str]) -> Table:
    """Return the typed table of the scores of a data set, as ``run`` of results.json has it.

    The paper's numbers stand right of ours where people were asked, and nowhere else.
    """
    scores = {(variant_key(row), score_name(row).removeprefix("2afc/")): row for row in rows}
    names = sorted({score_name(row) for row in rows}, key=_position)
    variants = sorted(tables.in_order(key for key, _ in scores), key=lambda key: key.metric not in JUDGES)
    people = all(row["dataset"] == DATASET for row in rows)

    def published_cell(variant: VariantKey, head: str) -> str:
        row = scores.get((variant, head))
        return published.cell(variant, score_name(row)) if people and row else ""

    return tables.build(
        "Agreement with people, on BAPPS"
        if people
        else f"Scores on {dataset['name']} data, which say nothing about agreement with people",
        variants,
        [name.removeprefix("2afc/") for name in names],
        lambda *key: _cell(scores.get(key)),
        published_cell,
        _note(rows, dataset),
    )


def score_name(row: Row) -> str:
    """Return what a score is of, such as ``2afc/cnn``."""
    return f"{row['kind']}/{row['subset']}"


JUDGES = ("human", "judges")
"""What those who judged are called in the place of a metric: people, or what only stands in for them."""


def _position(name: str) -> tuple[object, ...]:
    return name.partition("/")[0], tables.position(name, ORDER) if name not in AGGREGATES else len(ORDER), name


def _cell(row: Row | None) -> Cell:
    if row is None:
        return Cell()
    if row["score"] is None:
        return Cell("not measured", shade="unmeasured")
    error = finite(row["standard_error"])
    return Cell(f"{100 * row['score']:.1f}", "" if error is None else f"±{100 * error:.1f}", row["score"])


FLIPS = (
    "rank_flips: the share of triplets whose 2AFC answer changes when the compared images are shifted by that many "
    "pixels or rotated by that many degrees, the unweighted mean over subsets; here lower is better. arXiv:2207.13686 "
    "published 9.3 for AlexNet and 4.2 for VGG at 1px: on BAPPS, for LPIPS with retrained heads, and with windows cut "
    "out of the images, while here the outermost pixels are repeated. "
)


def _note(rows: Iterable[Row], about: Mapping[str, str]) -> str:
    text = "percent ± standard error; higher is better. "
    text += FLIPS if any(row["kind"] == agreement.RANK_FLIPS for row in rows) else ""
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

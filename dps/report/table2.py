"""Table 2: how well each variant agrees with those who judged, in the form of the paper's Table 2."""

from collections.abc import Iterable, Sequence

from dps import agreement
from dps.report import tables
from dps.report.published import Table2 as Paper
from dps.report.results import Row
from dps.report.tables import Column, Key, wrapped

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


def as_text(rows: Sequence[Row], paper: Paper, about: Row, width: int) -> list[str]:
    """The table for a terminal, and what its numbers are."""
    return [*tables.as_text(*laid_out(rows, paper), width), *wrapped(note(rows, paper, about), width)]


def as_markdown(rows: Sequence[Row], paper: Paper, about: Row) -> list[str]:
    """The same for a pull request."""
    return [*tables.as_markdown(*laid_out(rows, paper)), "", tables.escaped(note(rows, paper, about))]


def laid_out(rows: Sequence[Row], paper: Paper) -> tuple[tuple[Key, ...], list[Column]]:
    """Variants and columns of the table."""
    return _keys(rows), _columns(rows, paper)


def name_of(row: Row) -> str:
    """What a score is of, such as ``2afc/cnn``."""
    return f"{row['kind']}/{row['subset']}"


def key_of(row: Row) -> Key:
    """A row's variant."""
    return row["metric"], row["network"], row["normalization"]


def _keys(rows: Iterable[Row]) -> tuple[Key, ...]:
    """Those who judged first, then the variants in the paper's order."""
    keys = tables.in_order(key_of(row) for row in rows)
    return tuple(sorted(keys, key=lambda key: key[0] not in JUDGES))


JUDGES = ("human", "judges")
"""What those who judged are called in the place of a metric: people, or what only stands in for them."""


def _columns(rows: Sequence[Row], paper: Paper) -> list[Column]:
    """A column for each subset; the paper's beside it where people were asked, and nowhere else."""
    scores = {(key_of(row), name_of(row)): row for row in rows}
    names = sorted({name for _, name in scores}, key=_place)
    keys = _keys(rows)
    comparable = all(row["dataset"] == paper.dataset for row in rows)
    return [
        Column(
            head=name.removeprefix("2afc/"),
            cells=tuple(_cell(scores.get((key, name))) for key in keys),
            beside=tuple(paper.get(*key, name) if comparable and (key, name) in scores else "" for key in keys),
        )
        for name in names
    ]


def _place(name: str) -> tuple[object, ...]:
    return name.partition("/")[0], tables.place(name, ORDER) if name not in AGGREGATES else len(ORDER), name


def _cell(row: Row | None) -> str:
    if row is None:
        return ""
    if row["score"] is None:
        return "broken"
    error = row["standard_error"]
    return f"{100 * row['score']:.1f}" + ("" if error is None or error != error else f" ±{100 * error:.1f}")


FLIPS = (
    "rank_flips: the share of triplets whose 2AFC answer changes when the compared images are shifted by so many "
    "pixels or rotated by so many degrees, the unweighted mean over subsets; here lower is better. arXiv:2207.13686 "
    "published 9.3 for AlexNet and 4.2 for VGG at 1px: on BAPPS, for LPIPS with retrained heads, and with windows cut "
    "out of the images, while here the outermost pixels are repeated. "
)


def note(rows: Iterable[Row], paper: Paper, about: Row) -> str:
    """What the numbers are."""
    text = "percent ± standard error; higher is better. "
    text += FLIPS if any(row["kind"] == agreement.RANK_FLIPS for row in rows) else ""
    text += "2AFC: "
    if about["name"] != paper.dataset:
        return text + (
            "how many of the judges chose the image that the metric finds closer; all: the unweighted mean; jnd: "
            f"average precision; judges: how often two of them agree. {about['name']}: {about['about']}."
        )
    return text + (
        "how many people chose the image that the metric finds closer; distortions, real, all: unweighted means over "
        "subsets; jnd: average precision; human: how often two people agree, computed from the judgments. paper: "
        f"published in {paper.source}, not measured here."
    )

"""The heat map, pairs of counterparts and the column of sanity checks, by hand."""

import math

from dps.report import heat_map, pairs, pass_fractions, strata
from dps.report.pass_fractions import Count
from dps.report.tables import Cell, Table
from dps.rows import Document, Row, VariantKey
from tests.test_report import rows as made_up_rows

SORT, MEAN = VariantKey("alexnet", "none", "sort"), VariantKey("alexnet", "none", "mean")


def rows(probe: str, metric: str, passed: str) -> list[Row]:
    """Made-up rows of one probe: ``+`` for each case that passes, ``-`` for one that does not, ``?`` not measured."""
    return made_up_rows(probe, passed, metric)


def document(*cases: list[Row], **run: object) -> Document:
    return {
        "run": {"counterparts": {}, "sanity": [], **run},
        "cases": [row for of_probe in cases for row in of_probe],
        "drawn": {},
    }


def test_what_one_probe_rewards_and_the_other_punishes_stands_in_one_cell() -> None:
    of_run = document(
        rows("translate", "sort", "+" * 10), rows("rearrange", "sort", "+" * 9 + "-"),
        rows("translate", "mean", "+" * 10), rows("rearrange", "mean", "+---------"),
        counterparts={"rearrange": ["translate", "not measured"]},
    )  # fmt: skip
    measured = pairs.rows(of_run, pass_fractions.count(of_run["cases"]))
    assert [(row["metric"], row["counterpart_passed"], row["passed"], row["balanced"]) for row in measured] == [
        ("sort", 1.0, 0.9, True),
        ("mean", 1.0, 0.1, False),
    ]
    (table,) = pairs.as_tables(measured)
    assert table.heads == ("translate + rearrange",)
    assert [(row[0].text, row[0].shade) for row in table.cells] == [("100 + 90", "all"), ("100 + 10", "fails")]
    assert pairs.as_sentences(measured) == ["Balanced on translate and rearrange: 1 of 2 variants: sort (none)."]


def test_no_metric_is_balanced_where_a_case_was_not_measured() -> None:
    of_run = document(rows("a", "sort", "++"), rows("b", "sort", "+?"), counterparts={"b": ["a"]})
    (row,) = pairs.rows(of_run, pass_fractions.count(of_run["cases"]))
    assert row["balanced"] is None
    assert pairs.as_tables([row])[0].cells[0][0].shade == "unmeasured"


def test_sanity_checks_share_the_last_column_unless_they_are_all_there_is() -> None:
    of_run = document(
        rows("flip", "sort", "+-"), rows("rotate", "sort", "++"), rows("blur", "sort", "++++"), sanity=["flip", "blur"]
    )
    counts = pass_fractions.count(of_run["cases"])
    apart = strata.split_by_source(of_run, counts)
    assert apart.probes == ("rotate", "sanity")
    assert apart.get(SORT, "sanity") == Count(5, 6)
    assert strata.describe_sanity(of_run, counts) == ["alexnet-none-sort does not pass all sanity checks: flip 1/2."]
    alone = document(rows("flip", "sort", "+-"), sanity=["flip"])
    assert strata.split_by_source(alone, pass_fractions.count(alone["cases"])).probes == ("flip",)


def test_the_heat_map_begins_with_the_fewest_flaws_and_keeps_pairs_together() -> None:
    of_run = document(
        *(rows(probe, "sort", "+---") for probe in ("color", "move")), rows("shape", "sort", "++++"),
        *(rows(probe, "mean", "++++") for probe in ("color", "shape")), rows("move", "mean", "+--?"),
        rows("check", "sort", "++"), rows("color", "broken", "????"),
        counterparts={"shape": ["color"]}, sanity=["check"],
    )  # fmt: skip
    threshold = Table(title="t", rows=(SORT,), heads=("noise",), cells=((Cell("0.1", "", 0.1, "fails"),),))
    found = heat_map.build(of_run, pass_fractions.count(of_run["cases"]), [threshold])
    assert found.heads() == [
        ("color", 1, True), ("shape", 1, False), ("move", 1, True), ("sanity", 1, True), ("noise", 1, True)
    ]  # fmt: skip
    shown = {variant: (flaws, [cell.text for cell in cells]) for variant, flaws, cells in found.rows}
    assert list(shown.items()) == [
        (MEAN, (1, ["100", "100", "33", "", ""])),
        (SORT, (3, ["25", "100", "25", "100", "0.1"])),
        (SORT._replace(metric="broken"), (None, [""] * 5)),
    ]
    mean, *_ = found.rows
    assert [cell.value for cell in mean[2][:3]] == [1.0, 1.0, 1 / 3]
    assert math.isclose(mean[2][2].value or 0, 1 / 3)

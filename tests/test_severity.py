"""Severity curves: the numbers by hand, and what the figure shows of them."""

from typing import Any

import pytest
from matplotlib.figure import Figure

from dps.report import severity, strata
from dps.report.pass_fractions import Count
from dps.report.results import Row
from dps.rows import VariantKey

SORT, PIXEL = VariantKey("alexnet", "none", "sort"), VariantKey(None, None, "pixel")
BY_DEGREES = {"by": "degrees", "unit": "degrees", "detection_threshold": 3.6, "source": "somebody"}


def document(about: Row | None = BY_DEGREES) -> Row:
    """A run of four cases, turned by -30, 10, 20 and 40 degrees; with one distance that is missing."""
    drawn = {"turn/a": -30.0, "turn/b": 10.0, "turn/c": 20.0, "turn/d": 40.0, "other/a": 7.0}
    ratios = {"a": (3.0, 2.0), "b": (0.0, 2.0), "c": (1.0, 2.0), "d": (None, 2.0)}
    cases = [
        {
            **variant._asdict(),
            "probe": "turn",
            "case": case,
            "distance": distance,
            "nearest_reference_distance": nearest,
            "passed": distance is not None and distance < nearest,
        }
        for variant in (SORT, PIXEL)
        for case, (distance, nearest) in ratios.items()
    ]
    return {
        "run": {"severity": {"turn": about} if about else {}},
        "cases": cases,
        "drawn": {key: {"degrees": value} for key, value in drawn.items()},
    }


def test_curves_by_hand() -> None:
    """To the left is as far as to the right; 3 over 2, 0 over 2, 1 over 2."""
    expected = [(10.0, 0.0), (20.0, 0.5), (30.0, 1.5)]
    assert severity.curves(document(), "turn") == {PIXEL: expected, SORT: expected}


def test_passes_by_severity() -> None:
    table = severity.passed(document(), "turn")
    assert table is not None
    assert table.probes == ("10..20", "30..40")
    assert [table.counts[SORT, label] for label in table.probes] == [Count(2, 2), Count(0, 1, 1)]


def test_where_a_metric_gives_up_in_words() -> None:
    assert severity.in_words(document(), "turn") == [
        "pixel passes fewer than half of turn at 30..40 degrees.",
        "sort (none) on alexnet passes fewer than half of turn at 30..40 degrees.",
    ]


@pytest.mark.parametrize("about", [None, {**BY_DEGREES, "by": "nothing"}])
def test_a_probe_that_does_not_differ_in_that_has_no_curve(about: Row | None) -> None:
    made = document(about)
    assert severity.curves(made, "turn") == {}
    assert severity.passed(made, "turn") is None
    assert severity.in_words(made, "turn") == []
    assert severity.figure(made, "turn") is None
    assert severity.figure({**document(), "run": {}}, "turn") is None  # of an earlier version


def shown(figure: Figure | None) -> Any:
    """The first panel."""
    assert figure is not None
    return figure.axes[0]


def test_the_figure_shows_the_medians_one_and_what_people_notice() -> None:
    figure = severity.figure(document(), "turn")
    panel = shown(figure)
    curves = {line.get_label(): line.get_xydata().tolist() for line in panel.lines}
    expected = [[15, (severity.LEAST + 0.5) / 2], [30, 1.5]]  # a distance of 0 counts as the least that is drawn
    assert curves["sort"] == curves["pixel"] == expected
    assert [3.6, 0] in [line.get_xydata()[0].tolist() for line in panel.lines]
    assert figure is not None
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert texts == ["pixel", "sort", "people notice it from 3.6 on: somebody"]
    assert len({(line.get_marker(), line.get_linestyle()) for line in panel.lines[:2]}) == 2  # not by color alone


def test_without_networks_there_is_one_panel_and_without_a_threshold_no_line() -> None:
    made = document({**BY_DEGREES, "detection_threshold": None})
    made["cases"] = [row for row in made["cases"] if row["metric"] == "pixel"]
    figure = severity.figure(made, "turn")
    assert figure is not None
    assert len(figure.axes) == len(figure.legends) == 1


def test_numbers_are_grouped_by_value_where_there_are_few_and_else_into_ranges() -> None:
    assert strata.grouped([3, 1, 1]) == [[1], [3]]
    assert strata.grouped([1, 2, 3] * 5) == [[1], [2], [3]]
    assert strata.grouped([1, 2, 3, 4] * 3) == [[1, 2], [3, 4]]  # or else they would rest on three cases each
    assert strata.grouped([1, 2, 3, 4] * 3, at_least=3) == [[1], [2], [3], [4]]
    assert strata.grouped([0] * 12 + list(range(1, 13))) == [[0], [1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
    assert [strata.label(group) for group in ([0], [22.5], [1, 2.0, 3])] == ["0", "22.5", "1..3"]

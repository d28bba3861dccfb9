"""Pass fractions by what cases were drawn with, and severity curves: by hand, as a command, and in figures."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.style
import pytest
from click.testing import CliRunner

from dps.cli import main
from dps.errors import UsageError
from dps.report import figure_style, figures, strata
from dps.report.pass_fractions import Count
from dps.rows import Row, VariantKey
from tests import rows as made_up_rows

SORT, PIXEL = VariantKey("alexnet", "none", "sort"), VariantKey(None, None, "pixel")


def rows(passed: dict[str, bool], probe: str = "rotate", metric: str = "sort") -> list[Row]:
    """Made-up rows: whether each case passed."""
    variant = made_up_rows.PIXEL if metric == "pixel" else {}
    return [made_up_rows.row(0.5 if each else -0.5, probe=probe, case=case, **variant) for case, each in passed.items()]


def drawn(name: str, values: dict[str, Any], probe: str = "rotate") -> dict[str, Row]:
    return {f"{probe}/{case}": {"scene": "patch", name: value} for case, value in values.items()}


def test_few_values_have_a_column_each_in_order() -> None:
    found = strata.count(
        [*rows({"a": True, "b": False, "c": True}), *rows({"a": False}, metric="pixel"), *rows({"a": True}, "other")],
        drawn("degrees", {"a": 180.0, "b": 22.5, "c": 22.5}),
        "rotate",
        "degrees",
    )
    assert found.probes == ("22.5", "180")
    assert found.counts == {
        (SORT, "22.5"): Count(1, 2),
        (SORT, "180"): Count(1, 1),
        (PIXEL, "180"): Count(0, 1),
    }


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        ({"a": "face", "b": "bird"}, {"bird": Count(1, 1), "face": Count(1, 1)}),
        ({f"case-{number}": number / 10 for number in range(20)},
         dict.fromkeys(["0..0.4", "0.5..0.9", "1..1.4", "1.5..1.9"], Count(5, 5))),
        ({"a": 1, "b": 2, "c": None}, {"1": Count(1, 1), "2": Count(1, 1)}),
    ],
)  # fmt: skip
def test_columns_are_names_or_numbers_or_four_ranges(values: dict[str, Any], columns: dict[str, Count]) -> None:
    found = strata.count(rows(dict.fromkeys(values, True)), drawn("value", values), "rotate", "value")
    assert found.probes == tuple(columns)
    assert {column: found.counts[SORT, column] for column in found.probes} == columns


def test_unknown_names_are_refused_in_one_line() -> None:
    made, values = rows({"a": True, "b": True}), drawn("degrees", {"a": 1, "b": 2})
    expected = r"^rotate: unknown value to break it down by 'degree'\. Did you mean 'degrees'\? Known: degrees\.$"
    with pytest.raises(UsageError, match=expected):
        strata.count(made, values, "rotate", "degree")


def test_numbers_are_grouped_by_value_where_there_are_few_and_else_into_ranges() -> None:
    assert strata.group_numbers([3, 1, 1]) == [[1], [3]]
    assert strata.group_numbers([1, 2, 3] * 5) == [[1], [2], [3]]
    assert strata.group_numbers([1, 2, 3, 4] * 3) == [[1, 2], [3, 4]]  # or else they would rest on three cases each
    assert strata.group_numbers([1, 2, 3, 4] * 3, min_cases=3) == [[1], [2], [3], [4]]
    assert strata.group_numbers([0] * 12 + list(range(1, 13))) == [[0], [1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]]
    assert [strata.label(group) for group in ([0], [22.5], [1, 2.0, 3])] == ["0", "22.5", "1..3"]


def test_the_command_shows_a_run_again_and_by_strata(tmp_path: Path) -> None:
    document = {
        "schema": 2,
        "cases": rows({"a": True, "b": False}),
        "drawn": drawn("degrees", {"a": 22.5, "b": 45.0}),
    }
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    done = CliRunner().invoke(main, ["report", str(path)])
    assert done.exit_code == 0
    assert "alexnet-none-sort  1/2 9-91 30/30" in done.output
    done = CliRunner().invoke(main, ["report", str(path), "--probe", "rotate", "--by", "degrees"])
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "rotate by degrees",
        "",
        "                         22.5        45",
        "alexnet-none-sort  1/1 20-100  0/1 0-80",
        "",
        "passed/cases, and the 95 % interval of the pass fraction in percent; higher is",
        "  better. A metric fails a probe of which it passes fewer than half.",
    ]


# ------------------------------------------------------------------------------------------- severity

BY_DEGREES = {"by": "degrees", "unit": "degrees", "detection_threshold": 3.6, "source": "somebody"}


def document(about: Row = BY_DEGREES) -> Row:
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
        "run": {"severity": {"turn": about}},
        "cases": cases,
        "drawn": {key: {"degrees": value} for key, value in drawn.items()},
    }


def test_curves_by_hand() -> None:
    """To the left is as far as to the right; 3 over 2, 0 over 2, 1 over 2."""
    expected = [(10.0, 0.0), (20.0, 0.5), (30.0, 1.5)]
    assert strata.curves(document(), "turn") == {PIXEL: expected, SORT: expected}


def test_passes_by_severity() -> None:
    counts = strata.by_severity(document(), "turn")
    assert counts is not None
    assert counts.probes == ("10..20", "30..40")
    by_stratum = [counts.get(SORT, stratum) for stratum in counts.probes]
    assert by_stratum == [Count(passed=2, cases=2), Count(passed=0, cases=1, unmeasured=1)]


def test_where_a_metric_fails_in_words() -> None:
    assert strata.as_sentences(document(), "turn") == [
        "pixel passes fewer than half of turn at 30..40 degrees.",
        "sort (none) on alexnet passes fewer than half of turn at 30..40 degrees.",
    ]


@pytest.mark.parametrize("run", [{}, {"severity": {"turn": {**BY_DEGREES, "by": "nothing"}}}])
def test_without_severities_there_is_no_curve(run: Row) -> None:
    results = {**document(), "run": run}
    assert strata.curves(results, "turn") == {}
    assert strata.by_severity(results, "turn") is None
    assert strata.as_sentences(results, "turn") == []
    assert figures.draw_severity(results, "turn") is None


def severity_figure(results: Row) -> Any:
    figure = figures.draw_severity(results, "turn")
    assert figure is not None
    return figure


def test_the_figure_shows_the_medians_and_the_detection_threshold() -> None:
    figure = severity_figure(document())
    panel = figure.axes[0]
    curves = {line.get_label(): line.get_xydata().tolist() for line in panel.lines}
    expected = [[15, (figures.LEAST + 0.5) / 2], [30, 1.5]]  # a distance of 0 counts as the least that is drawn
    assert curves["sort"] == curves["pixel"] == expected
    assert [3.6, 0] in [line.get_xydata()[0].tolist() for line in panel.lines]
    texts = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert texts == ["pixel", "sort", "people's detection threshold, 3.6: somebody"]
    assert len({(line.get_marker(), line.get_linestyle()) for line in panel.lines[:2]}) == 2  # not by color alone


def test_cases_that_could_not_be_measured_are_in_no_figure() -> None:
    results = document()
    for row in results["cases"]:
        if row["metric"] == "sort":
            row.update(distance=None, nearest_reference_distance=None)
    figure = figures.draw_outcome(results, "turn")
    assert figure is not None
    assert [text.get_text() for text in figure.axes[0].texts] == ["pixel"]
    assert {line.get_label() for line in severity_figure(results).axes[0].lines} >= {"pixel"}
    results["cases"] = [row for row in results["cases"] if row["metric"] == "sort"]
    assert figures.draw_outcome(results, "turn") is None
    assert figures.draw_severity(results, "turn") is None


def drawings(metric: str) -> list[str | bytes]:
    """Both figures of a run with a metric of that name, in all formats."""
    results = document()
    for row in results["cases"]:
        row["metric"] = metric if row["metric"] == "sort" else row["metric"]
    plots: list[Any] = [plot(results, "turn") for plot in figures.PLOTS.values()]
    svgs = [figure_style.as_svg(figure) for figure in plots]
    return [*svgs, *(figure_style.as_file(figure, suffix) for figure in plots for suffix in ("svg", "png"))]


@pytest.mark.parametrize("name", ["度量/距离.py:我的", "m$x_$.py:d"])  # warnings are errors in our tests
def test_any_name_can_be_drawn(name: str) -> None:
    assert all(drawings(name))


def test_figures_are_drawn_from_defaults_whatever_was_set() -> None:
    expected = drawings("sort")
    ugly: Any = {
        "font.size": 40,
        "axes.grid": True,
        "svg.fonttype": "path",
        "savefig.bbox": "tight",
        "text.usetex": True,
    }
    with matplotlib.style.context("dark_background"), mpl.rc_context(ugly):
        assert drawings("sort") == expected
        assert mpl.rcParams["font.size"] == 40

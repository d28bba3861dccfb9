"""Breaking pass fractions down by what cases were drawn with: by hand, and as a command."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dps.cli import main
from dps.errors import UsageError
from dps.report import strata
from dps.report.pass_fractions import Count
from dps.rows import Row, VariantKey

KEY = VariantKey("alexnet", "none", "sort")


def rows(passed: dict[str, bool], probe: str = "rotate", metric: str = "sort") -> list[Row]:
    """Made-up rows: whether each case passed."""
    network, normalization = ("alexnet", "none") if metric == "sort" else (None, None)
    where: Row = {"probe": probe, "metric": metric, "network": network, "normalization": normalization}
    where |= {"distance": 1.0, "nearest_reference_distance": 2.0}
    return [{**where, "case": case, "passed": each} for case, each in passed.items()]


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
        (KEY, "22.5"): Count(1, 2),
        (KEY, "180"): Count(1, 1),
        (VariantKey(None, None, "pixel"), "180"): Count(0, 1),
    }


def test_names_stand_in_alphabetical_order() -> None:
    found = strata.count(
        rows({"a": True, "b": True}), drawn("content", {"a": "face", "b": "bird"}), "rotate", "content"
    )
    assert found.probes == ("bird", "face")


def test_many_numbers_are_put_into_four_ranges_of_as_many_cases() -> None:
    values = {f"case-{number}": number / 10 for number in range(20)}
    found = strata.count(rows(dict.fromkeys(values, True)), drawn("side", values), "rotate", "side")
    assert found.probes == ("0..0.4", "0.5..0.9", "1..1.4", "1.5..1.9")
    assert [found.counts[KEY, label] for label in found.probes] == [Count(5, 5)] * 4


def test_cases_that_were_drawn_without_it_are_left_out() -> None:
    values = {"a": 1, "b": 2, "c": None}
    found = strata.count(rows(dict.fromkeys("abcd", True)), drawn("strokes", values), "rotate", "strokes")
    assert found.counts == {(KEY, "1"): Count(1, 1), (KEY, "2"): Count(1, 1)}


def test_unknown_names_are_refused_in_one_line() -> None:
    made, values = rows({"a": True, "b": True}), drawn("degrees", {"a": 1, "b": 2})
    expected = r"^rotate: unknown value to break it down by 'degree'\. Did you mean 'degrees'\? Known: degrees\.$"
    with pytest.raises(UsageError, match=expected):
        strata.count(made, values, "rotate", "degree")


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
    for options in (["--by", "degrees"], ["--probe", "rotate", "--by", "angle"]):
        assert CliRunner().invoke(main, ["report", str(path), *options]).exit_code == 4
    assert CliRunner().invoke(main, ["report", str(tmp_path / "nowhere.json")]).exit_code == 4

"""Reports: counts by hand, tables that fit a terminal, Markdown, words, strict JSON, and the paper's own numbers."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dps import files, networks, report
from dps.errors import UsageError
from dps.metrics import DEFAULT_METRICS
from dps.options import Options
from dps.report import findings, page, pass_fractions, published, results, summary, tables
from dps.report.pass_fractions import Count
from dps.report.results import RunRecords
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, case_name, json_lines, variant_key
from dps.session.configuration import RunConfiguration
from dps.session.configuring import configure
from tests.refusals import refusal
from tests.rows import UNMEASURED, row

BUILT_IN = {"invert": 24, "rotate": 60, "translate": 24, "color_stain": 48}


def rows(
    probe: str,
    outcomes: str,
    metric: str = "sort",
    network: str | None = "alexnet",
    normalization: str | None = "none",
) -> list[Row]:
    """Made-up rows, one for each sign: ``+`` is passed, ``-`` failed, ``?`` could not be measured."""
    names = {"probe": probe, "metric": metric, "network": network, "normalization": normalization}
    margins = {"+": 0.25, "-": -0.5, "?": None}
    return [
        row(margins[sign], **names, case=f"case-{number}", **(UNMEASURED if sign == "?" else {}))
        for number, sign in enumerate(outcomes)
    ]


def every_row(probes: dict[str, int], metrics: Iterable[str] = ("pixel", "spatial", "spatial+mean")) -> list[Row]:
    """All cases passed by all variants."""
    found = []
    for probe, cases in probes.items():
        for metric in metrics:
            of_images = metric == "pixel" or ":" in metric
            places = [(None, None)] if of_images else itertools.product(networks.BUILT_IN, ("none", "unit"))
            for network, normalization in places:
                found += rows(probe, "+" * cases, metric, network, normalization)
    return found


# ----------------------------------------------------------------------------------------------- counting


def test_counts_by_hand() -> None:
    table = pass_fractions.count(
        [
            *rows("translate", "++-"),
            *rows("invert", "+-"),
            *rows("invert", "---", metric="pixel", network=None, normalization=None),
            *rows("mine", "+"),
            *rows("invert", "++", normalization="unit"),
        ]
    )
    sort, unit, pixel = (
        VariantKey("alexnet", "none", "sort"),
        VariantKey("alexnet", "unit", "sort"),
        VariantKey(None, None, "pixel"),
    )
    assert table.variants == (pixel, sort, unit)
    assert table.probes == ("invert", "translate", "mine")  # the paper's order, then by name
    assert table.counts == {
        (sort, "translate"): Count(2, 3),
        (sort, "invert"): Count(1, 2),
        (pixel, "invert"): Count(0, 3),
        (sort, "mine"): Count(1, 1),
        (unit, "invert"): Count(2, 2),
    }


def test_variants_stand_in_the_papers_order() -> None:
    shuffled = [
        *rows("invert", "+", "mean", "vgg16", "unit"),
        *rows("invert", "+", "my.py:own", "alexnet"),
        *rows("invert", "+", "mean", "vgg16@features.11", "none"),
        *rows("invert", "+", "mean", "vgg16@features.4", "none"),
        *rows("invert", "+", "mean", "alexnet", "none"),
        *rows("invert", "+", "mean", "squeezenet", "none"),
        *rows("invert", "+", "sort", "vgg16", "none"),
        *rows("invert", "+", "pixel", None, None),
    ]
    assert pass_fractions.count(shuffled).variants == (
        (None, None, "pixel"),
        ("vgg16", "none", "sort"),
        ("squeezenet", "none", "mean"),
        ("alexnet", "none", "mean"),
        ("vgg16@features.4", "none", "mean"),
        ("vgg16@features.11", "none", "mean"),
        ("vgg16", "unit", "mean"),
        ("alexnet", "none", "my.py:own"),
    )


@pytest.mark.parametrize(
    ("passed", "cases", "text"),
    [  # z^2 = 3.8415: 0/n up to z^2 / (n + z^2), n/n from n / (n + z^2)
        (0, 5, "0/5 0-44"),
        (59, 60, "59/60 91-100"),
        (5, 5, "5/5 56-100"),
    ],
)
def test_intervals_are_rounded_outwards(passed: int, cases: int, text: str) -> None:
    assert str(Count(passed, cases).cell()) == text


# ------------------------------------------------------------------------------------------- on a terminal


def table_of(*cases: Iterable[Row]) -> Table:
    """The pass fractions of made-up rows, beside the paper's."""
    return pass_fractions.table(pass_fractions.count(row for each in cases for row in each))


NOTE = (
    "passed/cases, and the 95 % interval of the pass fraction in percent; higher is better. A metric fails a probe of "
    "which it passes fewer than half."
)


def test_the_table_on_a_terminal() -> None:
    table = table_of(
        rows("invert", "--", "pixel", None, None),
        rows("invert", "+-", "sort", "alexnet"),
        rows("invert", "++", "sort", "vgg16"),
        rows("mine", "+++-", "sort", "vgg16"),
        rows("mine", "----", "sort", "vgg16", "unit"),
    )
    assert tables.as_text(table, 80) == [
        "Pass fractions",
        "",
        "                       invert paper       mine",
        "pixel                0/2 0-66  0/11",
        "alexnet-none-sort    1/2 9-91 11/11",
        "vgg16-none-sort    2/2 34-100 11/11  3/4 30-96",
        "vgg16-unit-sort                       0/4 0-49",
        "",
        "passed/cases, and the 95 % interval of the pass fraction in percent; higher is",
        "  better. A metric fails a probe of which it passes fewer than half. paper:",
        "  measured by arXiv:2207.02512 on its own hand-made images.",
    ]


def test_what_could_not_be_measured_is_no_failure_in_any_form_of_the_table() -> None:
    table = table_of(rows("invert", "+?-?"), rows("invert", "??", network="vgg16"), rows("mine", "+"))
    note = f"{NOTE} Cases that could not be measured are not counted."
    assert tables.as_text(replace(table, note=""), 80)[3:] == [
        "alexnet-none-sort  1/2 9-91; 2 not measured 11/11  1/1 20-100",
        "vgg16-none-sort                not measured 11/11",
    ]
    assert table.cells[1][0] == Cell("not measured", shade="unmeasured")
    assert table.note.startswith(note)
    counts = pass_fractions.count([*rows("invert", "??"), *rows("mine", "+")])
    assert pass_fractions.as_sentences(counts) == [
        "sort (none) passes at least half of every probe as far as it could be measured."
    ]
    assert pass_fractions.as_sentences(pass_fractions.count(rows("invert", "??"))) == []


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize(
    "found",
    [
        every_row(dict.fromkeys(BUILT_IN, 200)),
        every_row({f"a_rather_long_probe_name_{number:02d}": 7 for number in range(12)}, ["pixel", "sort"]),
        every_row({"a_name_without_end_" * 5: 3}, ["pixel", "sort"]),
        every_row({**BUILT_IN, "mine": 3}, ["+".join(["spatial", "0.333*mean", "0.25*sort"] * 4)]),
    ],
    ids=["200", "12-probes", "long-name", "long-sum"],
)
def test_the_table_is_never_wider_than_the_terminal_and_shows_all_counts(found: list[Row], width: int) -> None:
    table = table_of(found)
    lines = tables.as_text(table, width)
    assert max(map(len, lines)) <= width
    cells = [str(cell) for row in table.cells for cell in row if not cell.published]
    text = "\n".join(lines)
    assert sum(text.count(cell) for cell in set(cells)) == len(cells)


def shown(*cases: Iterable[Row], width: int = 80, **about: Any) -> list[str]:
    """What a terminal shows of a made-up run."""
    document = results.document(about, RunRecords(cases=[row for each in cases for row in each]), {})
    return summary.as_text(findings.collect(document), width)


def test_the_terminal_leads_with_findings() -> None:
    lines = shown(
        *(rows("mine", "+--", network=name) for name in ("alexnet", "vgg16")),
        gate_outcome={"summary": ["1 could not be measured:", "  so"], "lines": ["all of it"]},
    )
    assert lines[:10] == [
        "1 could not be measured:",
        "  so",
        "",
        "sort (none) fails mine on every network.",
        "",
        "Pass fractions",
        "",
        "                       mine",
        "alexnet-none-sort  1/3 6-80",
        "vgg16-none-sort    1/3 6-80",
    ]
    assert lines[-2:] == ["", summary.WITHOUT_PEOPLE]


def test_of_many_variants_on_many_probes_the_terminal_has_a_table_of_the_papers() -> None:
    many = {**BUILT_IN, **{f"probe_{number}": 10 for number in range(9)}}
    failing = [{**row, "passed": False} for row in every_row(many, DEFAULT_METRICS)]
    text = "\n".join(shown(failing))
    table = text[text.index("Pass fractions") :]
    assert "probe_" not in table
    assert "9 more probes are in the report; their failures are listed above." in table
    assert "fails invert on every network; rotate on every network" in text


# ------------------------------------------------------------------------------------- Markdown and words


def test_markdown_table() -> None:
    table = table_of(rows("invert", "+-"), rows("my_own", "++"), rows("my_own", "-", "a|b<c>.py:x*y", None, None))
    assert tables.as_markdown(replace(table, note="What *it* is.")) == [
        r"| network | normalization | metric | invert | paper | my\_own |",
        "| --- | --- | --- | ---: | ---: | ---: |",
        "| alexnet | none | sort | 1/2 9-91 | *11/11* | 2/2 34-100 |",
        r"|  |  | a\|b&lt;c>.py:x\*y |  |  | 0/1 0-80 |",
        "",
        r"What \*it\* is.",
    ]


def test_words_by_hand() -> None:
    table = pass_fractions.count(
        [
            *rows("invert", "--", "pixel", None, None),
            *rows("rotate", "+-", "pixel", None, None),  # half is not fewer than half
            *rows("translate", "+---", "pixel", None, None),
            *rows("rotate", "--", "spatial", "alexnet"),
            *rows("rotate", "++", "spatial", "vgg16"),
            *rows("translate", "--", "spatial", "alexnet"),
            *rows("translate", "--", "spatial", "vgg16"),
            *rows("invert", "++", "sort", "alexnet", "unit"),
        ]
    )
    assert pass_fractions.as_sentences(table) == [
        "pixel fails invert; translate.",
        "spatial (none) fails rotate on alexnet; translate on every network.",
        "sort (unit) passes at least half of every probe.",
    ]


# -------------------------------------------------------------------------------------------- results.json


def test_rows_are_sorted_whatever_came_first() -> None:
    made = [*rows("b", "+-"), *rows("a", "+", "pixel", None, None), *rows("a", "+"), *rows("a", "+", network="vgg16")]
    document = results.document({}, RunRecords(cases=made[::-1], drawn={"b/x": {"n": 1}, "a/x": {"n": 2}}), {})
    assert [f"{case_name(row)} {variant_key(row).label}" for row in document["cases"]] == [
        "a/case-0 pixel",
        "a/case-0 alexnet-none-sort",
        "a/case-0 vgg16-none-sort",
        "b/case-0 alexnet-none-sort",
        "b/case-1 alexnet-none-sort",
    ]
    assert list(document["drawn"]) == ["a/x", "b/x"]
    assert list(document) == ["schema", "run", "cases", "scores", "throughput", "invariants", "drawn"]


@pytest.mark.parametrize("twice", ["+-?", "?-+", "-?+"])
def test_a_case_that_was_measured_twice_counts_once_with_its_worst_result(twice: str) -> None:
    cases = [{**rows("a", sign)[0], "case": "x"} for sign in twice]
    (row,) = results.document({}, RunRecords(cases=cases), {})["cases"]
    assert row["error"] == "it broke"
    measured = [row for row in cases if not row.get("error")]
    (row,) = results.document({}, RunRecords(cases=measured), {})["cases"]
    assert row["passed"] is False


def no_constant(name: str) -> None:
    raise AssertionError(f"{name} is no strict JSON")


def test_json_is_strict_utf_8_and_at_full_precision() -> None:
    data = {"a": math.nan, "b": [math.inf, -math.inf, (0.1 + 0.2,)], "ä": {"c": 1e-300}, "n": 3, "e": [], "f": {}}
    text = "".join(json_lines(data))
    assert json.loads(text, parse_constant=no_constant) == {
        "a": None,
        "b": [None, None, [0.30000000000000004]],
        "ä": {"c": 1e-300},
        "n": 3,
        "e": [],
        "f": {},
    }
    assert "ä" in text
    assert text.endswith("}\n")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[str]:
        yield "new"
        raise ValueError("no more")

    path = tmp_path / "report.html"
    files.write(path, iter(["ä", "b"]))
    with pytest.raises(ValueError, match="no more"):
        files.write(path, breaks_off())
    assert path.read_text(encoding="utf-8") == "äb"
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]  # and nothing is left over
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read (No such file or directory)."),
        (
            "{",
            "not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)); is it cut short?",
        ),
        ("[]", "not a results.json of schema 2; if an older dps wrote it, run again."),
    ],
)
def test_what_is_not_a_results_json_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "results.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert refusal(lambda: results.read(path), UsageError) == f"{path}: {message}"


# ---------------------------------------------------------------------------------------- the end of a run


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunConfiguration:
    monkeypatch.setenv("COLUMNS", "80")
    options = Options(
        metric=["pixel,sort"], network=["alexnet,squeezenet"], normalization=["none"], reduction="sum", device="cpu",
        cases=1, require=["invert>=0.5,translate>=0.9"], weights="pypi", gate="strict",
        report_dir=str(tmp_path / "report"),
    )  # fmt: skip
    return configure(options)


def test_the_end_of_a_run_by_hand(configuration: RunConfiguration) -> None:
    made = [*rows("invert", "+-"), *rows("translate", "++-"), *rows("translate", "+++", "pixel", None, None)]
    lines, failed = report.finish(
        configuration, RunRecords(cases=made, drawn={"invert/case-0": {"family": "rings"}}), "pytest suites/ -k 'a b'"
    )
    assert failed
    assert "required translate>=0.9: alexnet-none-sort has 2/3" in lines
    assert not any(line.startswith("required invert") for line in lines)
    assert lines[-1] == f"written: {configuration.report_dir}: results.json, report.md, report.html"
    document = results.read(configuration.report_dir / "results.json")
    assert document["cases"] == sorted(made, key=lambda row: (row["probe"], row["case"], row["metric"]))
    assert document["drawn"] == {"invert/case-0": {"family": "rings"}}
    about = document["run"]
    assert {"dps", "torch", "device", "threads", "seed", "command", "probes_sha256", "networks"} <= about.keys()
    assert about["command"] == "pytest suites/ -k 'a b'"
    assert about["cases"] == 1
    rotated = {"by": "degrees", "unit": "degrees", "detection_threshold": 3.6, "source": "arXiv:2407.17927"}
    assert about["severity"]["rotate"] == rotated
    assert about["reduction"] == "sum"
    assert "interrupted" not in about
    alexnet = about["networks"]["alexnet"]
    network = networks.named("alexnet")
    assert alexnet == {"weights": "pypi", "sha256": network.sha256, "layers": list(network.layers), "remark": ""}
    text = (configuration.report_dir / "report.md").read_text(encoding="utf-8")
    assert "| alexnet | none | sort | 1/2 9-91 | *11/11* | 2/3 20-94 | *5/5* |" in text
    assert "- required translate>=0.9: alexnet-none-sort has 2/3" in text
    assert "- sort (none) passes at least half of every probe." in text
    assert f"- **invert**: {about['probes']['invert']}" in text
    assert "`pytest suites/ -k 'a b'`" in text
    assert f"SHA-256 `{alexnet['sha256'][:12]}`" in text
    assert "interrupted" not in text


def test_an_interrupted_run_says_so_and_what_else_a_reader_must_know(configuration: RunConfiguration) -> None:
    records = RunRecords(cases=rows("invert", "+", network="squeezenet"))
    lines, failed = report.finish(configuration, records, "pytest", interrupted=True)
    assert not failed  # a floor of a probe that nothing was measured on is not missed
    assert any(line.startswith("note: with --weights pypi, SqueezeNet is DeepScale's") for line in lines)
    assert max(map(len, lines[:-1])) <= 80
    assert results.read(configuration.report_dir / "results.json")["run"]["interrupted"] is True
    markdown, html = ((configuration.report_dir / f"report.{suffix}").read_text("utf-8") for suffix in ("md", "html"))
    assert "SqueezeNet is DeepScale's Caffe" in markdown
    assert lines[0] == "The run was interrupted; these are its results so far."
    assert "**The run was interrupted;" in markdown
    assert "<strong>The run was interrupted;" in html


def test_a_report_that_cannot_be_written_fails_the_run_but_shows_the_table(configuration: RunConfiguration) -> None:
    configuration.report_dir.rmdir()
    lines, failed = report.finish(configuration, RunRecords(cases=rows("invert", "++")), "pytest")
    assert failed
    assert "sort (none) passes at least half of every probe." in lines
    assert lines[-3:] == [
        f"{configuration.report_dir / name} was not written: No such file or directory."
        for name in ("results.json", "report.md", "report.html")
    ]


def test_a_page_that_cannot_be_made_fails_the_run_and_keeps_the_rest(
    configuration: RunConfiguration, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: object) -> str:
        raise ZeroDivisionError("by 0")

    monkeypatch.setattr(page, "render", broken)
    lines, failed = report.finish(configuration, RunRecords(cases=rows("invert", "++")), "pytest")
    assert failed
    assert lines[-2:] == [
        f"written: {configuration.report_dir}: results.json, report.md",
        f"{configuration.report_dir / 'report.html'} was not written, which is a fault of dps: ZeroDivisionError: by 0",
    ]
    assert sorted(path.name for path in configuration.report_dir.iterdir()) == ["report.md", "results.json"]


# -------------------------------------------------------------------------------------------------- paper


@pytest.mark.parametrize(
    ("metric", "network", "cells"),
    [  # arXiv:2207.02512, Table 1: invert, rotate, translate, color stain
        ("pixel", None, ["0/11", "17/30", "0/5", "0/5"]),
        ("sort", "alexnet", ["11/11", "30/30", "5/5", "2/5"]),
        ("spatial+sort", "vgg16", ["11/11", "21/30", "1/5", "4/5"]),
    ],
)
def test_the_papers_table_1(metric: str, network: str | None, cells: list[str]) -> None:
    normalization = "none" if network else None
    variant = VariantKey(network, normalization, metric)
    assert [published.cell(variant, probe) for probe in BUILT_IN] == cells
    assert [published.cell(VariantKey(network, "unit", metric), probe) for probe in BUILT_IN] == [""] * 4
    assert published.cell(variant, "mine") == ""


def test_the_papers_table_2() -> None:
    def scores(metric: str, network: str | None = None) -> list[float]:
        variant = VariantKey(network, "unit" if network else None, metric)
        kinds = [*(f"2afc/{name}" for name in SUBSETS), "jnd/pooled"]
        return [float(text) for kind in kinds if (text := published.cell(variant, kind))]

    assert published.source() == "arXiv:2207.02512"
    assert scores("human") == [80.8, 84.4, 82.6, 73.4, 67.1, 68.8, 68.6, 69.5, 73.9]
    assert scores("spatial", "squeezenet") == [73.3, 82.6, 78.0, 70.1, 60.1, 63.6, 62.0, 64.0, 68.6, 60.2]
    assert scores("spatial+sort", "vgg16") == [74.9, 81.9, 78.4, 69.4, 59.4, 62.3, 62.1, 63.3, 68.4, 61.9]
    for metric in ("spatial", "mean", "sort", "spatial+mean", "spatial+sort"):
        for network in ("squeezenet", "alexnet", "vgg16"):
            found = dict(zip(SUBSETS, scores(metric, network), strict=False))
            # each is rounded to 0.1, so a mean of them is known to 0.05, and is itself rounded to 0.1
            assert found["distortions"] == pytest.approx((found["traditional"] + found["cnn"]) / 2, abs=0.101)
            real = [found[name] for name in ("superres", "deblur", "color", "frameinterp")]
            assert found["real"] == pytest.approx(sum(real) / 4, abs=0.101)


SUBSETS = ("traditional", "cnn", "distortions", "superres", "deblur", "color", "frameinterp", "real", "all")

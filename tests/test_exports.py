"""What ``dps report`` writes and shows of runs that are over: LaTeX, figures, the page anew, two runs side by side."""

import csv
import io
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from click.testing import CliRunner, Result

from dps import probes
from dps.cli import main
from dps.report import findings, run_comparison, tables
from dps.report.tables import Cell, Table
from dps.rows import Row, VariantKey, json_lines
from tests import rows as made_up_rows
from tests.test_report import rows

ABOUT = {
    **made_up_rows.ABOUT, "cases": None, "gate": "off", "metrics": {},
    "gate_outcome": {"holds": None, "failed": 0, "summary": [], "lines": []},
    "probes": {"invert": "Is it?"}, "probes_sha256": "0" * 64, "dataset": {"name": "synthetic", "about": "drawn"},
    "networks": {"alexnet": {"weights": "pypi", "sha256": "a" * 64, "layers": [], "remark": ""}},
}  # fmt: skip


def run_of(*cases: list[Row], **about: Any) -> Row:
    """A made-up results.json."""
    score: Row = {"dataset": "synthetic", "kind": "2afc", "subset": "blur", "metric": "sort", "network": "alexnet"}
    score |= {"normalization": "unit", "score": 0.75, "standard_error": 0.0625, "count": 48}
    return {
        "schema": 2,
        "run": {**ABOUT, **about},
        "cases": [row for each in cases for row in each],
        "scores": [score],
        "throughput": [],
        "drawn": {},
    }


def saved(document: Row, path: Path) -> Path:
    path.write_text("".join(json_lines(document)), encoding="utf-8")
    return path


def dps(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, words)], env={"COLUMNS": "80"})


# ------------------------------------------------------------------------------------------- LaTeX


def test_a_table_in_latex_by_hand() -> None:
    rows = VariantKey(None, None, "pixel"), VariantKey("alexnet", "none", "a_b & c")
    cells = (Cell("0/2", "0-66"), Cell("0/11", published=True), Cell()), (Cell("1/2"), Cell(), Cell("75.0", "±6.2"))
    table = Table(title="Some", rows=rows, heads=("invert", "paper", "my_own"), cells=cells, note="100 %.")
    assert tables.as_latex(table).splitlines() == [
        "% Some. 100 %.",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r" & invert & paper & my\_own \\",
        r"\midrule",
        r"pixel & 0/2 0-66 & \textit{0/11} &  \\",
        r"alexnet-none-a\_b \& c & 1/2 &  & 75.0 $\pm$6.2 \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_latex_prints_what_it_would_read_as_commands() -> None:
    assert tables.escape_latex("100 % of $x_1 & #{2}") == r"100 \% of \$x\_1 \& \#\{2\}"
    assert tables.escape_latex("a\\b~c^d…") == r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d\ldots{}"


# ------------------------------------------------------------------------------------------- tables as files


def test_cases_are_a_tidy_table(tmp_path: Path) -> None:
    cases = [
        *rows("rotate", "+?"),
        *rows("rotate", "-", "pixel", None, None),
        *rows("invert", "+", normalization="none"),
    ]
    path = saved({**run_of(cases), "drawn": {"rotate/case-0": {"degrees": 22.5}}}, tmp_path / "results.json")
    done = dps(path, "--csv", "-", "--probe", "rotate", "--by", "degrees")
    assert done.output.splitlines()[0].startswith("probe,case,degrees,network,normalization,metric,measured,passed,")
    frame = list(csv.DictReader(io.StringIO(done.output)))
    keys = ["case", "degrees", "network", "normalization", "metric", "measured", "passed", "distance", "error"]
    assert [[row[key] for key in keys] for row in frame] == [
        ["case-0", "22.5", "alexnet", "none", "sort", "True", "True", "2.0", ""],
        ["case-1", "-", "alexnet", "none", "sort", "False", "False", "", "it broke"],
        ["case-0", "22.5", "-", "-", "pixel", "True", "False", "2.0", ""],
    ]
    assert dps(path, "--csv", tmp_path / "cases.csv").output == f"{tmp_path / 'cases.csv'}\n"
    assert len((tmp_path / "cases.csv").read_text(encoding="utf-8").splitlines()) == 1 + 4


def test_tables_are_written_as_they_are_shown(tmp_path: Path) -> None:
    path = saved(run_of(rows("rotate", "+-"), rows("my_own", "--")), tmp_path / "results.json")
    markdown = dps(path, "--markdown", "-", "--probe", "my_own").output.splitlines()
    assert markdown[:5] == [
        "## Pass fractions",
        "",
        r"| network | normalization | metric | my\_own |",
        "| --- | --- | --- | ---: |",
        "| alexnet | none | sort | 0/2 0-66 |",
    ]
    assert "Scores on synthetic data" in dps(path, "--markdown", "-").output
    latex = dps(path, "--latex", "-", "--transpose", "--probe", "rotate,rotate").output.splitlines()
    assert latex[-6:-1] == [
        " & alexnet-none-sort \\\\",
        r"\midrule",
        r"rotate & 1/2 9-91 \\",
        r"paper & \textit{30/30} \\",
        r"\bottomrule",
    ]
    both = dps(path, path, "--markdown", "-").output
    assert "| alexnet | none | sort | 1/2 | 0/2 |" in both


TWO = "give one RESULTS.json; or two, with --markdown and --latex only, to compare them."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("a.json --probe rotat", "unknown probe 'rotat'. Did you mean 'rotate'? Known: rotate."),
        ("a.json --by degrees", "--by needs one --probe, as in --probe rotate --by degrees."),
        ("a.json --transpose", "--transpose needs --latex FILE."),
        ("a.json --figures a.json", "a.json: File exists."),
        ("a.json a.json --html x", TWO),
        ("a.json a.json a.json", TWO),
        ("b.json --html x", "this results.json has no 'run', which describes what was measured."),
        ("b.json a.json", "A has no 'run', which describes how it was measured."),
    ],
)
def test_what_cannot_be_shown_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    saved(run_of(rows("rotate", "+")), Path("a.json"))
    Path("b.json").write_text('{"schema": 2}', encoding="utf-8")
    done = dps(*options.split())
    assert (done.exit_code, done.output) == (4, f"Error: {message}\n")
    assert not Path("x").exists()


# ------------------------------------------------------------------------------------------- figures and page


def test_figures_are_written_as_files_and_the_same_each_time(tmp_path: Path) -> None:
    path = saved(run_of(rows("invert", "+-"), rows("invert", "--", "pixel", None, None)), tmp_path / "results.json")
    files = ["invert-outcome.png", "invert-outcome.svg"]
    for folder in (tmp_path / "a", tmp_path / "b"):
        done = dps(path, "--figures", folder)
        assert done.exit_code == 0
        assert sorted(done.output.split()) == [str(folder / name) for name in files]
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    with PIL.Image.open(tmp_path / "a" / "invert-outcome.png") as image:
        assert image.width == 7.2 * 200  # inches, dots an inch
    assert "<text" not in (tmp_path / "a" / "invert-outcome.svg").read_text(encoding="utf-8")  # needs no font


def test_the_page_is_written_again_with_the_images_that_are_the_same(tmp_path: Path) -> None:
    (probe,) = probes.load([probes.BUILT_IN / "invert.yaml"], 2)
    digests = {case.id: case.draw().digest for case in probe.cases}
    digests[probe.cases[0].id] = "0" * 64  # of another drawing
    cases = [{**rows("invert", "+")[0], "case": name, "images_sha256": found} for name, found in digests.items()]
    path = saved(run_of(cases), tmp_path / "results.json")
    done = dps(path, "--html", tmp_path / "page.html", "--cases", "2")
    assert done.output == f"{tmp_path / 'page.html'}, with the images of 1 of 2 cases\n"
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert html.count("data:image/png") == 3  # original, distorted and the nearest reference


# ------------------------------------------------------------------------------------------- two runs


def test_two_runs_by_hand(tmp_path: Path) -> None:
    first = saved(run_of(rows("invert", "++--"), rows("rotate", "+++")), tmp_path / "a.json")
    other = {"alexnet": {"weights": "torchvision", "sha256": "b" * 64, "layers": [], "remark": ""}}
    pixel = rows("rotate", "+", "pixel", None, None)
    second = saved(run_of(rows("invert", "+-+-"), rows("rotate", "+?"), pixel, networks=other), tmp_path / "b.json")
    done = dps(first, second)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "A, the baseline: pytest suites/",
        "B: pytest suites/",
        "the baseline was recorded with weights of alexnet of SHA-256 aaaaaaaaaaaa..;",
        "  this is bbbbbbbbbbbb..",
        "could not be measured in B: 1 of 7 results",
        "",
        "against the baseline: 1 regressed, 1 improved, 3 unchanged",
        "  invert/case-1-alexnet-none-sort: passed (margin +25.0%) in the baseline, now",
        "    distorted at 2, but reference 'gray' at 1 (margin -50.0%)",
        "1 improved: in B",
        "  invert/case-2-alexnet-none-sort: failed (margin -50.0%) in the baseline, now",
        "    distorted at 2, and reference 'gray' at 2.5 (margin +25.0%)",
        "rotate/case-2-alexnet-none-sort: in the baseline, but not measured",
        "",
        "Pass fractions",
        "",
        "                   invert      rotate",
        "pixel                        - -> 1/1",
        "alexnet-none-sort     2/4  3/3 -> 1/1",
        "",
        "passed/cases; A -> B where they differ.",
    ]


def test_many_changes_fit_the_terminal() -> None:
    first, second = (run_of(rows("invert", sign * 40, "a/long/path/to/my_own_metric.py:distance")) for sign in "+-")
    lines = run_comparison.as_text(first, second, 80)
    assert max(map(len, lines)) <= 80
    assert "... and 11 more" in lines


# ------------------------------------------------------------------------------------------- throughput


def test_throughput_has_a_table_for_each_load() -> None:
    row: Row = {"network": "alexnet", "normalization": "none", "metric": "sort", "image_size": 64, "batch_size": 3}
    row |= {"images_per_second": 123.456, "relative_to_forward": 1.256}
    row |= {"relative_to_forward_low": 1.2, "relative_to_forward_high": 1.3}
    everything = {**row, "metric": "all", "normalization": None, "relative_to_forward": 2.0}
    pixel = {**row, "metric": "pixel", "network": None, "normalization": None, "relative_to_forward": None}
    measured = [everything, pixel, row, {**row, "image_size": 32}]
    found = findings.throughput_tables(measured)
    assert [table.title for table in found] == ["Throughput: 32 pixels, 3 images", "Throughput: 64 pixels, 3 images"]
    assert [[str(cell) for cell in line] for line in found[1].cells] == [
        ["123.5", ""],
        ["123.5", "1.26 1.20-1.30"],
        ["123.5", "2.00 1.20-1.30"],
    ]
    document = {"run": {}, "cases": [], "drawn": {}, "scores": [], "throughput": measured, "invariants": []}
    assert findings.collect(document).sentences == [
        "alexnet: measuring all variants at once takes 2.00 times the forward pass (64 pixels, 3 images)."
    ]

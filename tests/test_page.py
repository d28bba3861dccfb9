"""report.html in a real browser: it shows what results.json says, requests nothing from elsewhere, and fits."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dps import files, probes
from dps.report import album, figures, findings, page, results
from dps.report.album import Album
from dps.rows import Row

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = shutil.which("chromium")
AXE = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a real, small run: three variants on two probes, which fail some cases."""
    place = tmp_path_factory.mktemp("report")
    options = ["--metric=pixel,sort,spatial", "--network=alexnet", "--normalization=none", "--cases=4", "--gate=strict"]
    options += [f"--probes={probes.BUILT_IN / name}.yaml" for name in ("translate", "color_stain")]
    words = [sys.executable, "-m", "pytest", "suites/test_probes.py", "-q", *options, f"--report-dir={place}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 1, done.stdout + done.stderr
    return place


@pytest.fixture(scope="module")
def document(folder: Path) -> Row:
    return results.read(folder / "results.json")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Open a page's file; at the end, there were no messages, errors or requests."""
    seen: list[str] = []
    contexts = []

    def open_page(path: Path, width: int = 1440, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: seen.append(f"console: {message.text}"))
        shown.on("pageerror", lambda error: seen.append(f"error: {error}"))
        own = ("data:", path.as_uri())
        shown.on("request", lambda sent: None if sent.url.startswith(own) else seen.append(f"request: {sent.url}"))
        shown.goto(path.as_uri())
        return shown

    yield open_page
    for context in contexts:
        context.close()
    assert seen == []


@pytest.fixture
def shown(opened: Open, folder: Path) -> Any:
    return opened(folder / "report.html")


def texts(shown: Any, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in shown.locator(selector).all_inner_texts()]


def rows_of(document: Row, **wanted: object) -> list[Row]:
    return [row for row in document["cases"] if all(row[name] == value for name, value in wanted.items())]


# ------------------------------------------------------------------------------------------- tables


def test_the_table_has_the_counts_of_results_json(shown: Any, document: Row) -> None:
    heads = texts(shown, "#table-1 thead th")
    assert heads == ["network", "normalization", "metric", "translate", "paper", "color_stain", "paper"]
    lines = [line.locator("th, td").all_inner_texts() for line in shown.locator("#table-1 tbody tr").all()]
    for network, _, metric, *cells in lines:
        for cell, probe in ((cells[0], "translate"), (cells[2], "color_stain")):
            rows = rows_of(document, probe=probe, metric=metric, network=network or None)
            assert cell.split()[0] == f"{sum(row['passed'] for row in rows)}/{len(rows)}"
    papers = {metric: [cells[1], cells[3]] for _, _, metric, *cells in lines}
    assert papers == {"pixel": ["0/5", "0/5"], "spatial": ["0/5", "3/5"], "sort": ["5/5", "2/5"]}  # arXiv:2207.02512


def test_a_table_is_sorted_by_its_heads_with_the_keyboard(shown: Any) -> None:
    head = shown.locator("#table-1 thead th").nth(3)
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    column = [float(each.get_attribute("data-sort")) for each in shown.locator("#table-1 td:nth-child(4)").all()]
    assert column == sorted(column, reverse=True)
    assert column[0] > column[-1]
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert texts(shown, "#table-1 td:nth-child(4)")[0].startswith("0/")


def test_a_table_is_copied_in_three_formats(shown: Any) -> None:
    def copied(format_: str) -> str:
        shown.click(f".tools[data-for=table-1] button[data-copy={format_}]")
        shown.wait_for_selector(".tools[data-for=table-1] [role=status]:has-text('Copied.')")
        return str(shown.evaluate("navigator.clipboard.readText()"))

    shown.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lines = [line.locator("th, td").all_inner_texts() for line in shown.locator("#table-1 tr").all()]
    table = [[" ".join(text.split()) for text in line] for line in lines]
    assert list(csv.reader(io.StringIO(copied("csv")))) == table
    assert copied("markdown").splitlines()[0].endswith(r"| color\_stain | paper |")
    latex = copied("latex")
    assert r"translate & paper & color\_stain & paper \\" in latex
    assert latex.count("pixel") == 1


# ------------------------------------------------------------------------------------------- the gallery


def test_filters_show_the_cases_of_results_json(shown: Any, document: Row) -> None:
    cases = {(row["probe"], row["case"]) for row in document["cases"]}
    assert len(texts(shown, "#cases li")) == len(cases)
    shown.select_option("#metric", "spatial")
    for verdict, passed in (("failed", False), ("passed", True)):
        shown.select_option("#verdict", verdict)
        expected = {f"{row['probe']}/{row['case']}" for row in rows_of(document, metric="spatial", passed=passed)}
        assert expected
        assert set(texts(shown, "#cases .title")) == expected
    shown.select_option("#verdict", "")
    margins = sorted(row["margin"] for row in rows_of(document, metric="spatial"))
    assert [text.split()[2] for text in texts(shown, "#cases .failed, #cases .passed")] == [
        f"{100 * margin:+.1f}" for margin in margins
    ]  # the worst first
    shown.select_option("#probe", label="translate")
    assert len(texts(shown, "#cases li")) == len(rows_of(document, metric="spatial", probe="translate"))
    shown.select_option("#network", "alexnet")
    shown.select_option("#metric", "pixel")  # has no network, and is shown all the same
    assert len(texts(shown, "#cases li")) == len(rows_of(document, metric="pixel", probe="translate"))
    one = document["cases"][-1]["case"]
    shown.fill("#search", one)
    assert texts(shown, "#cases .title") == [f"translate/{one}"]
    shown.fill("#search", "no such case")
    assert texts(shown, "#count") == ["0 cases, 0 failed by pixel; worst first"]


def test_a_case_shows_every_verdict_and_each_layer(shown: Any, document: Row) -> None:
    case = rows_of(document, probe="color_stain")[0]["case"]
    rows = {row["metric"]: row for row in rows_of(document, probe="color_stain", case=case)}
    shown.fill("#search", f"color_stain/{case}")
    shown.click("#cases button")
    assert texts(shown, "#case-title") == [f"color_stain/{case}"]
    lines = [line.locator("td").all_inner_texts() for line in shown.locator(".verdicts tbody tr").all()]
    assert [line[0] for line in lines] == ["pixel", "alexnet-none-spatial", "alexnet-none-sort"]
    for line in lines:
        row = rows[line[0].split("-")[-1]]
        assert line[1].startswith("✓ passed" if row["passed"] else "✗ failed")
        assert line[1].split()[2] == f"{100 * row['margin']:+.1f}"
        assert float(line[2]) == pytest.approx(row["distance"], rel=1e-3)
        assert line[3] == row["nearest_reference"]
        assert float(line[4]) == pytest.approx(row["nearest_reference_distance"], rel=1e-3)
    shown.click(".verdicts button:has-text('sort')")
    sort = rows["sort"]
    found = [line.locator("td").all_inner_texts() for line in shown.locator(".layers tbody tr").all()]
    for place, name in enumerate(("layers", "nearest_reference_layers")):
        parts = [float(line[place]) for line in found]
        assert parts == pytest.approx(sort[name], abs=0.001 * sum(sort[name]), rel=5e-3)
    for image in shown.locator("#case img").all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 96


def test_cases_are_opened_and_closed_with_the_keyboard(shown: Any) -> None:
    shown.focus("#search")
    for _ in range(2):  # the first case comes next to the filters
        if shown.evaluate("document.activeElement.closest('#cases') === null"):
            shown.keyboard.press("Tab")
    shown.keyboard.press("Enter")
    titles = texts(shown, "#cases .title")
    assert texts(shown, "#case-title") == titles[:1]
    assert shown.is_disabled("#previous")
    shown.keyboard.press("ArrowRight")
    assert texts(shown, "#case-title") == titles[1:2]
    shown.keyboard.press("Escape")
    assert not shown.is_visible("#case")
    assert shown.evaluate("document.activeElement.querySelector('.title').textContent") == titles[0]


# ------------------------------------------------------------------------------------------- how it looks


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize(("scheme", "ground"), [("light", "rgb(255, 255, 255)"), ("dark", "rgb(20, 23, 27)")])
def test_the_page_fits_the_window_and_is_accessible(
    opened: Open, folder: Path, scheme: str, ground: str, width: int
) -> None:
    shown = opened(folder / "report.html", width, scheme)
    shown.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == ground
    for element in ("document.documentElement", "document.getElementById('case')"):
        if "case" in element:
            shown.click("#cases button")
        assert shown.evaluate(f"{element}.scrollWidth - {element}.clientWidth") == 0
        if AXE.exists():  # npm ci --prefix tests
            shown.evaluate(AXE.read_text(encoding="utf-8"))
            report = shown.evaluate("axe.run()")
            assert len(report["passes"]) > 20
            assert [f"{rule['id']}: {rule['nodes'][0]['html']}" for rule in report["violations"]] == []


# ------------------------------------------------------------------------------------------- what it is made of


HOSTILE = "</script><script>window.ran=1</script><img src=x onerror='window.ran=1'>"


def test_names_are_text_wherever_they_stand(opened: Open, document: Row, tmp_path: Path) -> None:
    """All names would be code if they were not text."""
    changed: Row = json.loads(json.dumps(document))
    changed["run"].update(probes={HOSTILE: HOSTILE}, command=HOSTILE)
    changed["run"]["gate_outcome"].update(summary=[HOSTILE], lines=[HOSTILE, HOSTILE])
    for row in changed["cases"]:
        row.update(case=HOSTILE + row["case"], nearest_reference=HOSTILE)
        row["probe"] = HOSTILE if row["probe"] == "translate" else row["probe"]
        row["metric"] = HOSTILE if row["metric"] == "sort" else row["metric"]
    path = tmp_path / "hostile.html"
    files.write(path, page.render(findings.collect(changed), Album()))
    html = path.read_text(encoding="utf-8")
    assert html.lower().count("<script") == 2
    assert "<img" not in html
    shown = opened(path)
    shown.locator("#cases button").first.click()
    assert shown.evaluate("window.ran") is None
    assert HOSTILE in shown.inner_text("#case-title")
    assert HOSTILE in shown.inner_text(".gate")


def images_of(*names: str) -> Album:
    """The images of the first four cases of probes."""
    images = Album()
    for probe in probes.load([probes.BUILT_IN / f"{name}.yaml" for name in names], 4):
        for case in probe.cases:
            images.add(case.name, case.draw())
    return images


def test_the_same_run_gives_the_same_page(folder: Path, document: Row) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "".join(page.render(findings.collect(document), images_of("translate", "color_stain"))) == text


def test_a_figure_that_cannot_be_drawn_costs_itself_alone(document: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("no such <backend>")

    monkeypatch.setitem(figures.PLOTS, "severity", broken)
    html = "".join(page.render(findings.collect(document), Album()))
    assert html.count("The figure &#39;severity&#39; could not be drawn: RuntimeError: no such &lt;backend&gt;") == 2
    assert html.count("<svg") == 2


def test_what_could_not_be_measured_comes_first_in_the_gallery_and_counts_nowhere(
    opened: Open, document: Row, tmp_path: Path
) -> None:
    changed: Row = json.loads(json.dumps(document))
    broken = rows_of(changed, metric="sort", probe="translate")[0]
    numbers = ("distance", "nearest_reference", "nearest_reference_distance", "margin", "layers")
    broken.update({"passed": False, "error": "RuntimeError: NaN at layer 3", **dict.fromkeys(numbers)})
    name = f"translate/{broken['case']}"
    path = tmp_path / "unmeasured.html"
    files.write(path, page.render(findings.collect(changed), images_of("translate")))
    shown = opened(path)
    assert "1 not measured" in texts(shown, "#table-1 tr:has(th:text-is('sort')) td:nth-child(4)")[0]
    assert texts(shown, "#cases .title")[0] == name
    assert texts(shown, "#count")[0].startswith("8 cases, 1 could not be measured, ")
    shown.select_option("#verdict", "unmeasured")
    assert texts(shown, "#cases .title") == [name]
    shown.click("#cases button")
    assert texts(shown, "#case .unmeasured")[0] == "? could not be measured: RuntimeError: NaN at layer 3"


def test_five_thousand_cases_by_31_variants_are_less_than_25_mib(opened: Open, document: Row, tmp_path: Path) -> None:
    real = rows_of(document, metric="sort")
    cases = [
        {**real[number % len(real)], "probe": f"probe_{number % 20}", "case": f"case-{number}", "metric": f"m-{metric}"}
        for number in range(5000)
        for metric in range(31)
    ]
    path = tmp_path / "many.html"
    files.write(path, page.render(findings.collect({**document, "cases": cases, "drawn": {}}), Album()))
    assert path.stat().st_size + album.IMAGE_BYTES < 25 * 2**20
    shown = opened(path)
    assert texts(shown, "#count")[0].startswith("5000 cases, ")
    assert len(texts(shown, "#cases li")) == 60  # more are drawn on request
    shown.click("#more")
    assert len(texts(shown, "#cases li")) == 120


def test_images_without_room_are_left_out_and_counted(document: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of("translate")
    whole = "".join(page.render(findings.collect(document), images)).count("data:image/png")
    monkeypatch.setattr(album, "IMAGE_BYTES", 20_000)
    html = "".join(page.render(findings.collect(document), images))
    assert 0 < html.count("data:image/png") < whole
    assert f'"images_left_out":{whole - html.count("data:image/png")}' in html

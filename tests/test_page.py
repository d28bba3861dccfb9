"""report.html in a real browser: it shows what results.json says, asks nothing of any other address, and fits."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dps import files, probes, report
from dps.images import Triple
from dps.options import Options
from dps.report import gallery, page, results
from dps.report.album import Album
from dps.report.results import Gathered, Row
from dps.session.configuration import configure
from dps.session.session import Session

CHROMIUM = shutil.which("chromium")
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a real, small run: three variants on two probes, of which some cases are missed."""
    place = tmp_path_factory.mktemp("report")
    options = Options(
        metric=["pixel,sort,spatial"], network=["alexnet"], normalization=["none"], reduction="sum", device="cpu",
        probes=[str(probes.BUILT_IN / name) for name in ("translate.yaml", "color_stain.yaml")], cases=4,
        gate="strict", report_dir=str(place),
    )  # fmt: skip
    configuration = configure(options)
    asked = [(case, variant) for _, case, variant in configuration.items()]
    measured = Session(configuration, asked)
    gathered = Gathered()
    for case, variant in asked:
        gathered.cases.append(measured.row(case, variant))
        triple = measured.triple(case)
        assert isinstance(triple, Triple)
        gathered.drawn.setdefault(case.name, dict(triple.drawn))
        if case.name not in gathered.album.cases:
            gathered.album.add(case.name, triple)
    assert not report.finish(configuration, gathered, "pytest suites/").failed
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
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Open]:
    """Open a page's file; at the end, nothing was complained of or asked for."""
    seen: list[str] = []
    contexts = []

    def open_page(path: Path, width: int = 1440, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        shown = context.new_page()
        shown.on("console", lambda message: seen.append(f"console: {message.text}"))
        shown.on("pageerror", lambda error: seen.append(f"error: {error}"))
        own = ("data:", path.as_uri())
        shown.on("request", lambda asked: None if asked.url.startswith(own) else seen.append(f"asked: {asked.url}"))
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
    assert heads == ["metric", "network", "normalization", "translate", "paper", "color_stain", "paper"]
    for cells in (line.locator("th, td").all_inner_texts() for line in shown.locator("#table-1 tbody tr").all()):
        for place, probe in ((3, "translate"), (5, "color_stain")):
            mine = rows_of(document, probe=probe, metric=cells[0], network=cells[1] or None)
            assert cells[place].split()[0] == f"{sum(row['passed'] for row in mine)}/{len(mine)}"
    papers = [line.locator("td.paper").all_inner_texts() for line in shown.locator("#table-1 tbody tr").all()]
    assert papers == [["0/5", "0/5"], ["0/5", "3/5"], ["5/5", "2/5"]]  # arXiv:2207.02512, Table 1: AlexNet


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


def test_a_table_is_copied_in_three_forms(shown: Any) -> None:
    def copied(how: str) -> str:
        shown.click(f".tools[data-for=table-1] button[data-copy={how}]")
        shown.wait_for_selector(".tools[data-for=table-1] [role=status]:has-text('Copied.')")
        return str(shown.evaluate("navigator.clipboard.readText()"))

    shown.context.grant_permissions(["clipboard-read", "clipboard-write"])
    first = texts(shown, "#table-1 tr:nth-child(1) td")
    parsed = list(csv.reader(io.StringIO(copied("csv"))))
    assert parsed[1] == ["pixel", *first]
    assert len(parsed) == 4
    assert copied("markdown").splitlines()[2] == f"| pixel | {' | '.join(first)} |"
    assert copied("markdown").splitlines()[0].endswith(r"| color\_stain | paper |")
    latex = copied("latex").splitlines()
    assert latex[0] == r"\begin{tabular}{lllrrrr}"
    assert latex[2] == r"metric & network & normalization & translate & paper & color\_stain & paper \\"


# ------------------------------------------------------------------------------------------- the gallery


def test_filters_show_the_cases_of_results_json(shown: Any, document: Row) -> None:
    cases = {(row["probe"], row["case"]) for row in document["cases"]}
    assert len(texts(shown, "#cases li")) == len(cases)
    shown.select_option("#metric", "spatial")
    for verdict, passed in (("missed", False), ("passed", True)):
        shown.select_option("#verdict", verdict)
        expected = {f"{row['probe']}/{row['case']}" for row in rows_of(document, metric="spatial", passed=passed)}
        assert expected
        assert set(texts(shown, "#cases .title")) == expected
    shown.select_option("#verdict", "")
    margins = sorted(row["margin"] for row in rows_of(document, metric="spatial"))
    assert [text.split()[2] for text in texts(shown, "#cases .missed, #cases .passed")] == [
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
    assert texts(shown, "#count") == ["0 cases, 0 missed by pixel; worst first"]


def test_a_case_shows_every_verdict_and_each_layer(shown: Any, document: Row) -> None:
    case = rows_of(document, probe="color_stain")[0]["case"]
    rows = {row["metric"]: row for row in rows_of(document, probe="color_stain", case=case)}
    shown.fill("#search", f"color_stain/{case}")
    shown.click("#cases button")
    assert texts(shown, "#case-title") == [f"color_stain/{case}"]
    lines = [line.locator("td").all_inner_texts() for line in shown.locator(".verdicts tbody tr").all()]
    assert [line[0] for line in lines] == ["pixel", "spatial, none, alexnet", "sort, none, alexnet"]
    for line in lines:
        row = rows[line[0].split(",")[0]]
        assert line[1].startswith("✓ passed" if row["passed"] else "✗ missed")
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
def test_the_page_is_no_wider_than_the_window(opened: Open, folder: Path, width: int) -> None:
    shown = opened(folder / "report.html", width)
    shown.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert shown.evaluate(wide) == 0
    shown.click("#cases button")
    assert shown.evaluate(wide) == 0
    assert (
        shown.evaluate("document.getElementById('case').scrollWidth - document.getElementById('case').clientWidth") == 0
    )


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core: npm ci --prefix tests")
@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_to_complain_of(opened: Open, folder: Path, scheme: str, width: int) -> None:
    shown = opened(folder / "report.html", width, scheme)
    shown.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    shown.evaluate(AXE.read_text(encoding="utf-8"))
    for step in ("", "#cases button"):
        if step:
            shown.click(step)
        found = shown.evaluate("axe.run()")
        assert len(found["passes"]) > 20
        assert [f"{each['id']}: {each['nodes'][0]['html']}" for each in found["violations"]] == []


def test_each_color_scheme_has_its_own_ground(opened: Open, folder: Path) -> None:
    grounds = [
        opened(folder / "report.html", scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]


# ------------------------------------------------------------------------------------------- what it is made of


HOSTILE = "</script><script>window.ran=1</script><img src=x onerror='window.ran=1'>"


def renamed(document: Row) -> Row:
    """A run with a name everywhere that would be code if it were not text."""
    changed: Row = json.loads(json.dumps(document))
    changed["run"]["probes"] = {HOSTILE: HOSTILE}
    changed["run"]["command"] = HOSTILE
    changed["run"]["gated"]["lines"] = [HOSTILE]
    for row in changed["cases"]:
        row.update(case=HOSTILE + row["case"], nearest_reference=HOSTILE)
        row["probe"] = HOSTILE if row["probe"] == "translate" else row["probe"]
        row["metric"] = HOSTILE if row["metric"] == "sort" else row["metric"]
    return changed


def test_names_are_text_wherever_they_stand(opened: Open, document: Row, tmp_path: Path) -> None:
    html = "".join(page.render(renamed(document), Album()))
    assert html.lower().count("<script") == 2
    assert "<img" not in html
    path = tmp_path / "hostile.html"
    path.write_text(html, encoding="utf-8")
    shown = opened(path)
    shown.locator("#cases button").first.click()
    assert shown.evaluate("window.ran") is None
    assert HOSTILE in shown.inner_text("#case-title")
    assert HOSTILE in shown.inner_text(".gate")


def test_the_same_run_gives_the_same_page(folder: Path, document: Row) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    album = Album()
    for probe in ("translate", "color_stain"):
        (loaded,) = probes.load([probes.BUILT_IN / f"{probe}.yaml"], 4)
        for case in loaded.cases:
            album.add(case.name, case.draw())
    assert "".join(page.render(document, album)) == text


def many(document: Row, cases: int, variants: int) -> Row:
    """A made-up run of many cases and variants, with a real one's numbers."""
    real = rows_of(document, metric="sort")
    keys = [(f"metric-{number}", "alexnet", "none") for number in range(variants)]
    made = [
        {**real[number % len(real)], "probe": f"probe_{number % 20}", "case": f"case-{number}", "metric": metric}
        for number in range(cases)
        for metric, _, _ in keys
    ]
    return {**document, "cases": made, "drawn": {}}


def test_five_thousand_cases_by_31_variants_are_less_than_25_mib(opened: Open, document: Row, tmp_path: Path) -> None:
    path = tmp_path / "many.html"
    files.write_text(path, page.render(many(document, 5000, 31), Album()))
    assert path.stat().st_size + gallery.MOST_IMAGES < 25 * 2**20
    shown = opened(path)
    assert texts(shown, "#count")[0].startswith("5000 cases, ")
    assert len(texts(shown, "#cases li")) == 60  # more are drawn when asked for
    shown.click("#more")
    assert len(texts(shown, "#cases li")) == 120


def test_too_many_images_become_smaller_and_then_fewer(
    folder: Path, document: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    album = Album()
    (loaded,) = probes.load([probes.BUILT_IN / "translate.yaml"], 4)
    for case in loaded.cases:
        album.add(case.name, case.draw())
    whole = "".join(page.render(document, album))
    monkeypatch.setattr(gallery, "MOST_IMAGES", 5000)
    less = "".join(page.render(document, album))
    assert whole.count("data:image/png") > less.count("data:image/webp") > 0
    assert "data:image/png" not in less
    assert '"lossy":true' in less

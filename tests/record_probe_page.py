"""Write probes/README.md, what each probe asks, shows and draws, with the results of a run; see `COMMAND`.

Its text is probe_page.md.j2. What a probe separates is in reports/separation.json, see record_separation.py.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import PIL.Image

from dps import files, locations, probes
from dps.errors import UsageError
from dps.probes import Case, Probe
from dps.report import pass_fractions, results, sheets, strata
from dps.report.page import environment
from dps.report.pass_fractions import PassCounts
from dps.report.tables import escape_markdown
from dps.rows import Document, VariantKey

SHEET_IMAGES, SHEET_BYTES, SHEET_COLORS = 16, 60_000, 128
"""Limits of a sheet on the page."""


COMMAND = "python -m tests.record_probe_page reports/latest/results.json"

SEPARATION = locations.data("baselines").parent / "separation.json"


def write(document: Document, probes: Sequence[Probe], path: Path) -> Iterator[Path]:
    """Write the page, and a sheet of each probe into the folder ``sheets/`` next to it, and yield the files.

    Raises:
        UsageError: the run lacks one of the probes, or had other cases of it.
        DrawError: a case cannot be drawn.
    """
    for probe in probes:
        measured = {row["case"] for row in document["cases"] if row["probe"] == probe.name}
        if measured != {case.id for case in probe.cases}:
            raise UsageError(
                f"{probe.name}: the run has {len(measured)} cases, which are not the {len(probe.cases)} of "
                f"{probe.path}; run pytest suites/test_probes.py first."
            )
    (path.parent / "sheets").mkdir(parents=True, exist_ok=True)
    for probe in probes:
        sheet = path.parent / "sheets" / f"{probe.name}.png"
        files.write(sheet, _sheet(probe.cases))
        yield sheet
    files.write(path, page(document, probes).encode())
    yield path


def page(document: Document, probes: Sequence[Probe]) -> str:
    """Return the page's text."""
    template = Path(__file__).with_name("probe_page.md.j2").read_text(encoding="utf-8")
    separation = json.loads(SEPARATION.read_text(encoding="utf-8"))
    document = {**document, "run": {**document["run"], "sanity": []}}  # each has a table of its own
    counts = strata.split_by_source(document, pass_fractions.count(document["cases"]))
    text: str = environment().overlay(autoescape=False).from_string(template).render(
        command=COMMAND,
        separation=separation["probes"],
        run=document["run"],
        cells=pass_fractions.CELLS,
        probes=probes,
        heading=heading,
        ranges=ranges,
        results={probe.name: _results(counts, probe.name) for probe in probes},
        sentences={probe.name: strata.as_sentences(document, probe.name) for probe in probes},
    )  # fmt: skip
    return text


def heading(probe: Probe) -> str:
    """Return the heading of a probe's section: its name, and how many cases it has by default."""
    return f"## {probe.name}: {len(probe.cases)} cases"


def ranges(probe: Probe) -> str:
    """Return what a probe's file declares of its cases, word for word."""
    _, _, cases = probe.path.read_text(encoding="utf-8").partition("\ncases:\n")
    return f"```yaml\ncases:\n{cases.rstrip()}\n```"


def _results(counts: PassCounts, probe: str) -> Iterator[str]:
    """Yield a table of metrics and normalizations by networks, or one for each of the strata that stand apart."""
    for name in counts.probes:
        if name == probe:
            yield from _table(counts, name)
        elif name.startswith(f"{probe}/"):
            yield from (f"**{name.partition('/')[2].capitalize()}**", "", *_table(counts, name), "")


def _table(counts: PassCounts, probe: str) -> Iterator[str]:
    """Yield the lines of one."""
    networks = list(dict.fromkeys(variant.network for variant in counts.variants if variant.network)) or [""]
    yield f"| metric | normalization | {' | '.join(networks)} |"
    yield "| --- | --- |" + " ---: |" * len(networks)
    for metric, normalization in dict.fromkeys((variant.metric, variant.normalization) for variant in counts.variants):
        keys = [VariantKey(network, normalization, metric) for network in networks]
        if VariantKey(None, None, metric) in counts.variants:
            keys[0] = VariantKey(None, None, metric)
        cells = " | ".join(str(counts.get(key, probe).cell()) for key in keys)
        yield f"| {escape_markdown(metric)} | {normalization or ''} | {cells} |"


def _sheet(cases: Sequence[Case]) -> bytes:
    """Return a sheet of a few cases as a small PNG file."""
    images = 2 + sum(not recipe.shared for recipe in cases[0].references.values())
    for count in range(max(1, SHEET_IMAGES // images), 0, -1):
        data = io.BytesIO()
        sheet = sheets.sheet(_dissimilar(cases, count))
        sheet.quantize(SHEET_COLORS, dither=PIL.Image.Dither.NONE).save(data, "PNG", optimize=True)
        if data.tell() < SHEET_BYTES:
            break
    return data.getvalue()


def _dissimilar(cases: Sequence[Case], count: int) -> list[Case]:
    """Return some cases whose ids have as little in common as possible, such as content and angle; in order."""
    used: Counter[str] = Counter()
    rest = list(cases)
    for _ in range(min(count, len(cases))):
        case = min(rest, key=lambda case: sum(used[part] for part in case.id.split("-")))
        rest.remove(case)
        used.update(case.id.split("-"))
    return [case for case in cases if case not in rest]


if __name__ == "__main__":
    measured = results.read(Path(sys.argv[1]))
    for written in write(measured, probes.load([probes.BUILT_IN]), probes.BUILT_IN / "README.md"):
        print(written)

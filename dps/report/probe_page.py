"""probes/README.md: what each probe asks, shows and draws, why a person would agree, and what a run found."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import PIL.Image

from dps import files
from dps.errors import UsageError
from dps.probes import Case, Probe
from dps.report import pass_fractions, severity, sheets, tables
from dps.report.pass_fractions import PassCounts
from dps.report.results import Row
from dps.rows import VariantKey

MOST_IMAGES, MOST_BYTES, COLORS = 16, 60_000, 128
"""Of a sheet on the page: so many images, or as many as fit into so many bytes, in so many colors."""

TEXT = """\
# Probes

Written by

    {command}

and not by hand. The numbers are those of `{run}`: dps {dps}, PyTorch {torch}, weights
{weights}.

A probe asks the same of many drawn cases: *is the distorted image closer to the original than every reference?* Each
sheet shows a few of its cases: original, distorted image and, where there is one, the case's own reference. The others
have the seven standard references: black, white, gray, red, green, blue and noise. Ranges are as in the YAML files
beside this page; `between` is drawn evenly, `cycle` goes in turn, `deal` like cards, `each` makes a case of each.
Cells: {cells}, by Wilson's method.
`dps report RESULTS.json --probe PROBE --by NAME` breaks a pass fraction down by anything that its cases were drawn
with. Sheets have few colors here; `dps probes draw --out DIR` draws all cases as they are.
"""

LEFT_OUT = """
## Left out

**texture_swap** (the same silhouette with another texture, against the same texture with another silhouette): people
[name things by their shape](https://arxiv.org/abs/1811.12231), but which of two such pictures they would call closer
is not as clear. Of a dozen such triples drawn from the icons and textures above, several made us hesitate, and some
looked closer by texture; so there is no answer that a metric could be held to.
"""


def write(document: Row, probes: Sequence[Probe], path: Path, command: str) -> Iterator[Path]:
    """Write the page, and a sheet of each probe into ``sheets/`` beside it.

    Args:
        document: results.json of a run of these probes.
        probes: in the order in which they are shown.
        path: of the page.
        command: that writes it, as the page says.

    Yields:
        The files, as they are written.

    Raises:
        UsageError: the run did not ask one of the probes, or asked it of other cases.
        DrawError: a case cannot be drawn.
        OSError: a file cannot be written.
    """
    table = pass_fractions.count(document["cases"])
    for probe in probes:
        _check(document, probe)
    (path.parent / "sheets").mkdir(parents=True, exist_ok=True)
    for probe in probes:
        sheet = path.parent / "sheets" / f"{probe.name}.png"
        files.write(sheet, _sheet(probe.cases))
        yield sheet
    files.write(path, page(document, table, probes, command).encode())
    yield path


def page(document: Row, table: PassCounts, probes: Sequence[Probe], command: str) -> str:
    """The page's text."""
    run = document["run"]
    weights = ", ".join(
        f"{name} {network['weights']} `{network['sha256'][:12]}`" for name, network in run["networks"].items()
    )
    about = {"run": run["command"], "dps": run["dps"], "torch": run["torch"], "cells": pass_fractions.CELLS}
    parts = [TEXT.format(command=command, weights=weights, **about)]
    parts += ["\n".join([*_section(document, table, probe), ""]) for probe in probes]
    return "\n".join(parts) + LEFT_OUT


def heading(probe: Probe) -> str:
    """What stands above a probe's section: its name, and how many cases it has by default."""
    return f"## {probe.name}: {len(probe.cases)} cases"


def ranges(probe: Probe) -> str:
    """What a probe's file declares of its cases, as it stands there."""
    _, _, cases = probe.path.read_text(encoding="utf-8").partition("\ncases:\n")
    return f"```yaml\ncases:\n{cases.rstrip()}\n```"


def _section(document: Row, table: PassCounts, probe: Probe) -> Iterator[str]:
    yield from (heading(probe), "", f"*{tables.escape_markdown(probe.asks)}*", "")
    yield from (f"![Cases of {probe.name}](sheets/{probe.name}.png)", "")
    yield from (f"Why a person would agree: {tables.escape_markdown(probe.because)}", "")
    yield from (f"Source: {tables.escape_markdown(probe.source)}.", "")
    yield from (ranges(probe), "")
    yield from _results(table, probe.name)
    if sentences := severity.in_words(document, probe.name):
        yield from ("", *(f"- {tables.escape_markdown(sentence)}" for sentence in sentences))


def _results(table: PassCounts, probe: str) -> Iterator[str]:
    """A row for each metric and normalization, a column for each network."""
    networks = list(dict.fromkeys(key.network for key in table.variants if key.network))
    yield "| metric | normalization | " + " | ".join([*(networks or [""]), ""]).rstrip()
    yield "| --- | --- |" + " ---: |" * max(1, len(networks))
    for metric, normalization in dict.fromkeys((key.metric, key.normalization) for key in table.variants):
        counts = [table.of(VariantKey(network, normalization, metric), probe).cell() for network in networks]
        alone = table.of(VariantKey(None, None, metric), probe).cell()
        cells = [str(alone), *[""] * (len(networks) - 1)] if alone.text else map(str, counts)
        yield f"| {tables.escape_markdown(metric)} | {normalization or ''} | " + " | ".join(cells) + " |"


def _check(document: Row, probe: Probe) -> None:
    """See that a run asked this probe, of these cases."""
    asked = {row["case"] for row in document["cases"] if row["probe"] == probe.name}
    if asked != {case.id for case in probe.cases}:
        raise UsageError(
            f"{probe.name}: the run asked {len(asked)} cases, but {probe.path} has {len(probe.cases)} or others; "
            "run pytest suites/test_probes.py first."
        )


def _sheet(cases: Sequence[Case]) -> bytes:
    """A few cases as a small PNG."""
    images = 2 + sum(not how.standard for how in cases[0].references.values())
    for count in range(max(1, MOST_IMAGES // images), 0, -1):
        data = io.BytesIO()
        whole = sheets.sheet(_unlike(cases, count))
        whole.quantize(COLORS, dither=PIL.Image.Dither.NONE).save(data, "PNG", optimize=True)
        if data.tell() < MOST_BYTES:
            break
    return data.getvalue()


def _unlike(cases: Sequence[Case], count: int) -> list[Case]:
    """Some cases whose ids have as little in common as possible, such as content and angle; in order."""
    used: Counter[str] = Counter()
    rest = list(cases)
    for _ in range(min(count, len(cases))):
        case = min(rest, key=lambda case: sum(used[part] for part in case.id.split("-")))
        rest.remove(case)
        used.update(case.id.split("-"))
    return [case for case in cases if case not in rest]

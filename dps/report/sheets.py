"""Contact sheets: the images of a probe's cases in rows, with the cases' ids."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

from dps.errors import DrawError
from dps.images import Triple
from dps.probes import Case, Probe

GAP, TITLE, CAPTION = 10, 16, 14
BACKDROP, INK, FAINT = (92, 92, 100), (255, 255, 255), (214, 214, 220)
"""A gray that no reference has, so that their edges show; colors of ids and of captions."""

CASES_PER_SHEET, WIDTH = 60, 1600
"""Limits of one sheet: cases, and pixels across."""

VALUES_COUNTED = 16
"""A value that takes more different ones than this is not counted."""


def draw(probe: Probe, folder: Path) -> Iterator[Path]:
    """Draw a probe's cases into a folder, as ``PROBE.png`` or ``PROBE-1.png`` and so on, and yield the files."""
    sheets = [probe.cases[i : i + CASES_PER_SHEET] for i in range(0, len(probe.cases), CASES_PER_SHEET)]
    for number, cases in enumerate(sheets, start=1):
        path = folder / (f"{probe.name}.png" if len(sheets) == 1 else f"{probe.name}-{number}.png")
        sheet(cases).save(path)
        yield path


def counted(triples: Iterable[Triple]) -> dict[str, dict[str, int]]:
    """Count how often each content, ground, angle and so on was drawn, in order of appearance."""
    values: dict[str, Counter[str]] = {}
    for triple in triples:
        for key, value in triple.drawn.items():
            if not isinstance(value, dict | list | tuple):
                values.setdefault(key, Counter())[f"{value:g}" if isinstance(value, float) else str(value)] += 1
    return {key: dict(count) for key, count in values.items() if len(count) <= VALUES_COUNTED}


def sheet(cases: Sequence[Case], width: int = WIDTH) -> PIL.Image.Image:
    """Draw cases in columns, each below its id, or below its full name where they are of several probes.

    The seven standard references, which are the same for every case, are left out. One column is as wide as its cases.

    Raises:
        DrawError: there is no case, or one cannot be drawn.
    """
    if not cases:
        raise DrawError("a sheet needs at least one case")
    one_probe = len({case.probe for case in cases}) == 1
    cells = [_cell(case.id if one_probe else case.name, case) for case in cases]
    wide, high = max(cell.width for cell in cells) + GAP, max(cell.height for cell in cells) + GAP
    columns = max(1, min(len(cells), (width - GAP) // wide))
    page = PIL.Image.new("RGB", (columns * wide + GAP, -(-len(cells) // columns) * high + GAP), BACKDROP)
    for index, cell in enumerate(cells):
        page.paste(cell, (GAP + index % columns * wide, GAP + index // columns * high))
    return page


def _cell(title: str, case: Case) -> PIL.Image.Image:
    triple = case.draw()
    own = {name: triple.references[name] for name, recipe in case.references.items() if not recipe.shared}
    shown = {"original": triple.original, "distorted": triple.distorted, **own}
    images = {name: PIL.Image.fromarray(image.pixels) for name, image in shown.items()}
    width = sum(image.width + 2 for image in images.values()) - 2
    height = max(image.height for image in images.values())
    cell = PIL.Image.new("RGB", (width, TITLE + height + CAPTION), BACKDROP)
    pen, font = PIL.ImageDraw.Draw(cell), PIL.ImageFont.load_default()
    pen.text((0, 2), textwrap.shorten(title, max(8, width // 6), placeholder=".."), fill=INK, font=font)
    left = 0
    for name, image in images.items():
        cell.paste(image, (left, TITLE))
        pen.text((left, TITLE + image.height + 1), name[: max(1, image.width // 6)], fill=FAINT, font=font)
        left += image.width + 2
    return cell

"""Contact sheets: images of the cases of a probe, with their ids."""

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
"""Colors of the background, which no reference has, of ids and of captions."""

CASES_PER_SHEET, WIDTH = 60, 1600
"""Limits of one sheet: number of cases, and width in pixels."""

MAX_VALUES = 16
"""Largest number of distinct values of a parameter that are counted."""


def draw(probe: Probe, folder: Path) -> Iterator[Path]:
    """Draw the cases of a probe as ``PROBE.png``, or ``PROBE-1.png`` and so on, and yield the paths."""
    sheets = [probe.cases[i : i + CASES_PER_SHEET] for i in range(0, len(probe.cases), CASES_PER_SHEET)]
    for number, cases in enumerate(sheets, start=1):
        path = folder / (f"{probe.name}.png" if len(sheets) == 1 else f"{probe.name}-{number}.png")
        sheet(cases).save(path)
        yield path


def count_values(triples: Iterable[Triple]) -> dict[str, dict[str, int]]:
    """Count the values of each drawn parameter, such as content or angle, in order of appearance."""
    values: dict[str, Counter[str]] = {}
    for triple in triples:
        for key, value in triple.drawn.items():
            if not isinstance(value, dict | list | tuple):
                values.setdefault(key, Counter())[f"{value:g}" if isinstance(value, float) else str(value)] += 1
    return {key: dict(count) for key, count in values.items() if len(count) <= MAX_VALUES}


def sheet(cases: Sequence[Case], width: int = WIDTH) -> PIL.Image.Image:
    """Draw cases in columns, each below its id, or below its full name if they belong to several probes.

    The standard references, which are the same for all cases, are left out.

    Raises:
        DrawError: there is no case, or one cannot be drawn.
    """
    if not cases:
        raise DrawError("a sheet needs at least one case")
    one_probe = len({case.probe for case in cases}) == 1
    cells = [_cell(case.id if one_probe else case.name, case) for case in cases]
    step_x, step_y = max(cell.width for cell in cells) + GAP, max(cell.height for cell in cells) + GAP
    columns = max(1, min(len(cells), (width - GAP) // step_x))
    page = PIL.Image.new("RGB", (columns * step_x + GAP, -(-len(cells) // columns) * step_y + GAP), BACKDROP)
    for index, cell in enumerate(cells):
        page.paste(cell, (GAP + index % columns * step_x, GAP + index // columns * step_y))
    return page


def _cell(title: str, case: Case) -> PIL.Image.Image:
    triple = case.draw()
    references = {name: triple.references[name] for name, recipe in case.references.items() if not recipe.shared}
    shown = {"original": triple.original, "distorted": triple.distorted, **references}
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

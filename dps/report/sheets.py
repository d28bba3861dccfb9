"""Contact sheets: what a probe asks, as pictures in rows with the cases' ids."""

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
"""A gray that none of the references has, so that their edges show; ids; what each image is."""

CASES_A_SHEET, WIDTH = 60, 1600
"""How much stands on one sheet: cases, and pixels across."""

MOST_STRATA = 16
"""Of a value with more different ones than this, no counts are shown."""


def draw(probe: Probe, folder: Path) -> Iterator[Path]:
    """Draw a probe's cases as PNG sheets; original, distorted image and own references side by side.

    The seven standard references, which are the same for every case, are left out.

    Args:
        probe: what is asked.
        folder: where ``PROBE.png`` is written, or ``PROBE-1.png`` and so on where one sheet is not enough.

    Yields:
        The files, as they are written.

    Raises:
        DrawError: a case cannot be drawn.
        OSError: a file cannot be written.
    """
    sheets = [probe.cases[i : i + CASES_A_SHEET] for i in range(0, len(probe.cases), CASES_A_SHEET)]
    for number, cases in enumerate(sheets, start=1):
        path = folder / (f"{probe.name}.png" if len(sheets) == 1 else f"{probe.name}-{number}.png")
        sheet(cases).save(path)
        yield path


def counted(triples: Iterable[Triple]) -> dict[str, dict[str, int]]:
    """How often each value was drawn that few different ones are drawn of: contents, grounds, angles, ...

    Returns:
        By name of the value, each value's count, in order of appearance.
    """
    values: dict[str, Counter[str]] = {}
    for triple in triples:
        for key, value in triple.drawn.items():
            if not isinstance(value, dict | list | tuple):
                values.setdefault(key, Counter())[f"{value:g}" if isinstance(value, float) else str(value)] += 1
    return {key: dict(count) for key, count in values.items() if len(count) <= MOST_STRATA}


def sheet(cases: Sequence[Case], width: int = WIDTH) -> PIL.Image.Image:
    """One picture of cases in columns, each below its id; below its name where they are of several probes.

    Args:
        cases: at least one.
        width: of the picture, in pixels, at most; one column is never narrower than its cases.

    Raises:
        DrawError: there is none, or one cannot be drawn.
    """
    if not cases:
        raise DrawError("a sheet needs at least one case")
    of_one = len({case.probe for case in cases}) == 1
    cells = [_cell(case.id if of_one else case.name, case.draw(), list(_own(case))) for case in cases]
    wide, high = max(cell.width for cell in cells) + GAP, max(cell.height for cell in cells) + GAP
    columns = max(1, min(len(cells), (width - GAP) // wide))
    rows = -(-len(cells) // columns)
    page = PIL.Image.new("RGB", (columns * wide + GAP, rows * high + GAP), BACKDROP)
    for index, cell in enumerate(cells):
        page.paste(cell, (GAP + index % columns * wide, GAP + index // columns * high))
    return page


def _own(case: Case) -> Iterator[str]:
    """The names of references that are this case's own."""
    return (name for name, how in case.references.items() if not how.standard)


def _cell(title: str, triple: Triple, references: Sequence[str]) -> PIL.Image.Image:
    pictures = [triple.original, triple.distorted, *(triple.references[name] for name in references)]
    images = [PIL.Image.fromarray(picture.pixels) for picture in pictures]
    width = sum(image.width for image in images) + 2 * (len(images) - 1)
    cell = PIL.Image.new("RGB", (width, TITLE + max(image.height for image in images) + CAPTION), BACKDROP)
    pen, font = PIL.ImageDraw.Draw(cell), PIL.ImageFont.load_default()
    pen.text((0, 2), textwrap.shorten(title, max(8, width // 6), placeholder=".."), fill=INK, font=font)
    left = 0
    for name, image in zip(["original", "distorted", *references], images, strict=True):
        cell.paste(image, (left, TITLE))
        pen.text((left, TITLE + image.height + 1), name[: max(1, image.width // 6)], fill=FAINT, font=font)
        left += image.width + 2
    return cell

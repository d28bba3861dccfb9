"""From rows that name image files to a data set: what is wrong with them, and which of them are read at once."""

import functools
import itertools
import math
import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dps import images
from dps.errors import ImageError, JudgmentsError
from dps.judgments import shard_files
from dps.judgments.dataset import ALL, KINDS, SHARD_SIZE, Dataset, Judged, Shard
from dps.judgments.shard_files import resized_shape
from dps.judgments.tables import Find, Predictions

SHARD_PIXELS = 2**25
"""Most pixels of a shard, 100 MB: all distorted images of one original of any published set, measured with it once."""


def finder() -> Find:
    """Return what finds image files by the names that a study has for them.

    It returns the path of a file in the first of some folders that has it, else its path in the first. A name may have
    backslashes, and may differ in case and in its Unicode normalization form.
    """
    listings: dict[str, dict[str, str]] = {}

    def find(folders: Sequence[Path], name: str) -> str:
        paths = [os.path.normpath(folder / name.replace("\\", "/")) for folder in folders]
        for path in paths:
            folder, base = os.path.split(path)
            if folder not in listings:
                entries = sorted(os.listdir(folder)) if os.path.isdir(folder) else []  # noqa: PTH112, PTH208 - fast
                listings[folder] = {_folded(entry): entry for entry in entries} | {e: e for e in entries}
            if found := listings[folder].get(base) or listings[folder].get(_folded(base)):
                return os.path.join(folder, found)  # noqa: PTH118 - three times as fast
        return paths[0]

    return find


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def make(
    about: Dataset,
    kind: str,
    rows: Sequence[Judged],
    where: Path,
    size: int | None,
    *,
    limits: tuple[float, float] | None = None,
    predictions: Iterable[Predictions] = (),
    measured: bool = True,
) -> Dataset:
    """Make a data set of rows, with the rows of one original in one shard where they fit.

    Args:
        about: its names and what is said about it.
        where: the file or folder that messages begin with.
        size: the length of the shorter side that images are resized to; None for as they are.
        limits: of a score.
        measured: the image files are read; else there are only predictions.

    Raises:
        JudgmentsError: an image is missing or has another size than its original, a row stands there twice, or a score
            is outside of its limits; one line says how many, and names the first.
    """
    low, high = (0.0, 1.0) if kind == "2afc" else limits or (-math.inf, math.inf)
    outside = [row for row in rows if not low <= float(row.judgment) <= high]
    _refuse(outside, where, f"with a judgment that is not within {low:g} and {high:g}")
    counts = Counter((row.original, row.compared) for row in rows)
    twice = [row for row in rows if counts[row.original, row.compared] > 1]
    _refuse(twice, where, "with the same images as another; make one row of them")
    if len(rows) < 2 or (kind == "mos" and len({row.judgment for row in rows}) < 2):
        raise JudgmentsError(f"{where}: {counted(len(rows), 'row')}; two are needed at least, with different scores.")
    if clash := ({row.group for row in rows} & ({row.split for row in rows} | {ALL})) - {""}:
        raise JudgmentsError(f"{where}: the group {min(clash)!r} has the name of a split, or of all rows; rename it.")
    shapes = _shapes(where, rows, size) if measured else {}
    shards = tuple(_shards(kind, sorted(rows, key=lambda row: (row.split, row.original)), shapes, size))
    return replace(
        about,
        shards=shards,
        title=about.title or f"Scores on the study {about.name}",
        pooled={kind: ALL},
        shapes=frozenset(shapes.values()),
        preprocessing=shard_files.preprocessing(size),
        predictions={each.name: each.distances(shards) for each in predictions},
    )


def _refuse(wrong: Sequence[Judged], where: Path, what: str) -> None:
    """Raise a JudgmentsError that counts rows that are wrong, and names the first three; none if there are none."""
    if wrong:
        raise JudgmentsError(f"{where}: {counted(len(wrong), 'row')} {what}: {some([row.where for row in wrong])}.")


def some(names: Sequence[str]) -> str:
    """Return the first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, in the plural where that is right."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shapes(where: Path, rows: Sequence[Judged], size: int | None) -> dict[str, tuple[int, int]]:
    """Return height and width of each original, as they are measured; only the headers of files are read."""
    others = {path: row.original for row in rows for path in row.compared}
    shapes: dict[str, tuple[int, int]] = {}
    missing: list[str] = []
    damaged: list[str] = []
    for path in dict.fromkeys([*others.values(), *others]):
        try:
            shapes[path] = resized_shape(*images.shape(Path(path)), size)
        except ImageError:
            (damaged if os.path.exists(path) else missing).append(path)  # noqa: PTH110 - a text
    for paths, what in ((missing, "missing"), (damaged, "not an image that can be read")):
        if paths:
            verb = "is" if len(paths) == 1 else "are"
            raise JudgmentsError(f"{where}: {counted(len(paths), 'image file')} {verb} {what}: {some(paths)}.")
    odd = [f"{path} (of {original})" for path, original in others.items() if shapes[path] != shapes[original]]
    if odd:
        raise JudgmentsError(f"{where}: {counted(len(odd), 'image')} of another size than the original: {some(odd)}.")
    return {original: shapes[original] for original in others.values()}


def _shards(
    kind: str, rows: Sequence[Judged], shapes: Mapping[str, tuple[int, int]], size: int | None
) -> Iterator[Shard]:
    """Divide rows into shards of one split each; the rows of one original stay together where they fit."""
    for split, of_split in itertools.groupby(rows, key=lambda row: row.split):
        batches: list[list[Judged]] = []
        room = 0
        for original, of_original in itertools.groupby(of_split, key=lambda row: row.original):
            area = max(1, math.prod(shapes.get(original, (0, 0))))
            same = list(of_original)
            most = max(1, min(SHARD_SIZE, (SHARD_PIXELS // area - 1) // KINDS[kind]))
            for start in range(0, len(same), most):
                piece = same[start : start + most]
                pixels = area * (1 + KINDS[kind] * len(piece))
                if batches and pixels <= room and len(batches[-1]) + len(piece) <= SHARD_SIZE:
                    batches[-1] += piece
                else:
                    batches.append(piece)
                    room = SHARD_PIXELS
                room -= pixels
        for number, batch in enumerate(batches):
            yield Shard(
                kind=kind,
                subset=split or ALL,
                number=number,
                count=len(batch),
                load=functools.partial(shard_files.load, batch, kind, size),
                rows=tuple(batch),
            )

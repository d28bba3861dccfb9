"""Data sets from rows that name image files: validation of the rows, and their division into shards."""

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
from dps.judgments.dataset import ALL, KINDS, SHARD_SIZE, Dataset, JudgedFiles, Shard
from dps.judgments.shard_files import resized_shape
from dps.judgments.tables import Find, Predictions

SHARD_PIXELS = 2**25
"""Maximum number of pixels per shard, 100 MB: enough for all distorted images of one original of any published set."""


def finder() -> Find:
    """Return a function that finds image files by their names in a study.

    It returns the path in the first folder that contains the file, else the path in the first folder. Names may contain
    backslashes and differ from the file's in case and Unicode normalization form.
    """
    listings: dict[str, dict[str, str]] = {}

    def find(folders: Sequence[Path], name: str) -> str:
        paths = [os.path.normpath(folder / name.replace("\\", "/")) for folder in folders]
        for path in paths:
            folder, base = os.path.split(path)
            if folder not in listings:
                entries = sorted(os.listdir(folder or ".")) if os.path.isdir(folder or ".") else []  # noqa: PTH112, PTH208 - fast
                listings[folder] = {_folded(entry): entry for entry in entries} | {e: e for e in entries}
            if entry := listings[folder].get(base) or listings[folder].get(_folded(base)):
                return os.path.join(folder, entry)  # noqa: PTH118 - three times as fast
        return paths[0]

    return find


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def make(
    template: Dataset,
    kind: str,
    rows: Sequence[JudgedFiles],
    where: Path,
    size: int | None,
    *,
    limits: tuple[float, float] | None = None,
    predictions: Iterable[Predictions] = (),
    measured: bool = True,
) -> Dataset:
    """Return a data set of rows; those of one original are in one shard if they fit.

    Args:
        template: a data set without content, for its names and description.
        where: file or folder, for messages.
        size: length of the shorter side after resizing, in pixels; None for no resizing.
        limits: of a score.
        measured: whether there are image files, not only predictions.

    Raises:
        JudgmentsError: an image is missing or differs in size from its original, a row is repeated, or a score is
            outside of its limits; one line with the number of faults and the first three.
    """
    low, high = (0.0, 1.0) if kind == "2afc" else limits or (-math.inf, math.inf)
    outside = [row.where for row in rows if not low <= float(row.judgment) <= high]
    _check_none(outside, where, "row", f"with a judgment outside [{low:g}, {high:g}]")
    counts = Counter((row.original, row.compared) for row in rows)
    repeated = [row.where for row in rows if counts[row.original, row.compared] > 1]
    _check_none(repeated, where, "row", "with the same images as another row; merge them")
    if len(rows) < 2 or (kind == "mos" and len({row.judgment for row in rows}) < 2):
        raise JudgmentsError(f"{where}: {quantity(len(rows), 'row')}; at least two with different scores are needed.")
    if clash := ({row.group for row in rows} & ({row.split for row in rows} | {ALL})) - {""}:
        raise JudgmentsError(f"{where}: the group {min(clash)!r} is also a split or the name of all rows; rename it.")
    shapes = _shapes(where, rows, size) if measured else {}
    shards = tuple(_shards(kind, sorted(rows, key=lambda row: (row.split, row.original)), shapes, size))
    return replace(
        template,
        shards=shards,
        title=template.title or f"Scores on the study {template.name}",
        pooled={kind: ALL},
        shapes=frozenset(shapes.values()),
        preprocessing=shard_files.preprocessing(size),
        predictions={prediction.name: prediction.distances(shards) for prediction in predictions},
    )


def _check_none(faulty: Sequence[str], where: Path, noun: str, problem: str) -> None:
    if faulty:
        raise JudgmentsError(f"{where}: {quantity(len(faulty), noun)} {problem}: {abbreviated(faulty)}.")


def abbreviated(names: Sequence[str]) -> str:
    """Join the first three names, with the number of further ones."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def quantity(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shapes(where: Path, rows: Sequence[JudgedFiles], size: int | None) -> dict[str, tuple[int, int]]:
    """Return height and width of each original after resizing, from the headers of the files."""
    original_of = {path: row.original for row in rows for path in row.compared}
    shapes: dict[str, tuple[int, int]] = {}
    missing: list[str] = []
    unreadable: list[str] = []
    for path in dict.fromkeys([*original_of.values(), *original_of]):
        try:
            shapes[path] = resized_shape(*images.shape(Path(path)), size)
        except ImageError:
            (unreadable if os.path.exists(path) else missing).append(path)  # noqa: PTH110 - a text
    _check_none(missing, where, "image file", "missing")
    _check_none(unreadable, where, "image file", "not readable")
    different = [
        f"{path} (of {original})" for path, original in original_of.items() if shapes[path] != shapes[original]
    ]
    _check_none(different, where, "image", "with another size than the original")
    return {original: shapes[original] for original in original_of.values()}


def _shards(
    kind: str, rows: Sequence[JudgedFiles], shapes: Mapping[str, tuple[int, int]], size: int | None
) -> Iterator[Shard]:
    """Divide rows into shards of one split each; the rows of one original stay together if they fit."""
    for split, rows_of_split in itertools.groupby(rows, key=lambda row: row.split):
        batches: list[list[JudgedFiles]] = []
        room = 0
        for original, group in itertools.groupby(rows_of_split, key=lambda row: row.original):
            area = max(1, math.prod(shapes.get(original, (0, 0))))
            rows_of_original = list(group)
            most = max(1, min(SHARD_SIZE, (SHARD_PIXELS // area - 1) // KINDS[kind]))
            for start in range(0, len(rows_of_original), most):
                piece = rows_of_original[start : start + most]
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

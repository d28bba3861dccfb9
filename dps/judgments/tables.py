"""CSV files: your own study, and predictions computed elsewhere.

Comment lines before the header state what is never guessed:

    # high score: similar          or different; for predictions: high prediction
    # originals: DIR               folder of the originals, relative to the file's; also: distorted
"""

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dps.errors import JudgmentsError
from dps.judgments import shard_files
from dps.judgments.dataset import JudgedFiles, Shard

Find = Callable[[Sequence[Path], str], str]
"""Returns the path of an image file from candidate folders and a name."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "original": ("original", "ref_name", "hq_name", "ref_img", "ref_path"),
    "distorted": ("distorted", "dist_name", "dist_img", "image"),
    "score": ("score", "mos", "dmos", "elo_score"),
    "a": ("a", "left_path"),
    "b": ("b", "right_path"),
    "chose_b": ("chose_b", "right_vote"),
}
"""Names of columns, with those in pyiqa's meta files, KADID-10k and NIGHTS."""

SCORES = ("original", "distorted", "score")
CHOICES = ("original", "a", "b", "chose_b")
PREDICTIONS = ("distorted", "prediction")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """The cells of a file as text, by column; each row with its file and line, for messages."""

    path: Path
    comments: Mapping[str, str]
    columns: Sequence[str]
    rows: Sequence[tuple[str, Mapping[str, str]]] = field(repr=False)

    def has(self, columns: Sequence[str]) -> bool:
        """Return whether all of these columns are present."""
        return set(columns) <= set(self.columns)

    def high_is_similar(self, column: str) -> bool:
        """Return the meaning of high numbers from the comments; a JudgmentsError if they do not state it."""
        meaning = self.comments.get(f"high {column}", "")
        if meaning not in ("similar", "different"):
            raise JudgmentsError(
                f"{self.path}: what does a high {column} mean? Begin the file with the line "
                f"'# high {column}: similar', or '# high {column}: different'"
                f"{f'; found {meaning!r}' if meaning else ''}."
            )
        return meaning == "similar"


def read(path: Path, columns: Sequence[str] = (), separator: str = ",") -> TextTable:
    """Read a text file of columns.

    Args:
        columns: their names, if the file has no header.
        separator: of columns; a space for any whitespace.

    Raises:
        JudgmentsError: the file cannot be read, is not UTF-8, has no rows, rows of different length, ambiguous columns
            or another separator.
    """
    try:
        lines = shard_files.read_bytes(path).decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise JudgmentsError(f"{path}:{line}: not UTF-8; save it in this encoding.") from None
    comments: dict[str, str] = {}
    start = 0
    while start < len(lines) and (not lines[start].strip(' ",;\t') or lines[start].lstrip(' "').startswith("#")):
        key, _, value = lines[start].strip(' #",;\t').partition(":")
        key, value = " ".join(key.split()).casefold(), value.strip()
        if comments.setdefault(key, value) != value:
            raise JudgmentsError(f"{path}:{start + 1}: {key}: {value}, but {comments[key]} above; keep one line.")
        start += 1
    cells = [line.split() for line in lines[start:]] if separator == " " else [*csv.reader(lines[start:])]
    numbered = [(f"{path}:{start + number}", [c.strip() for c in row]) for number, row in enumerate(cells, 1) if row]
    if not columns and numbered:
        _, header = numbered.pop(0)
        columns = [_column(name) for name in header]
        if len(columns) == 1 and (other := next((sign for sign in ";\t|" if sign in columns[0]), "")):
            raise JudgmentsError(f"{path}: the columns are separated by {other!r}; save it with commas.")
        if repeated := sorted({name for name in columns if name and columns.count(name) > 1}):
            names = [name for name, column in zip(header, columns, strict=True) if column == repeated[0]]
            raise JudgmentsError(f"{path}: {len(names)} columns mean {repeated[0]}: {', '.join(names)}; keep one.")
    if not numbered:
        raise JudgmentsError(f"{path}: no rows.")
    for where, row in numbered:
        if len(row) != len(columns):
            raise JudgmentsError(f"{where}: {len(row)} cells in a table of {len(columns)} columns.")
    rows = [(where, dict(zip(columns, row, strict=True))) for where, row in numbered]
    return TextTable(path=path, comments=comments, columns=columns, rows=rows)


def _column(name: str) -> str:
    folded = name.casefold()
    return next((column for column, names in COLUMNS.items() if folded in names), folded)


def number(where: str, row: Mapping[str, str], column: str) -> float:
    """Return the number in a column; a JudgmentsError if the cell is not a finite number."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise JudgmentsError(f"{where}: {column} {row[column]!r} is not a finite number.")
    return value


def judged_files(table: TextTable, find: Find) -> tuple[str, list[JudgedFiles]]:
    """Return the kind of a study, ``mos`` or ``2afc``, and its rows.

    Raises:
        JudgmentsError: columns are missing, a cell is not a number, or the meaning of a high score is not stated.
    """
    kind = "mos" if table.has(SCORES) else "2afc"
    if kind == "2afc" and not table.has(CHOICES):
        raise JudgmentsError(
            f"{table.path}: the columns are {', '.join(table.columns)}; scores need {', '.join(SCORES)} (pyiqa: "
            f"ref_name, dist_name, mos), choices {', '.join(CHOICES)}."
        )
    sign = 1 if kind == "2afc" or table.high_is_similar("score") else -1
    originals, distorted = (
        [table.path.parent / table.comments.get(folder, "")] for folder in ("originals", "distorted")
    )
    compared = ("a", "b") if kind == "2afc" else ("distorted",)
    rows = [
        JudgedFiles(
            original=find(originals, row["original"]),
            compared=tuple(find(distorted, row[name]) for name in compared),
            judgment=_chose_b(where, row) if kind == "2afc" else sign * number(where, row, "score"),
            group=_part(row, "group"),
            split=_part(row, "split"),
            where=where,
        )
        for where, row in table.rows
    ]
    return kind, rows


def _part(row: Mapping[str, str], column: str) -> str:
    """Return the name of a group or split, reduced to characters that test ids and ``--require`` accept."""
    return re.sub(r"[^\w.+-]+", "-", row.get(column, ""))


def _chose_b(where: str, row: Mapping[str, str]) -> float:
    """Return the fraction of people who chose ``b``, from a fraction or from votes and their ``count``."""
    chose_b = number(where, row, "chose_b")
    if "count" not in row:
        return chose_b
    count = number(where, row, "count")
    if not (count >= 1 and chose_b.is_integer() and count.is_integer() and 0 <= chose_b <= count):
        raise JudgmentsError(
            f"{where}: chose_b {row['chose_b']} of count {row['count']}; with a column count, chose_b must be a number "
            "of votes, an integer from 0 to count; without one, a fraction."
        )
    return chose_b / count


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Distances computed elsewhere, by image name: as in the file, but in lower case and with slashes.

    Attributes:
        name: label in place of a metric's name.
        rows: the scores in the same file; empty if it has none.
    """

    name: str
    path: Path
    values: Mapping[str, float] = field(repr=False)
    rows: tuple[JudgedFiles, ...] = field(default=(), repr=False)

    def distances(self, shards: Sequence[Shard]) -> dict[Shard, NDArray[np.float64]]:
        """Return the distances of each shard, ``(n, compared)``.

        Raises:
            JudgmentsError: an image has no prediction, or a name matches several images.
        """
        rows = [row for shard in shards for row in shard.rows]
        if not rows:
            raise JudgmentsError(f"{self.path}: predictions need judgments that name their image files.")
        paths = dict.fromkeys(path for row in rows for path in row.compared)
        by_name: dict[str, set[str]] = {}
        for path in paths:
            parts = _slashed(path).split("/")
            for start in range(len(parts)):
                by_name.setdefault("/".join(parts[start:]), set()).add(path)
        values: dict[str, float] = {}
        for name, value in self.values.items():
            matches = by_name.get(name, set())
            if len(matches) > 1:
                raise JudgmentsError(f"{self.path}: {name} matches {len(matches)} images, such as {min(matches)}.")
            values |= dict.fromkeys(matches, value)
        if missing := [path for path in paths if path not in values]:
            raise JudgmentsError(
                f"{self.path}: no prediction for {len(missing)} of {len(paths)} images: {', '.join(missing[:3])}."
            )
        return {shard: np.array([[values[path] for path in row.compared] for row in shard.rows]) for shard in shards}


def _slashed(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./").casefold()


def predictions(path: Path) -> Predictions:
    """Read predictions, and the scores in the same file if it has any.

    Raises:
        JudgmentsError: as for `read`; columns are missing, or the meaning of a high prediction is not stated.
    """
    table = read(path)
    if not table.has(PREDICTIONS):
        raise JudgmentsError(
            f"{path}: the columns are {', '.join(table.columns)}; predictions need {' and '.join(PREDICTIONS)}, with "
            "score, original and group as optional columns."
        )
    sign = -1 if table.high_is_similar("prediction") else 1
    values: dict[str, float] = {}
    for where, row in table.rows:
        name = _slashed(row["distorted"])
        if name in values:
            raise JudgmentsError(f"{where}: {row['distorted']} has more than one prediction.")
        values[name] = sign * number(where, row, "prediction")
    least = min(values.values())
    scored: list[JudgedFiles] = []
    if "score" in table.columns:
        rows = [(where, {"original": row["distorted"], **row}) for where, row in table.rows]
        columns = [*dict.fromkeys([*table.columns, "original"])]
        _, scored = judged_files(replace(table, columns=columns, rows=rows), lambda _, name: name)
    nonnegative = {name: value - least for name, value in values.items()}
    return Predictions(name=path.stem, path=path, values=nonnegative, rows=tuple(scored))

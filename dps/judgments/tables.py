"""CSV files: a study of one's own, and predictions that were made elsewhere.

Comment lines before the heads of the columns say what is never guessed:

    # high score: similar          or different; of predictions: high prediction
    # originals: DIR               the folder of the originals' names, relative to the file's; also: distorted
"""

import csv
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dps.errors import JudgmentsError
from dps.judgments.dataset import Judged, Shard

Find = Callable[[Sequence[Path], str], str]
"""Returns the path of an image file, from folders and a name."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "original": ("original", "ref_name", "hq_name", "ref_img", "ref_path"),
    "distorted": ("distorted", "dist_name", "dist_img", "image"),
    "score": ("score", "mos", "dmos", "elo_score"),
    "a": ("a", "left_path"),
    "b": ("b", "right_path"),
    "chose_b": ("chose_b", "right_vote"),
}
"""Names of columns, ours first; then those of pyiqa's meta files, KADID-10k and NIGHTS."""

SCORED, CHOSEN, PREDICTED = (
    ("original", "distorted", "score"),
    ("original", "a", "b", "chose_b"),
    ("distorted", "prediction"),
)
"""The columns that a file of scores, of choices and of predictions has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """The cells of a file, as text, by column; each row with its place for messages."""

    path: Path
    comments: Mapping[str, str]
    columns: Sequence[str]
    rows: Sequence[tuple[str, Mapping[str, str]]] = field(repr=False)

    def has(self, columns: Sequence[str]) -> bool:
        """Return whether it has all of some columns."""
        return set(columns) <= set(self.columns)

    def high_is_similar(self, what: str) -> bool:
        """Return what a comment says a high number means; a JudgmentsError where none does."""
        meaning = self.comments.get(f"high {what}", "")
        if meaning not in ("similar", "different"):
            raise JudgmentsError(
                f"{self.path}: what does a high {what} mean? Begin the file with the line '# high {what}: similar', or "
                f"'# high {what}: different'{f'; found {meaning!r}' if meaning else ''}."
            )
        return meaning == "similar"


def read(path: Path, columns: Sequence[str] = (), separator: str = ",") -> TextTable:
    """Read a text file of columns.

    Args:
        columns: their names, where the first line does not have them.
        separator: between columns; a space for any white space.

    Raises:
        JudgmentsError: it cannot be read, is not UTF-8, has no rows or rows of different length, two columns of one
            name, or another separator.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise JudgmentsError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise JudgmentsError(f"{path}:{line}: not UTF-8; save it in this encoding.") from None
    comments: dict[str, str] = {}
    start = 0
    while start < len(lines) and (not lines[start].strip(' ",;\t') or lines[start].lstrip(' "').startswith("#")):
        key, _, value = lines[start].strip(' #",;\t').partition(":")
        comments[" ".join(key.split()).casefold()] = value.strip()
        start += 1
    cells = [line.split() for line in lines[start:]] if separator == " " else [*csv.reader(lines[start:])]
    numbered = [(f"{path}:{start + number}", [c.strip() for c in row]) for number, row in enumerate(cells, 1) if row]
    heads = list(columns)
    if not columns and numbered:
        _, found = numbered.pop(0)
        heads = [_column(name) for name in found]
        if len(heads) == 1 and (other := next((sign for sign in ";\t|" if sign in heads[0]), "")):
            raise JudgmentsError(f"{path}: the columns are separated by {other!r}; save it with commas.")
        if twice := sorted({name for name in heads if name and heads.count(name) > 1}):
            named = [name for name, head in zip(found, heads, strict=True) if head == twice[0]]
            raise JudgmentsError(f"{path}: {len(named)} columns mean {twice[0]}: {', '.join(named)}; keep one.")
    if not numbered:
        raise JudgmentsError(f"{path}: there are no rows in it.")
    for where, row in numbered:
        if len(row) != len(heads):
            raise JudgmentsError(f"{where}: {len(row)} cells in a table of {len(heads)} columns.")
    rows = [(where, dict(zip(heads, row, strict=True))) for where, row in numbered]
    return TextTable(path=path, comments=comments, columns=heads, rows=rows)


def _column(name: str) -> str:
    folded = name.casefold()
    return next((ours for ours, names in COLUMNS.items() if folded in names), folded)


def number(where: str, row: Mapping[str, str], column: str) -> float:
    """Return a number in a column; a JudgmentsError where it is missing or not finite."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise JudgmentsError(f"{where}: {column} {row[column]!r} is not a finite number.")
    return value


def judged(table: TextTable, find: Find) -> tuple[str, list[Judged]]:
    """Return the kind of a study's rows, and the rows.

    Args:
        find: where an image file is, from folders and the name in the table.

    Raises:
        JudgmentsError: columns are missing, a cell is no number, or nothing says what a high score means.
    """
    kind = "mos" if table.has(SCORED) else "2afc"
    if kind == "2afc" and not table.has(CHOSEN):
        raise JudgmentsError(
            f"{table.path}: the columns are {', '.join(table.columns)}; scores need {', '.join(SCORED)} (pyiqa: "
            f"ref_name, dist_name, mos), choices {', '.join(CHOSEN)}."
        )
    sign = 1 if kind == "2afc" or table.high_is_similar("score") else -1
    originals, distorted = (
        [table.path.parent / table.comments.get(folder, "")] for folder in ("originals", "distorted")
    )
    rows = []
    for where, row in table.rows:
        judgment = _chosen(where, row) if kind == "2afc" else sign * number(where, row, "score")
        rows.append(
            Judged(
                original=find(originals, row["original"]),
                compared=tuple(find(distorted, row[name]) for name in (("a", "b") if kind == "2afc" else SCORED[1:2])),
                judgment=judgment,
                group=_part(row, "group"),
                split=_part(row, "split"),
                where=where,
            )
        )
    return kind, rows


def _part(row: Mapping[str, str], column: str) -> str:
    """Return the name of a group or split, in characters that ids of tests and ``--require`` take."""
    return re.sub(r"[^\w.+-]+", "-", row.get(column, ""))


def _chosen(where: str, row: Mapping[str, str]) -> float:
    """Return the share of people who chose ``b``: a fraction, or, with a column ``count``, a number of votes."""
    chosen = number(where, row, "chose_b")
    if "count" not in row:
        return chosen
    count = number(where, row, "count")
    if not (count >= 1 and chosen.is_integer() and count.is_integer() and 0 <= chosen <= count):
        raise JudgmentsError(
            f"{where}: chose_b {row['chose_b']} of count {row['count']}; beside a column count it is a number of "
            "votes, an integer from 0 to count, and without one a fraction."
        )
    return chosen / count


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """Distances that were made elsewhere, by the image's name as their file has it, lower-case, with slashes.

    Attributes:
        name: what they stand under in the place of a metric.
        own: the scores that their own file has, as rows; empty without.
    """

    name: str
    path: Path
    values: Mapping[str, float] = field(repr=False)
    own: tuple[Judged, ...] = field(default=(), repr=False)

    def distances(self, shards: Sequence[Shard]) -> dict[Shard, NDArray[np.float64]]:
        """Return the distances of each shard, ``(n, compared)``.

        Raises:
            JudgmentsError: an image has no prediction, or more than one has the same name, or two originals.
        """
        rows = [row for shard in shards for row in shard.rows]
        if not rows:
            raise JudgmentsError(f"{self.path}: predictions are for pairs and choices that name their image files.")
        paths = {path: row.original for row in rows for path in row.compared}
        by_name: dict[str, set[str]] = {}
        for path in paths:
            parts = _slashed(path).split("/")
            for start in range(len(parts)):
                by_name.setdefault("/".join(parts[start:]), set()).add(path)
        values: dict[str, float] = {}
        for name, value in self.values.items():
            found = by_name.get(name, set())
            if len(found) > 1:
                raise JudgmentsError(f"{self.path}: {name} may be {len(found)} images, such as {min(found)}.")
            values |= dict.fromkeys(found, value)
        if missing := [path for path in paths if path not in values]:
            raise JudgmentsError(
                f"{self.path}: no prediction for {len(missing)} of {len(paths)} images: {', '.join(missing[:3])}."
            )
        return {shard: np.array([[values[path] for path in row.compared] for row in shard.rows]) for shard in shards}


def _slashed(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./").casefold()


def predictions(path: Path) -> Predictions:
    """Read predictions, with the scores that they are held against where the same file has them.

    Raises:
        JudgmentsError: as for `read`; columns are missing, or nothing says what a high prediction means.
    """
    table = read(path)
    if not table.has(PREDICTED):
        raise JudgmentsError(
            f"{path}: the columns are {', '.join(table.columns)}; predictions need {' and '.join(PREDICTED)}, and may "
            "have score, original and group."
        )
    sign = -1 if table.high_is_similar("prediction") else 1
    values: dict[str, float] = {}
    for where, row in table.rows:
        name = _slashed(row["distorted"])
        if name in values:
            raise JudgmentsError(f"{where}: {row['distorted']} has a prediction already.")
        values[name] = sign * number(where, row, "prediction")
    least = min(values.values())
    own: list[Judged] = []
    if "score" in table.columns:
        complete = [(where, {"original": row["distorted"], **row}) for where, row in table.rows]
        columns = dict.fromkeys([*table.columns, "original"])
        _, own = judged(
            TextTable(path=path, comments=table.comments, columns=[*columns], rows=complete), lambda _, name: name
        )
    shifted = {name: value - least for name, value in values.items()}  # a distance is never negative
    return Predictions(name=path.stem, path=path, values=shifted, own=tuple(own))

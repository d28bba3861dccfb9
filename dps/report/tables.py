"""Tables of variants: on a terminal of any width, and in Markdown. Nothing here knows what is in them."""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from dps.metrics import DEFAULT_METRICS
from dps.networks import NETWORKS

Key: TypeAlias = tuple[str, str | None, str | None]
"""Metric, network, normalization: a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column, with a line for each row.

    Attributes:
        head: its title.
        cells: ours; an empty text where there is nothing.
        beside: the paper's, in the same order; all empty where the paper has none.
    """

    head: str
    cells: tuple[str, ...]
    beside: tuple[str, ...]


def in_order(keys: Iterable[Key]) -> tuple[Key, ...]:
    """Rows in the order of the paper's tables, others by name after them."""
    return tuple(sorted(set(keys), key=_paper_order))


def as_text(keys: Sequence[Key], columns: Sequence[Column], width: int) -> list[str]:
    """The table for a terminal, split by columns where it would be wider than that."""
    width = max(width, NARROWEST)
    padded = [_padded(column, width) for column in columns]
    lines: list[str] = []
    for group in _that_fit(padded, width):
        lines += [*_block(keys, group, width), ""]
    return lines


def as_markdown(keys: Sequence[Key], columns: Sequence[Column]) -> list[str]:
    """The table for a pull request; what is the paper's in italics."""
    heads = ["metric", "network", "normalization"]
    for column in columns:
        heads += [escaped(column.head), "paper"] if any(column.beside) else [escaped(column.head)]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * 3 + " ---: |" * (len(heads) - 3)]
    for row, key in enumerate(keys):
        cells = [escaped(part or "") for part in key]
        for column in columns:
            cells.append(column.cells[row])
            if any(column.beside):
                cells.append(f"*{column.beside[row]}*" if column.beside[row] else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def wrapped(sentence: str, width: int) -> list[str]:
    """A sentence in lines of a terminal, indented as it is, below deeper; names and paths stay whole."""
    indent = " " * (2 + len(sentence) - len(sentence.lstrip()))
    width = max(width, NARROWEST)
    return textwrap.wrap(sentence, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def place(name: str, order: Sequence[str]) -> int:
    """Where a name stands in an order; behind it if it does not."""
    return order.index(name) if name in order else len(order)


def escaped(text: str) -> str:
    """A name as Markdown shows it, in a table too."""
    return re.sub(r"[\\|*_`\[\]]", r"\\\g<0>", text).replace("<", "&lt;")


LABEL = max(map(len, NETWORKS))
"""Width of the first column; a metric's name has a line of its own, so that the columns stay narrow."""

NARROWEST = 40
"""A terminal of fewer columns is written to as if it had these."""


def _padded(column: Column, width: int) -> list[str]:
    """A column's head and lines, all of one width."""
    beside = _right(["paper", *column.beside]) if any(column.beside) else []
    beside = [f" {cell}" for cell in beside] or [""] * (1 + len(column.cells))
    head = _cut(column.head, width - LABEL - len(GAP) - len(beside[0]))
    return [left + right for left, right in zip(_right([head, *column.cells]), beside, strict=True)]


GAP = "  "


def _that_fit(columns: Sequence[list[str]], width: int) -> Iterator[list[list[str]]]:
    """Columns in groups that fit beside each other, at least one in each."""
    group: list[list[str]] = []
    used = LABEL
    for column in columns:
        needed = len(GAP) + len(column[0])
        if group and used + needed > width:
            yield group
            group, used = [], LABEL
        group.append(column)
        used += needed
    if group:
        yield group


def _block(keys: Sequence[Key], columns: Sequence[list[str]], width: int) -> list[str]:
    """Some columns, each line with its network, or with its metric where it has none."""
    head, *rows = (GAP.join(cells) for cells in zip(*columns, strict=True))
    lines = [" " * LABEL + GAP + head]
    last: tuple[str, str | None] | None = None
    for (metric, network, normalization), row in zip(keys, rows, strict=True):
        if not row.strip():
            continue
        title = metric if network is None else f"{metric}, {normalization}"
        label = (metric if len(metric) <= LABEL else "") if network is None else network
        if label != metric and (metric, normalization) != last:
            lines += ["", _cut(title, width)]
        last = (metric, normalization)
        lines.append((label.ljust(LABEL) + GAP + row).rstrip())
    return lines


def _right(cells: Sequence[str]) -> list[str]:
    """Flush right."""
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _cut(text: str, width: int) -> str:
    """A text that fits; of a longer one its end, which says more of a path."""
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]


def _paper_order(key: Key) -> tuple[object, ...]:
    metric, network, normalization = key
    return (
        place(metric, DEFAULT_METRICS),
        metric,
        normalization or "",
        place(network or "", tuple(NETWORKS)),
        network or "",
    )

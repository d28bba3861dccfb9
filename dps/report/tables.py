"""Tables, most of them of variants: typed cells once, and their form on a terminal, in Markdown and in LaTeX.

The page's template reads the typed table itself. Nothing here knows what is in the cells.
"""

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dps.metrics import DEFAULT_METRICS
from dps.networks import BUILT_IN
from dps.rows import VariantKey

KEYS = VariantKey._fields
"""Heads of the columns that name a variant."""

NARROWEST = 40
"""A terminal of fewer columns is written to as if it had these."""

LONGEST_LABEL = 32
"""A longer label stands on a line of its own on a terminal."""

GAP = "  "


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: what is shown; empty where there is nothing.
        detail: what is shown smaller after it, such as an interval.
        value: what the column is sorted by, where the text does not say it.
        shade: a class for the page, such as ``fails``.
        published: taken from a publication and not measured here.
    """

    text: str = ""
    detail: str = ""
    value: float | None = None
    shade: str = ""
    published: bool = False

    def __str__(self) -> str:
        return f"{self.text} {self.detail}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One row for each variant, or for what else `keys` name.

    Attributes:
        title: in a few words.
        rows: what names each row, such as its variant; empty or None where it has no such name.
        heads: of the columns right of the names; what is published stands right of what was measured.
        cells: for each row one for each column.
        note: what the cells are, in sentences; plain text.
        keys: heads of the columns of names.
    """

    title: str
    rows: tuple[tuple[str | None, ...], ...]
    heads: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    note: str = ""
    keys: tuple[str, ...] = KEYS

    @property
    def labels(self) -> list[str]:
        """Return each row's names joined by hyphens."""
        return ["-".join(filter(None, names)) for names in self.rows]


def sort_variants(variants: Iterable[VariantKey]) -> tuple[VariantKey, ...]:
    """Return variants once each in the one order of all tables: metric, normalization and network as built in.

    Others follow by name, ``@features.4`` before ``@features.11``.
    """
    return tuple(sorted(set(variants), key=_order))


def build(
    title: str,
    variants: Sequence[VariantKey],
    heads: Sequence[str],
    cell: Callable[[VariantKey, str], Cell],
    paper: Callable[[VariantKey, str], str] = lambda _variant, _head: "",
    note: str = "",
) -> Table:
    """Build a table from the cell of each variant and head, with the paper's texts right of ours where it has any."""
    columns: list[tuple[str, list[Cell]]] = []
    for head in heads:
        columns.append((head, [cell(variant, head) for variant in variants]))
        published = [Cell(paper(variant, head), published=True) for variant in variants]
        if any(map(str, published)):
            columns.append(("paper", published))
    cells = tuple(zip(*(column for _, column in columns), strict=True))
    return Table(title=title, rows=tuple(variants), heads=tuple(head for head, _ in columns), cells=cells, note=note)


def first_three(labels: Iterable[str]) -> str:
    """Name the first three labels, and say how many more there are."""
    names = list(dict.fromkeys(labels))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def position(name: str, order: Sequence[str]) -> int:
    """Return where a name stands in an order, or its length."""
    return order.index(name) if name in order else len(order)


def _order(variant: VariantKey) -> tuple[object, ...]:
    network, normalization, metric = variant.network or "", variant.normalization or "", variant.metric
    numbers_and_text = [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", network)]
    return (
        position(metric, DEFAULT_METRICS),
        metric,
        normalization,
        position(network, tuple(BUILT_IN)),
        numbers_and_text,
    )


# ---------------------------------------------------------------------------------------- on a terminal


def as_text(table: Table, width: int) -> list[str]:
    """Lay a table out for a terminal, split between columns where it would be too wide.

    Returns:
        The title, blocks of columns with the rows that have something in them, and the note.
    """
    width = max(width, NARROWEST)
    columns = _aligned(table, width - len(GAP))
    room = min(width - len(GAP) - max((len(column[0]) for column in columns), default=0), LONGEST_LABEL)
    label_width = max((len(label) for label in table.labels if len(label) <= room), default=0)
    lines = wrapped(table.title, width)
    for block in _blocks(columns, width - label_width):
        head, *rows = ("".join(GAP + text for text in line) for line in zip(*block, strict=True))
        lines += ["", " " * label_width + head]
        for label, row in zip(table.labels, rows, strict=True):
            if row.strip() and len(label) > label_width:
                lines += [label[start : start + width] for start in range(0, len(label), width)]
            if row.strip():
                lines.append(((label if len(label) <= label_width else "").ljust(label_width) + row).rstrip())
    return [*lines, "", *wrapped(table.note, width)] if table.note else lines


def wrapped(sentence: str, width: int) -> list[str]:
    """Break a sentence into lines, indented as it is, further lines deeper; names and paths stay whole."""
    indent = " " * (2 + len(sentence) - len(sentence.lstrip()))
    width = max(width, NARROWEST)
    return textwrap.wrap(sentence, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _aligned(table: Table, width: int) -> list[list[str]]:
    """Each measured column with the published one that belongs to it: head and rows, of one width, at most `width`."""
    columns: list[list[str]] = []
    for name, *cells in zip(table.heads, *table.cells, strict=True):
        texts = [str(cell) for cell in cells]
        if max(map(len, texts), default=0) > width:
            texts = [cell.text for cell in cells]
        head = name if len(name) <= width else "…" + name[1 - width :]
        size = max(map(len, [head, *texts]))
        aligned = [text.rjust(size) for text in (head, *texts)]
        joined = [f"{left} {right}" for left, right in zip(columns[-1], aligned, strict=True)] if columns else []
        if cells[0].published and len(joined[0]) <= width:
            columns[-1] = joined
        else:
            columns.append(aligned)
    return columns


def _blocks(columns: Sequence[list[str]], width: int) -> Iterator[list[list[str]]]:
    """Yield columns in groups that fit into a width, at least one in each."""
    block: list[list[str]] = []
    for column in columns:
        if block and sum(len(GAP) + len(texts[0]) for texts in [*block, column]) > width:
            yield block
            block = []
        block.append(column)
    if block:
        yield block


# -------------------------------------------------------------------------------------------- in Markdown


def as_markdown(table: Table) -> list[str]:
    """Return a table for a pull request, what is published in italics, and its note."""
    heads = [*table.keys, *map(escape_markdown, table.heads)]
    lines = [_pipes(heads), "|" + " --- |" * len(table.keys) + " ---: |" * len(table.heads)]
    for row, cells in zip(table.rows, table.cells, strict=True):
        texts = (escape_markdown(str(cell)) for cell in cells)
        shown = (f"*{text}*" if cell.published and text else text for cell, text in zip(cells, texts, strict=True))
        lines.append(_pipes([*(escape_markdown(name or "") for name in row), *shown]))
    return [*lines, "", escape_markdown(table.note)] if table.note else lines


def as_section(table: Table) -> list[str]:
    """Return the same below its title."""
    return [f"## {escape_markdown(table.title)}", "", *as_markdown(table)]


def escape_markdown(text: str) -> str:
    """Return a text that Markdown shows as it is, in a table too."""
    return re.sub(r"[\\|*_`\[\]]", r"\\\g<0>", text).replace("<", "&lt;")


def _pipes(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


# ----------------------------------------------------------------------------------------------- in LaTeX

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "…": r"\ldots{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def as_latex(table: Table, *, transposed: bool = False) -> str:
    """Return a tabular that needs the package booktabs, what is published in italics; the note as a comment.

    With a column for each variant if it is transposed.
    """
    grid = [["", *map(escape_latex, table.heads)]]
    for label, cells in zip(table.labels, table.cells, strict=True):
        texts = [escape_latex(str(cell)) for cell in cells]
        shown = [
            rf"\textit{{{text}}}" if cell.published and text else text for cell, text in zip(cells, texts, strict=True)
        ]
        grid.append([escape_latex(label), *shown])
    if transposed:
        grid = [list(column) for column in zip(*grid, strict=True)]
    head, *rows = (" & ".join(line) + r" \\" for line in grid)
    lines = [f"% {line.strip()}" for line in wrapped(f"{table.title}. {table.note}", 100)]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(grid[0]) - 1)}}}", r"\toprule", head, r"\midrule", *rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def escape_latex(text: str) -> str:
    """Return a text that LaTeX prints as it is."""
    return "".join(_LATEX.get(sign, sign) for sign in text)

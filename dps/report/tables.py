"""Tables with typed cells, most of them by variant, laid out for a terminal, in Markdown and in LaTeX.

HTML is rendered from the typed table by the page's template. The content of the cells is irrelevant here.
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

MIN_WIDTH = 40
"""Smallest width of the layout for a terminal, in characters."""

MAX_LABEL = 32
"""Length of the longest label that shares a line with cells on a terminal."""

GAP = "  "
"""Space between columns on a terminal."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell.

    Attributes:
        text: empty for an empty cell.
        detail: small text after it, such as an interval.
        value: sort key of the cell, where it differs from the text.
        shade: CSS class on the page, such as ``fails``.
        published: taken from a publication, not measured here.
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
    """A table, by default with one row for each variant.

    Attributes:
        title: plain text.
        rows: names of each row, such as those of its variant; empty or None where it lacks one.
        heads: of the columns of cells; a published column is to the right of the measured one.
        cells: by row and column.
        note: description of the cells, as sentences in plain text.
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
        """Return the names of each row, joined by hyphens."""
        return ["-".join(filter(None, names)) for names in self.rows]


def sort_variants(variants: Iterable[VariantKey]) -> tuple[VariantKey, ...]:
    """Return distinct variants in the order of all tables: by metric, normalization and network.

    Built-in metrics and networks come first; others follow by name, ``@features.4`` before ``@features.11``.
    """

    def key(variant: VariantKey) -> tuple[object, ...]:
        network = variant.network or ""
        natural = [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", network)]
        metric = position(variant.metric, DEFAULT_METRICS), variant.metric
        return *metric, variant.normalization or "", position(network, tuple(BUILT_IN)), natural

    return tuple(sorted(set(variants), key=key))


def build(
    title: str,
    variants: Sequence[VariantKey],
    heads: Sequence[str],
    cell: Callable[[VariantKey, str], Cell],
    paper: Callable[[VariantKey, str], str] = lambda _variant, _head: "",
    note: str = "",
) -> Table:
    """Build a table from a function of variant and head, with columns of the paper's texts where there are any."""
    columns: list[tuple[str, list[Cell]]] = []
    for head in heads:
        columns.append((head, [cell(variant, head) for variant in variants]))
        published = [Cell(paper(variant, head), published=True) for variant in variants]
        if any(map(str, published)):
            columns.append(("paper", published))
    cells = tuple(zip(*(column for _, column in columns), strict=True))
    return Table(title=title, rows=tuple(variants), heads=tuple(head for head, _ in columns), cells=cells, note=note)


def first_three(labels: Iterable[str]) -> str:
    """Return the first three distinct labels, and the number of others, as text."""
    names = list(dict.fromkeys(labels))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def position(name: str, order: Sequence[str]) -> int:
    """Return the index of a name in an order; the length of the order for other names."""
    return order.index(name) if name in order else len(order)


# ---------------------------------------------------------------------------------------- on a terminal


def as_text(table: Table, width: int) -> list[str]:
    """Lay out a table for a terminal, split into blocks of columns where it is too wide.

    Returns:
        Lines: the title, each block without its empty rows, and the note.
    """
    width = max(width, MIN_WIDTH)
    columns = _columns(table, width - len(GAP))
    max_label = min(width - len(GAP) - max((len(column[0]) for column in columns), default=0), MAX_LABEL)
    label_width = max((len(label) for label in table.labels if len(label) <= max_label), default=0)
    lines = wrapped(table.title, width)
    for block in _blocks(columns, width - label_width):
        head, *rows = ("".join(GAP + text for text in texts) for texts in zip(*block, strict=True))
        lines += ["", " " * label_width + head]
        for label, row in zip(table.labels, rows, strict=True):
            if row.strip():
                fits = len(label) <= label_width
                lines += [] if fits else [label[start : start + width] for start in range(0, len(label), width)]
                lines.append(((label if fits else "").ljust(label_width) + row).rstrip())
    return [*lines, "", *wrapped(table.note, width)] if table.note else lines


def wrapped(sentence: str, width: int) -> list[str]:
    """Break a sentence into lines, with a hanging indent and without breaking words."""
    indent = " " * (2 + len(sentence) - len(sentence.lstrip()))
    width = max(width, MIN_WIDTH)
    return textwrap.wrap(sentence, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _columns(table: Table, width: int) -> list[list[str]]:
    """Return columns of texts of equal length, a published column joined to the measured one where `width` allows."""
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
    """Yield consecutive columns that fit into a width, at least one at a time."""
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
    """Return the lines of a table, with published cells in italics, and its note."""
    heads = [*table.keys, *map(escape_markdown, table.heads)]
    lines = [_pipes(heads), "|" + " --- |" * len(table.keys) + " ---: |" * len(table.heads)]
    for row, cells in zip(table.rows, table.cells, strict=True):
        lines.append(_pipes([*(escape_markdown(name or "") for name in row), *_texts(cells, escape_markdown, "*{}*")]))
    return [*lines, "", escape_markdown(table.note)] if table.note else lines


def as_section(table: Table) -> list[str]:
    """Return the lines of a table below its title."""
    return [f"## {escape_markdown(table.title)}", "", *as_markdown(table)]


def escape_markdown(text: str) -> str:
    """Escape text for Markdown, including tables."""
    return re.sub(r"[\\|*_`\[\]]", r"\\\g<0>", text).replace("<", "&lt;")


def _texts(cells: Iterable[Cell], escape: Callable[[str], str], italics: str) -> list[str]:
    texts = ((escape(str(cell)), cell.published) for cell in cells)
    return [italics.format(text) if published and text else text for text, published in texts]


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
    """Return a tabular for the package booktabs, with published cells in italics and the note as a comment.

    If transposed, variants are columns.
    """
    grid = [["", *map(escape_latex, table.heads)]]
    for label, cells in zip(table.labels, table.cells, strict=True):
        grid.append([escape_latex(label), *_texts(cells, escape_latex, r"\textit{{{}}}")])
    if transposed:
        grid = [list(column) for column in zip(*grid, strict=True)]
    head, *rows = (" & ".join(line) + r" \\" for line in grid)
    lines = [f"% {line.strip()}" for line in wrapped(f"{table.title}. {table.note}", 100)]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(grid[0]) - 1)}}}", r"\toprule", head, r"\midrule", *rows]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def escape_latex(text: str) -> str:
    """Escape text for LaTeX."""
    return "".join(_LATEX.get(sign, sign) for sign in text)

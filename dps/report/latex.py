"""Tables of variants in LaTeX, each a tabular, which need no package."""

from collections.abc import Sequence

from dps.report import tables
from dps.report.tables import Column, Key

MOST_COLUMNS = 8
"""In one tabular; more columns follow in another one below it."""

_SIGNS = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "…": r"\ldots{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def table(keys: Sequence[Key], columns: Sequence[Column], note: str) -> str:
    """A table, the paper's values in italics.

    Args:
        keys: metric, network and normalization of each row.
        columns: what stands in them.
        note: what the numbers are; it follows as a comment.
    """
    lines = [f"% {line}" for line in tables.wrapped(note, 100)]
    for group in _groups(columns):
        own = [column for column in group for _ in range(1 + any(column.beside))]
        heads = [text for column in group for text in ([column.head, "paper"] if any(column.beside) else [column.head])]
        lines += ["", rf"\begin{{tabular}}{{lll{'r' * len(own)}}}", r"\hline"]
        lines += [_line(["metric", "network", "normalization", *heads]), r"\hline"]
        for row, key in enumerate(keys):
            cells = [escaped(part or "") for part in key]
            for column in group:
                cells.append(escaped(column.cells[row]))
                if any(column.beside):
                    cells.append(rf"\textit{{{escaped(column.beside[row])}}}" if column.beside[row] else "")
            lines.append(" & ".join(cells) + r" \\")
        lines += [r"\hline", r"\end{tabular}", ""]
    return "\n".join(lines)


def escaped(text: str) -> str:
    """A text as LaTeX prints it."""
    return "".join(_SIGNS.get(sign, sign) for sign in text)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def _groups(columns: Sequence[Column]) -> list[list[Column]]:
    groups: list[list[Column]] = [[]]
    for column in columns:
        used = sum(1 + any(each.beside) for each in groups[-1])
        if groups[-1] and used + 1 + any(column.beside) > MOST_COLUMNS:
            groups.append([])
        groups[-1].append(column)
    return groups

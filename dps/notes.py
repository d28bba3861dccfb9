"""Notes: remarks of a run on its input, each reported once, that do not fail the run."""

from pathlib import Path

MAX_NAMES = 3
"""The number of file names in a note."""

_files: dict[tuple[str, str], dict[Path, None]] = {}
_texts: dict[str, None] = {}


def add(kind: str, path: Path, effect: str) -> None:
    """Add a note on a file; its line in `lines` is the kind, the files, and the effect on the results."""
    _files.setdefault((kind, effect), {})[path] = None


def add_text(text: str) -> None:
    """Add a note that is not on a file."""
    _texts[text] = None


def lines() -> list[str]:
    """Return one line for each note, those on files as ``alpha channel dropped in 2 files (a.png, b.png): ...``."""
    on_files = []
    for (kind, effect), paths in sorted(_files.items()):
        names = [*map(str, list(paths)[:MAX_NAMES]), *(["..."] if len(paths) > MAX_NAMES else [])]
        count = f"{len(paths)} {'file' if len(paths) == 1 else 'files'}"
        on_files.append(f"{kind} {count} ({', '.join(names)}): {effect}")
    return [*_texts, *on_files]


def about(path: Path) -> str:
    """Return the notes on one file in parentheses, as the end of a message: `` (alpha channel dropped)``."""
    kinds = [kind.removesuffix(" in") for (kind, _), paths in sorted(_files.items()) if path in paths]
    return f" ({', '.join(kinds)})" if kinds else ""


def clear() -> None:
    """Remove all notes, before another run in the same process."""
    _files.clear()
    _texts.clear()

"""Notes: what a run says once about its input, without failing."""

from pathlib import Path

MOST_NAMES = 3
"""Number of files that a note names."""

_files: dict[tuple[str, str], dict[Path, None]] = {}
_texts: dict[str, None] = {}


def add(kind: str, path: Path, effect: str) -> None:
    """Note something about a file, once however often it is read.

    The `kind`, such as ``alpha channel dropped in``, precedes the files; the effect on the results follows.
    """
    _files.setdefault((kind, effect), {})[path] = None


def add_text(text: str) -> None:
    """Note something that is not about a file, once however often it is said."""
    _texts[text] = None


def lines() -> list[str]:
    """Return one line for each note, those on files as ``alpha channel dropped in 2 files (a.png, b.png): ...``."""
    return [
        *_texts,
        *(
            f"{kind} {len(paths)} {'file' if len(paths) == 1 else 'files'} "
            f"({', '.join([*map(str, list(paths)[:MOST_NAMES]), *['...'][: len(paths) > MOST_NAMES]])}): {effect}"
            for (kind, effect), paths in sorted(_files.items())
        ),
    ]


def about(path: Path) -> str:
    """Return the notes on one file in brackets, for another message: `` (alpha channel dropped)``."""
    kinds = [kind.removesuffix(" in") for (kind, _), paths in sorted(_files.items()) if path in paths]
    return f" ({', '.join(kinds)})" if kinds else ""


def clear() -> None:
    """Forget all notes, before another run in the same process."""
    _files.clear()
    _texts.clear()

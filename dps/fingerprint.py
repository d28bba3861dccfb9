"""Digests of source: of a user's module with all that it imports, and of this package."""

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class NoFingerprintError(Exception):
    """Results of a user's code depend on more than can be seen; the text says how that shows, in a few words."""


class ModuleSource(NamedTuple):
    """A module with all that it imports: digests of files by module, its own first, and names of installed packages."""

    files: tuple[tuple[str, str], ...]
    packages: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Return the SHA-256, hexadecimal, of files and of the packages' versions, which take a second to look up."""
        versions = [platform.python_version(), *map(_versions, self.packages)]
        return hashlib.sha256(repr((self.files, versions)).encode()).hexdigest()


def of_module(module: str) -> ModuleSource:
    """Return the source of a loaded module and of all that it imports, also where that is only when a function runs."""
    digests: dict[str, str] = {}
    installed: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        top, _, _ = name.partition(".")
        if not name or name in digests or top in installed or top in sys.stdlib_module_names:
            continue
        if _is_installed(file := _file_of(top)) or _is_installed(file := _file_of(name)):
            installed.add(top)
        elif file is not None:
            source, package = file.read_bytes(), name if file.stem == "__init__" else name.rpartition(".")[0]
            digests[name] = hashlib.sha256(source).hexdigest()
            waiting += [name.rpartition(".")[0], *(_imported(source, package) if file.suffix == ".py" else ())]
    own = digests.pop(module, "")  # its name depends on what else is loaded
    return ModuleSource((("", own), *sorted(digests.items())), tuple(sorted(installed)))


def _is_installed(file: Path | None) -> bool:
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(file.parts)


def _file_of(module: str) -> Path | None:
    """Return the file of a module, which may not be loaded yet; None where there is none that can be read."""
    with contextlib.suppress(Exception, SystemExit):  # to look for a module imports its packages, which are a user's
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.has_location and spec.origin is not None:
            return Path(spec.origin)
    return None


def _imported(source: bytes, package: str) -> Iterator[str]:
    """Yield the names of modules that source may import, wherever in it; some may be of functions or classes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with contextlib.suppress(ImportError):  # of a package that there is not
                name = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                yield from (name, *(f"{name}.{alias.name}" for alias in node.names))


@functools.cache
def _versions(top: str) -> str:
    """Return names and versions of the distributions that a top-level module is from."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return f"{top} {importlib.metadata.version(top)}"
    names = _distributions().get(top, ())
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names)))


_distributions = functools.cache(importlib.metadata.packages_distributions)


@functools.cache
def own_source(*parts: str) -> str:
    """Return the digest of files and folders of this package, or of all of it, SHA-256, hexadecimal."""
    root = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if not parts or path.relative_to(root).parts[0] in parts:
            total.update(f"{path.relative_to(root)} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()

"""Digests of source code: of a user's module with all its imports, and of this package."""

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
    """Results of a user's code are not reproducible; the text is the reason, as the end of a sentence."""


class ModuleSource(NamedTuple):
    """Source of a module and its imports: digests of files by module, its own first, and installed packages."""

    files: tuple[tuple[str, str], ...]
    packages: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Return the SHA-256, hexadecimal, of files and versions of packages; looking these up takes a second."""
        versions = [platform.python_version(), *map(_versions, self.packages)]
        return hashlib.sha256(repr((self.files, versions)).encode()).hexdigest()


def module_source(module: str) -> ModuleSource:
    """Return the source of a loaded module and of all its imports, including those inside functions."""
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
    own = digests.pop(module, "")  # without its name, which depends on the other modules loaded
    return ModuleSource((("", own), *sorted(digests.items())), tuple(sorted(installed)))


def _is_installed(file: Path | None) -> bool:
    return file is not None and not {"site-packages", "dist-packages"}.isdisjoint(file.parts)


def _file_of(module: str) -> Path | None:
    """Return the file of a module, loaded or not; None if there is none."""
    with contextlib.suppress(Exception, SystemExit):  # finding a module imports its packages: a user's code
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.has_location and spec.origin is not None:
            return Path(spec.origin)
    return None


def _imported(source: bytes, package: str) -> Iterator[str]:
    """Yield the names that source code may import: modules, and also functions and classes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            with contextlib.suppress(ImportError):  # no such package
                name = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                yield from (name, *(f"{name}.{alias.name}" for alias in node.names))


@functools.cache
def _versions(top: str) -> str:
    """Return names and versions of the distributions that provide a top-level module."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return f"{top} {importlib.metadata.version(top)}"
    names = _distributions().get(top, ())
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in sorted(set(names)))


_distributions = functools.cache(importlib.metadata.packages_distributions)


@functools.cache
def package_source(*parts: str) -> str:
    """Return the SHA-256, hexadecimal, of files and folders of this package."""
    root = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] in parts:
            total.update(f"{path.relative_to(root)} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()

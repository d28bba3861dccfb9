"""User-defined objects, loaded from a module, a file or a package that registers them.

A package registers names in the entry point group of their kind: ``dps.metrics``, ``dps.networks``.
"""

import contextlib
import importlib
import importlib.util
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from dps import fingerprint
from dps.errors import UsageError, one_line, unknown
from dps.fingerprint import ModuleSource
from dps.user_code import guest
from dps.user_code.reading import TypedName

_files: dict[Path, ModuleType] = {}
"""Loaded files of users."""

_modules: dict[str, Path] = {}
"""The folders of modules that users' files imported from next to themselves, by the module's name."""

_sources: dict[tuple[str, str], ModuleSource] = {}
"""The source code of loaded objects, by kind and label."""


def registered(kind: str) -> dict[str, EntryPoint]:
    """Return the entry points of installed packages by name, without importing them."""
    return {entry.name: entry for entry in entry_points(group=f"dps.{kind}s")}


def list_names(kind: str) -> Iterator[tuple[str, str]]:
    """Yield the registered names, each with its package in one line."""
    for name, entry in registered(kind).items():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
        yield name, f"Registered by {package}: {entry.value}."


def is_user_defined(typed: TypedName, kind: str) -> bool:
    """Return whether `load` is responsible for a name."""
    return typed.path is not None or ":" in typed.text or typed.text in registered(kind)


def load(typed: TypedName, kind: str, label: str) -> object:
    """Return the object of a registered name, ``module:name`` or ``file.py:name``, called `label` in messages.

    Raises:
        UsageError: it does not exist, or loading it fails.
    """
    if typed.path is None and (entry := registered(kind).get(typed.text)):
        with _refusing(f"{kind} {label!r}: {entry.value} cannot be loaded"):
            registered_value: object = entry.load()
            _sources[kind, label] = fingerprint.module_source(entry.module)
        return registered_value
    location, _, attribute = typed.text.rpartition(":")
    if typed.path is not None:
        module = _load_file(typed.path, location)
    elif location.endswith(".py"):
        raise UsageError(f"{location}: no such file.")
    else:
        with _refusing(f"module {location!r} cannot be imported"):
            module = importlib.import_module(location)
    try:
        value: object = getattr(module, attribute)
    except AttributeError:
        public = [key for key in vars(module) if not key.startswith("_")]
        raise UsageError(f"{kind} {label!r}: {unknown(f'name in {location}:', attribute, public)}") from None
    with guest.visit():  # finding the modules that it may import later can import packages
        _sources[kind, label] = fingerprint.module_source(module.__name__)
    return value


def source(kind: str, label: str) -> str:
    """Return the digest of the source code of a loaded object; empty if there is none of that label."""
    return _sources[kind, label].digest if (kind, label) in _sources else ""


def construct(factory: Callable[[], object], kind: str, label: str) -> object:
    """Call a user's class or factory; a UsageError if it fails."""
    with _refusing(f"{kind} {label!r}: constructing it failed"):
        return factory()


def forget(*, outside: Path | None = None) -> None:
    """Forget users' files and the modules they imported, so that the next use loads them again.

    With `outside`, forget only modules from outside that folder, since modules in it may have the same names.
    """
    if outside is None:
        _files.clear()
    for name, folder in list(_modules.items()):
        if folder != outside:
            sys.modules.pop(name, None)
            del _modules[name]


@contextlib.contextmanager
def _refusing(failure: str) -> Iterator[None]:
    """Run user-defined code as a guest, and convert its exceptions to a UsageError."""
    try:
        with guest.visit():
            warnings.simplefilter("default")  # dps may turn warnings into errors
            yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a user's code
        raise UsageError(f"{failure}: {one_line(error).removesuffix('.')}.") from None


def _load_file(path: Path, label: str) -> ModuleType:
    """Import a user's file once; like ``python FILE`` it can import modules next to it, but it is not ``__main__``."""
    if path in _files:
        return _files[path]
    forget(outside=path.parent)
    try:
        with guest.visit(), _importing_from(path):
            warnings.simplefilter("default")  # dps may turn warnings into errors
            sys.argv = [str(path)]
            name = _module_name(path)
            spec = importlib.util.spec_from_file_location(name, path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
    except SystemExit as error:
        raise UsageError(
            f"{label}{_line_in(error, path)}: the file exited while it was loaded ({one_line(error)}). Put the code "
            'of the script under: if __name__ == "__main__".'
        ) from None
    except Exception as error:  # noqa: BLE001 - it is a user's code
        raise UsageError(f"{label}{_line_in(error, path)}: cannot be loaded: {one_line(error)}.") from None
    _files[path] = module
    return module


@contextlib.contextmanager
def _importing_from(path: Path) -> Iterator[None]:
    """Put a file's folder first on the import path, and leave it last for imports when its functions run."""
    root = _root(path)
    search, modules, write_bytecode = list(sys.path), set(sys.modules), sys.dont_write_bytecode
    sys.path[:0] = [str(path.parent), str(root)]
    sys.dont_write_bytecode = True  # cached bytecode would hide a second edit within a second
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = search + [folder for folder in dict.fromkeys(sys.path) if folder not in search]
        sys.dont_write_bytecode = write_bytecode
        for name in set(sys.modules) - modules:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).is_relative_to(root):
                _modules[name] = path.parent


def _root(path: Path) -> Path:
    """Return the folder that contains a file's top-level package, or the file itself."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _module_name(path: Path) -> str:
    """Return a unique module name; in a package, which is imported, the one that relative imports need."""
    *package, _ = path.relative_to(_root(path)).with_suffix("").parts
    if package and str(path.parent) in importlib.import_module(".".join(package)).__path__:
        return ".".join([*package, path.stem])
    name = f"dps_user_{path.stem}"
    while name in sys.modules and sys.modules[name].__file__ != str(path):
        name += "_"
    return name


def _line_in(error: BaseException, path: Path) -> str:
    """Return ``:line`` of the innermost frame in a user's file that raised; empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == path.resolve():
        return f":{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    return f":{lines[-1]}" if lines else ""

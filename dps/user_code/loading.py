"""Users' objects, of a module, a file or a package that registers them.

`load` returns what a name stands for, and `construct` calls a factory; which objects are fit for what is the caller's
to say. A package registers names in the entry point group of their kind: ``dps.metrics``, ``dps.networks``.
"""

import contextlib
import importlib
import importlib.util
import sys
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
"""Users' files that are loaded."""

_modules: dict[str, Path] = {}
"""Modules that users' files imported from their own folders, by name, with that folder."""

_sources: dict[tuple[str, str], ModuleSource] = {}
"""The source of what is loaded, by kind and name."""


def registered(kind: str) -> dict[str, EntryPoint]:
    """Return what installed packages register, by name; nothing of them is imported."""
    return {entry.name: entry for entry in entry_points(group=f"dps.{kind}s")}


def listed(kind: str) -> Iterator[tuple[str, str]]:
    """Yield the names that installed packages register, and in one line from where each is."""
    for name, entry in registered(kind).items():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a package"
        yield name, f"Registered by {package}: {entry.value}."


def is_user_defined(name: TypedName, kind: str) -> bool:
    """Return whether a name is one that `load` looks for."""
    return name.path is not None or ":" in name.text or name.text in registered(kind)


def load(name: TypedName, kind: str, shown: str) -> object:
    """Return the object of a registered name, ``module:name`` or ``file.py:name``: a 'metric' or 'network'.

    Messages show the name as given; it is one for which `is_user_defined` holds.

    Raises:
        UsageError: it is not there, or loading it fails.
    """
    if name.path is None and (entry := registered(kind).get(name.text)):
        with _refusing(f"{kind} {shown!r}: {entry.value} cannot be loaded"):
            registered_value: object = entry.load()
            _sources[kind, shown] = fingerprint.module_source(entry.module)
        return registered_value
    place, _, attribute = name.text.rpartition(":")
    if name.path is not None:
        module = _load_file(name.path, place)
    elif place.endswith(".py"):
        raise UsageError(f"{place}: no such file.")
    else:
        with _refusing(f"module {place!r} cannot be imported"):
            module = importlib.import_module(place)
    try:
        value: object = getattr(module, attribute)
    except AttributeError:
        public = [key for key in vars(module) if not key.startswith("_")]
        raise UsageError(f"{kind} {shown!r}: {unknown(f'name in {place}:', attribute, public)}") from None
    with guest.visit():  # what a function imports may be in a package that is not loaded yet
        _sources[kind, shown] = fingerprint.module_source(module.__name__)
    return value


def source(kind: str, shown: str) -> str:
    """Return the digest of the source of what was loaded under a name; empty where nothing was."""
    return _sources[kind, shown].digest if (kind, shown) in _sources else ""


def construct(factory: Callable[[], object], kind: str, shown: str) -> object:
    """Call a user's class or factory; a UsageError where it fails."""
    with _refusing(f"{kind} {shown!r}: constructing it failed"):
        return factory()


def forget(*, outside: Path | None = None) -> None:
    """Load users' files and their modules again when they are named next.

    Of one folder, only the modules of files outside it are forgotten: another may have the same name.
    """
    if outside is None:
        _files.clear()
    for name, folder in list(_modules.items()):
        if folder != outside:
            sys.modules.pop(name, None)
            del _modules[name]


@contextlib.contextmanager
def _refusing(failure: str) -> Iterator[None]:
    """Run a user's code as a guest, and refuse what it raises."""
    try:
        with guest.visit():
            warnings.simplefilter("default")  # ours may be errors
            yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a user's code
        raise UsageError(f"{failure}: {one_line(error).removesuffix('.')}.") from None


def _load_file(path: Path, shown: str) -> ModuleType:
    """Run a user's file once, as ``python FILE`` would, with the modules next to it, but not as ``__main__``."""
    if path in _files:
        return _files[path]
    forget(outside=path.parent)
    try:
        with guest.visit(), _importing_from(path):
            warnings.simplefilter("default")  # ours may be errors
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
            f"{shown}{_line_in(error, path)}: the file ended itself while it was loaded ({one_line(error)}). Put what "
            'only a script should do under: if __name__ == "__main__".'
        ) from None
    except Exception as error:  # noqa: BLE001 - it is a user's code
        raise UsageError(f"{shown}{_line_in(error, path)}: cannot be loaded: {one_line(error)}.") from None
    _files[path] = module
    return module


@contextlib.contextmanager
def _importing_from(path: Path) -> Iterator[None]:
    """Let a file import from its folder first, and from there last once it is loaded, for what it imports later."""
    folders = [str(path.parent), *([str(_root(path))] if _root(path) != path.parent else [])]
    search, modules, write_bytecode = list(sys.path), set(sys.modules), sys.dont_write_bytecode
    sys.path[:0] = folders
    sys.dont_write_bytecode = True  # a file that is edited twice within a second would run as it was
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = search + [place for place in dict.fromkeys(sys.path) if place not in search]
        sys.dont_write_bytecode = write_bytecode
        for name in set(sys.modules) - modules:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).is_relative_to(_root(path)):
                _modules[name] = path.parent


def _root(path: Path) -> Path:
    """Return the folder that a file's package lies in; its own folder where that is no package."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


def _module_name(path: Path) -> str:
    """Return a module name that no other file has: with its package, which is imported, for relative imports."""
    *package, _ = path.relative_to(_root(path)).with_suffix("").parts
    if package and str(path.parent) in importlib.import_module(".".join(package)).__path__:
        return ".".join([*package, path.stem])
    name = f"dps_user_{path.stem}"
    while name in sys.modules and sys.modules[name].__file__ != str(path):
        name += "_"
    return name


def _line_in(error: BaseException, path: Path) -> str:
    """Return ``:line`` where a user's file raised, as deep as it is still that file."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).resolve() == path.resolve():
        return f":{error.lineno}"
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f":{lines[-1]}" if lines else ""

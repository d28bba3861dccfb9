"""Users' metrics and comparisons: loaded from a module, a file or a package that registers them."""

import contextlib
import importlib
import importlib.util
import inspect
import sys
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from dps.comparisons import Comparison
from dps.errors import UsageError, one_line, unknown
from dps.metrics import guest
from dps.metrics.definitions import Metric

GROUP = "dps.metrics"
"""The entry point group in which a package registers names."""

RULE = "a callable with one required argument is a comparison, with two a metric, with none a factory for either"

REMEDY = (
    "wrap a metric in dps.Metric(distance=...) or in a function of two arguments, a comparison in a function of one"
)

_users_modules: dict[str, Path] = {}
"""Modules that users' files imported from their own folders, by name, with that folder."""


def load(name: str, source: ModuleType, attribute: str, shown: str) -> Comparison | Metric:
    """Return a comparison or metric of a loaded module or file.

    Args:
        name: the metric's.
        source: the module.
        attribute: its name in the module.
        shown: the module or file, for messages.

    Raises:
        UsageError: it is not there, or is neither a comparison nor a metric.
    """
    try:
        value = getattr(source, attribute)
    except AttributeError:
        public = [key for key in vars(source) if not key.startswith("_")]
        raise UsageError(f"metric {name!r}: {unknown(f'name in {shown}:', attribute, public)}") from None
    return _classified(value, name)


def registered() -> dict[str, EntryPoint]:
    """Return what installed packages register as metrics and comparisons, by name; nothing of them is imported."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def load_registered(name: str) -> Comparison | Metric:
    """Load what a package registered, which imports it.

    Raises:
        UsageError: it cannot be imported, or is neither a comparison nor a metric.
    """
    entry = registered()[name]
    try:
        with guest.visit():
            warnings.simplefilter("default")
            value = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs somebody's code
        raise UsageError(f"metric {name!r}: {entry.value} cannot be loaded: {one_line(error)}.") from None
    return _classified(value, name)


def import_module(name: str) -> ModuleType:
    """Import a module of a user.

    Raises:
        UsageError: it cannot be imported.
    """
    try:
        with guest.visit():
            warnings.simplefilter("default")
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - importing runs a user's code
        raise UsageError(f"module {name!r} cannot be imported: {one_line(error)}.") from None


def forget_modules(*, outside: Path | None = None) -> None:
    """Let users' files import their modules anew, or only those outside a folder: another may have the same name."""
    for name, folder in list(_users_modules.items()):
        if folder != outside:
            sys.modules.pop(name, None)
            del _users_modules[name]


def load_file(path: Path, shown: str) -> ModuleType:
    """Run a user's file as ``python FILE`` would, with the modules next to it, but not as ``__main__``.

    Args:
        path: absolute.
        shown: as it was typed, for messages.

    Raises:
        UsageError: it cannot be loaded; the message has the line.
    """
    forget_modules(outside=path.parent)
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
                _users_modules[name] = path.parent


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


# ------------------------------------------------------------------------------------------- what it is


def _classified(value: Any, name: str) -> Comparison | Metric:
    """Return a comparison or a metric, constructed if it is a class or factory."""
    count = 2 if isinstance(value, Metric) else _required_arguments(value, name)
    if count == 0:
        try:
            with guest.visit():
                warnings.simplefilter("default")
                value = value()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's factory may raise anything
            raise UsageError(f"metric {name!r}: constructing it failed ({one_line(error)}).") from None
        count = 2 if isinstance(value, Metric) else _required_arguments(value, name)
    if isinstance(value, Metric):
        return replace(value, name=name)
    if count == 1:
        comparison: Comparison = value
        return comparison
    if count == 2:
        return Metric(name=name, distance=value)
    raise UsageError(f"metric {name!r}: requires {count} arguments; {RULE}.")


def _required_arguments(value: object, name: str) -> int:
    """Return the number of positional arguments that a callable requires.

    Raises:
        UsageError: that is not one number, or it requires what nothing passes.
    """
    if not callable(value):
        raise UsageError(f"metric {name!r}: {type(value).__name__} is not callable; {RULE}.")
    try:
        parameters = list(_signature(value).parameters.values())
    except (TypeError, ValueError):
        raise UsageError(
            f"metric {name!r}: Python cannot tell the arguments of {type(value).__name__} "
            f"{getattr(value, '__name__', name)}; {REMEDY}."
        ) from None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if inspect.isclass(value):
        keywords = [*(p.name for p in required), *keywords]
    if keywords:
        raise UsageError(f"metric {name!r}: requires {', '.join(keywords)}, which dps does not pass; {RULE}.")
    optional = positional[len(required) :]
    if inspect.isclass(value) or len(required) > 1:
        return len(required)
    shown = ", ".join(str(p) for p in parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise UsageError(f"metric {name!r}: takes any number of arguments ({shown}); {REMEDY}.")
    if (required and optional and optional[0].default is None) or (isinstance(value, nn.Module) and not required):
        raise UsageError(f"metric {name!r}: may be called with one argument or with two ({shown}); {REMEDY}.")
    return len(required)


def _signature(value: Any) -> inspect.Signature:
    """Return a callable's signature; for a module, of its ``forward``; for TorchScript, of its schema."""
    if isinstance(value, nn.DataParallel):
        value = value.module
    if isinstance(value, nn.Module):
        value = value.forward
    if (schema := getattr(value, "schema", None)) is None:
        return inspect.signature(value)
    return inspect.Signature(
        [
            inspect.Parameter(
                argument.name,
                inspect.Parameter.KEYWORD_ONLY if argument.kwarg_only else inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
            )
            for argument in schema.arguments
            if argument.name != "self"
        ]
    )

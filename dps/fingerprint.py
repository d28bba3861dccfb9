"""The fingerprint of a callable: a digest of everything that its results depend on, or the reason why it has none.

The walk starts at the callable and follows what it can reach: code and source files, closures, defaults, attributes,
tensors, and the globals, modules and class members that the code names. Installed packages are taken by their version
and recorded hashes. Code that may depend on more (files, the environment, the clock, random numbers), and objects
whose state cannot be seen, have no fingerprint: a missing one costs time, a wrong one would give wrong numbers.
"""

import abc
import collections
import dis
import enum
import functools
import hashlib
import importlib.metadata
import importlib.util
import logging
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PURE = re.compile(
    "_abc|_bisect|_collections|_functools|_heapq|_operator|_struct|abc|array|bisect|builtins|cmath|collections|contextlib"
    "|copy|dataclasses|enum|fractions|functools|heapq|itertools|logging|math|numbers|operator|re|string|struct|textwrap"
    "|types|typing|warnings"
)
"""Modules of the standard library whose functions depend on nothing but their arguments."""

IMPURE = re.compile(
    r"open|fdopen|load\w*|read(_\w+|lines?|into)?|imread\w*|decode_\w+|\w*from_?file|fromregex|genfromtxt|memmap|mmap|File"
    r"|urlopen|urlretrieve|download\w*|from_pretrained|create_model|hub|ops|environ\w*|getenv|argv|getcwd|cwd|input"
    r"|time|time_ns|perf_counter\w*|monotonic\w*|now|today|utcnow|rand\w*|\w*_rand\w*|\w*random\w*|\w*rng|RandomState"
    r"|Generator|\w*seed|normal_?|\w*bernoulli\w*|multinomial|poisson|uniform_?|shuffle|permutation|choices?"
    r"|\w*dropout\w*|exponential_|cauchy_|log_normal_|geometric_|uuid\w*"
    r"|exec|eval|globals|locals|vars|__dict__|__import__|import_module|_getframe|currentframe|id|hash|breakpoint"
)
"""Names in code that may read a file, the environment, the clock or random numbers, or do what cannot be followed."""

IMPURE_MODULES = ("torch.hub", "torchvision.models", "torchvision.io", "torchvision.datasets", "timm", "transformers")

BY_ANY_NAME = frozenset({"getattr", "attrgetter", "methodcaller", "type", "__class__"})
"""Names in code that may use a member or a constructor without naming it."""

CONSTRUCTION = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__set_name__", "__del__"})
"""Methods that do not run where an instance exists already."""

PLAIN = (type(None), bool, int, float, complex, str, bytes, range, type(...), type(NotImplemented))
MEMBERS_OF_PACKAGES = (*PLAIN, Tensor, nn.Parameter, np.ndarray, types.ModuleType)
MAPPINGS = (dict, collections.OrderedDict, collections.defaultdict, types.MappingProxyType)
IMMUTABLE = (tuple, torch.Size, frozenset, types.CodeType)


def _parts_of_array(array: Any) -> tuple[Any, ...]:
    content = array.ravel().tolist() if array.dtype.hasobject else array.tobytes()
    return array.dtype.str, array.shape, content


PARTS: dict[type, Callable[[Any], tuple[Any, ...]]] = {
    **dict.fromkeys((tuple, list, torch.Size, collections.deque), lambda values: (len(values), *values)),
    **dict.fromkeys(
        (torch.dtype, torch.device, torch.layout, torch.memory_format, slice), lambda value: (repr(value),)
    ),
    **dict.fromkeys((staticmethod, classmethod), lambda method: (method.__func__,)),
    np.ndarray: _parts_of_array,
    bytearray: lambda value: (bytes(value),),
    re.Pattern: lambda pattern: (pattern.pattern, pattern.flags),
    logging.Logger: lambda logger: (logger.name,),
    types.MethodType: lambda method: (method.__func__, method.__self__),
    functools.partial: lambda partial: (partial.func, partial.args, partial.keywords, vars(partial)),
    functools._lru_cache_wrapper: lambda cached: (cached.__wrapped__, cached.cache_parameters()),
    functools.cached_property: lambda cached: (cached.func,),
    property: lambda value: (value.fget, value.fset, value.fdel),
}
"""What an object is made of, by its exact type."""


class NoFingerprintError(Exception):
    """Something that a result depends on cannot be followed; the text says what, in a few words."""


def fingerprint(*objects: object) -> str:
    """Return the digest of everything that objects depend on, SHA-256, hexadecimal.

    Args:
        objects: callables, or plain data.

    Raises:
        NoFingerprintError: they depend on something that is not understood.
    """
    walk = _Walk()
    walk.each(objects)
    return walk.finish()


class _Walk:
    """One walk over everything that can be reached."""

    def __init__(self) -> None:
        self.total = hashlib.sha256()
        self.seen: dict[object, tuple[int, object]] = {}
        self.names: dict[str, None] = {}  # used by reached code; a dictionary keeps their order
        self.members: list[tuple[Mapping[str, Any], dict[str, None], bool]] = []  # with the visited ones; the user's
        self.by_any_name = False
        self.path: list[str] = []

    def emit(self, *parts: object) -> None:
        for part in parts:
            data = part if isinstance(part, bytes | memoryview) else str(part).encode("utf-8", "surrogatepass")
            self.total.update(b"%d:" % len(data))
            self.total.update(data)

    def refused(self, reason: str) -> NoFingerprintError:
        names = [name for name in self.path if name][-3:]
        return NoFingerprintError(f"{'.'.join(dict.fromkeys(names)) or 'it'} {reason}")

    def finish(self) -> str:
        """Visit members of modules and classes whose names reached code uses, until there are no more."""
        more = True
        while more:
            more = False
            for members, visited, users in list(self.members):
                everything = [name for name in members if users and self.by_any_name and not _is_dunder(name)]
                for name in [*(name for name in self.names if name in members), *everything]:
                    value = members[name]
                    if name not in visited and (users or callable(value) or type(value) in MEMBERS_OF_PACKAGES):
                        more = True
                        visited[name] = None
                        self.emit("member", name)
                        self.visit(value, name)
        return self.total.hexdigest()

    def visit(self, value: Any, name: str = "") -> None:
        if type(value) in PLAIN:
            self.emit(type(value).__name__, value if isinstance(value, bytes) else repr(value))
        elif id(value) in self.seen:
            self.emit("seen", self.seen[id(value)][0])
        else:
            if type(value) not in IMMUTABLE:  # of which a compiled file may share other ones than its source
                self.seen[id(value)] = len(self.seen), value
            self.path.append(name)
            self.emit(type(value).__qualname__)
            self._visit(value)
            self.path.pop()

    def each(self, values: Iterable[Any]) -> None:
        for value in values:
            self.visit(value)

    def _visit(self, value: Any) -> None:
        kind = type(value)
        if kind in PARTS:
            self.each(PARTS[kind](value))
        elif kind in MAPPINGS:
            self.visit(getattr(value, "default_factory", None))
            self.emit(len(value))
            for key, item in value.items():
                self.visit(key)
                self.visit(item, key if isinstance(key, str) else "")
        elif kind in (set, frozenset):
            if not all(type(item) in PLAIN for item in value):
                raise self.refused("is a set of other things than plain values")
            self.emit(*sorted(f"{type(item).__name__} {item!r}" for item in value))
        elif kind in (Tensor, nn.Parameter):
            self._tensor(value)
        elif kind is types.FunctionType:
            self._function(value)
        elif kind is types.CodeType:
            self._code(value)
        elif kind in (types.BuiltinFunctionType, types.MethodWrapperType):
            self._builtin(value)
        elif kind.__module__ == "builtins" and "__objclass__" in vars(kind):  # a slot, or a method written in C
            self.emit(value.__objclass__.__qualname__, value.__name__)
        elif isinstance(value, np.generic):
            self.each(_parts_of_array(value))
        elif isinstance(value, np.dtype):
            self.emit(repr(value))
        elif isinstance(value, enum.Enum):
            self._class(kind)
            self.visit(value.value)
        elif isinstance(value, types.ModuleType):
            self._module(value)
        elif isinstance(value, type):
            self._class(value, constructed=True)
        elif kind.__module__ == "numpy" and _is_importable(value, value.__module__):
            self._allow(value.__module__, value.__name__)
        else:
            self._instance(value)

    def _tensor(self, tensor: Tensor) -> None:
        if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
            raise self.refused(f"is a tensor with layout {tensor.layout} on {tensor.device}")
        self.emit(tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.device.type)
        data = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
        self.emit(memoryview(data.view(torch.uint8).numpy()))  # type: ignore[arg-type]  # a buffer since NumPy 2
        self.visit(vars(tensor))

    def _instance(self, value: Any) -> None:
        kind: Any = type(value)
        plain = kind.__getstate__ in (object.__getstate__, nn.Module.__getstate__)
        plain = plain or kind.__getstate__.__module__ == "dataclasses"  # of those with slots
        plain = plain and (kind.__reduce_ex__, kind.__reduce__) == (object.__reduce_ex__, object.__reduce__)
        try:
            if not plain or (isinstance(value, nn.Module) and value._compiled_call_impl is not None):
                raise TypeError
            _, arguments, *state = tuple(object.__reduce_ex__(value, 2))  # TypeError where its state is in C
        except TypeError:
            raise self.refused(f"is a {kind.__module__}.{kind.__qualname__}, whose state cannot be seen") from None
        self._class(kind)
        self.each(arguments[1:])  # the class is the first
        for part in state:  # attributes; items of a list; items of a dictionary
            self.visit(part if part is None or isinstance(part, dict | tuple | list) else list(part))

    # --------------------------------------------------------------------------------------------- code

    def _function(self, function: types.FunctionType) -> None:
        module, file = (function.__globals__.get(key) for key in ("__name__", "__file__"))
        origin = _origin(module, file)
        self.emit(origin, function.__qualname__)
        if origin != "user":
            at_home = _is_importable(function, module)
            self._allow(module, function.__name__ if at_home else "")
            self.emit(function.__code__.co_firstlineno)
            if at_home:
                return
        else:
            self._source(file or function.__code__.co_filename)
            self.visit(function.__code__)
        self.each([function.__defaults__, function.__kwdefaults__, vars(function)])
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            content = cell.cell_contents if cell != types.CellType() else None
            if name == "__class__" and isinstance(content, type):
                self._class(content)
            else:
                self.visit(content, name)
        if origin == "user":
            for code in _codes_in(function.__code__):
                for name in code.co_names:
                    if name in function.__globals__:
                        self.emit("global", name)
                        self.visit(function.__globals__[name], name)
                self._imports(code, function.__globals__.get("__package__"))

    def _code(self, code: types.CodeType) -> None:
        self.emit(code.co_name, code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
        self.emit(code.co_argcount, code.co_kwonlyargcount, code.co_posonlyargcount, code.co_flags)
        self.path.append(code.co_name)
        names = dict.fromkeys(code.co_names)
        if not BY_ANY_NAME.isdisjoint(names):
            self.by_any_name = True
            names |= dict.fromkeys(const for const in code.co_consts if isinstance(const, str))
        for name in names:
            if IMPURE.fullmatch(name):
                raise self.refused(f"uses {name}: it may depend on files, the environment, the clock or random numbers")
        for step in dis.get_instructions(code):
            if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                raise self.refused(f"assigns the global {step.argval}")
        self.names |= names
        self.each(code.co_consts)
        self.path.pop()

    def _imports(self, code: types.CodeType, package: str | None) -> None:
        """Visit the modules that code imports when it runs."""
        steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
        for place, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                name = "." * steps[place - 2].argval + step.argval
                try:
                    name = importlib.util.resolve_name(name, package)
                    modules = [sys.modules[name], sys.modules[name.partition(".")[0]]]
                except (ImportError, KeyError):
                    raise self.refused(f"imports {name} when it is called") from None
                for module in modules:
                    self.visit(module, module.__name__)

    def _builtin(self, value: Any) -> None:
        owner = value.__self__
        self.emit(value.__qualname__)
        if owner is None or isinstance(owner, types.ModuleType):
            self._allow(owner.__name__ if owner else value.__module__, value.__name__)
        elif isinstance(owner, type):
            self._allow(owner.__module__, value.__name__)
            self._class(owner)
        else:
            self.visit(owner)

    # -------------------------------------------------------------------------------- modules and classes

    def _module(self, module: types.ModuleType) -> None:
        file = getattr(module, "__file__", None)
        origin = _origin(module.__name__, file)
        self.emit(origin)
        if origin == "user":
            if (file and not file.endswith(".py")) or "__getattr__" in vars(module):
                raise self.refused(f"is module {module.__name__}, whose members cannot be followed")
            self._source(file)
        else:
            self._allow(module.__name__, "")
        if origin in ("user", "package"):
            self.members.append((vars(module), {}, origin == "user"))

    def _class(self, cls: type, *, constructed: bool = False) -> None:
        key = ("class", id(cls), constructed)
        if key in self.seen:
            return
        self.seen[key] = len(self.seen), cls
        origin = _origin(cls.__module__)
        self.emit("class", origin, cls.__qualname__)
        if origin != "user":
            self._allow(cls.__module__, cls.__name__ if constructed else "", constructed=constructed)
            if constructed and issubclass(cls, nn.Module) and not cls.__module__.startswith("torch."):
                raise self.refused(f"may make a {cls.__name__} when it is called")
            return
        if type(cls) not in (type, abc.ABCMeta, enum.EnumType):
            self._class(type(cls), constructed=True)
        for base in cls.__mro__[1:]:
            self._class(base, constructed=constructed)
        if not {"__getattr__", "__getattribute__"}.isdisjoint(vars(cls)):
            raise self.refused(f"has class {cls.__name__}, which finds attributes by a rule of its own")
        packages = [base.__module__ for base in cls.__mro__ if _origin(base.__module__) == "package"]
        overrides = not all(module.startswith("torch.nn.modules") for module in packages)  # whose names are not known
        visited: dict[str, None] = {}
        for name, member in vars(cls).items():
            special = callable(member) if _is_dunder(name) else name == "forward" or overrides
            if name != "__hash__" and (constructed if name in CONSTRUCTION else special):
                visited[name] = None
                self.emit("member", name)
                self.visit(member, f"{cls.__name__}.{name}")
        self.members.append((vars(cls), visited, True))

    def _allow(self, module: str | None, name: str, *, constructed: bool = True) -> None:
        """Emit what is not the user's own by its name and version, where it depends on its arguments alone."""
        module = module or ""
        top = module.partition(".")[0]
        if IMPURE.fullmatch(name) or (top in sys.stdlib_module_names and not PURE.fullmatch(top)):
            raise self.refused(f"uses {module}{name and f'.{name}'}, which may depend on more than its arguments")
        if constructed and module.startswith(IMPURE_MODULES):
            raise self.refused(f"uses {module}, which may read files")
        self.emit(module, name, own_source() if top == "dps" else _release(top))

    def _source(self, file: str | None) -> None:
        if file and Path(file).is_file():
            self.emit("source", Path(file).read_bytes())


# ------------------------------------------------------------------------------------ where things are from


def _origin(module: str | None, file: str | None = None) -> str:
    """Return ``user``, ``package``, ``standard`` or ``dps``."""
    top = (module or "").partition(".")[0]
    if file is None and top in sys.modules:
        file = getattr(sys.modules[top], "__file__", None)
    if top == "dps":
        return "dps"
    if top in sys.stdlib_module_names and (file is None or Path(file).is_relative_to(sysconfig.get_path("stdlib"))):
        return "standard"
    installed = file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
    return "package" if installed and _release(top) else "user"


def _is_importable(function: Any, module: str | None) -> bool:
    value: Any = sys.modules.get(module or "")
    for part in getattr(function, "__qualname__", getattr(function, "__name__", "")).split("."):
        value = getattr(value, part, None)
    return value is function


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def _codes_in(code: types.CodeType) -> list[types.CodeType]:
    """Return code and that of all functions in it."""
    return [code, *(one for const in code.co_consts if isinstance(const, types.CodeType) for one in _codes_in(const))]


@functools.cache
def _release(top: str) -> str:
    """Return name, version and recorded hashes of the distribution that a top-level module is from; empty for none."""
    try:
        distribution = importlib.metadata.distribution(top)
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(top)
        if not names:
            return ""
        distribution = importlib.metadata.distribution(names[0])
    record = (distribution.read_text("RECORD") or "").encode()
    return f"{distribution.name} {distribution.version} {hashlib.sha256(record).hexdigest()}"


@functools.cache
def own_source(*parts: str) -> str:
    """Return the digest of files and folders of this package, or of all of it, SHA-256, hexadecimal."""
    root = Path(__file__).parent
    total = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if not parts or path.relative_to(root).parts[0] in parts:
            total.update(f"{path.relative_to(root)} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()

"""YAML files as plain data with line numbers, and their validation.

Nothing in a file is executed or expanded. Every fault is recorded in the document with its line.
"""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeAlias, TypeVar

import pydantic
import yaml

from dps.errors import ProbeError, closest, unknown

Loc: TypeAlias = tuple[str | int, ...]
"""A location in a file: keys and indices from the top."""

MAX_BYTES = 2**20
"""Size limit of a file."""

MAX_DEPTH = 50
"""Limit of nested mappings and lists."""

MAX_FAULTS = 10
"""The number of faults in an error message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML file.

    Attributes:
        path: of the file.
        data: mappings, lists, strings, numbers, booleans, dates and None.
        lines: the line of each location, from 1.
        sources: the text in the file of each value that is not a string in YAML.
        faults: line and message of each fault.
    """

    path: Path
    data: Any
    lines: dict[Loc, int] = field(repr=False)
    sources: dict[Loc, str] = field(repr=False, default_factory=dict)
    faults: list[tuple[int, str]] = field(default_factory=list)

    def fault(self, loc: Loc, message: str) -> None:
        """Record a fault at a location."""
        self.faults.append((self.line(loc), message))

    def line(self, loc: Loc) -> int:
        """Return the line of a location, or of its parent."""
        while loc not in self.lines:
            loc = loc[:-1]
        return self.lines[loc]

    def check(self) -> None:
        """Raise a ProbeError with a line for each fault, if there are any."""
        if self.faults:
            lines = [f"{self.path}:{line}: {message}" for line, message in sorted(dict.fromkeys(self.faults))]
            more = [f"{self.path}: {len(lines) - MAX_FAULTS} more faults."] if len(lines) > MAX_FAULTS else []
            raise ProbeError("\n".join([*lines[:MAX_FAULTS], *more]))


def read(path: Path) -> Document:
    """Read a YAML file.

    Raises:
        ProbeError: it is missing, empty, not YAML, or uses anchors, tags or duplicate keys.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProbeError(f"{path}: more than {MAX_BYTES:,} bytes, which is too large for a declaration.")
        data = path.read_bytes()
        reader = _Reader(path, data.decode(json.detect_encoding(data)))
        node = reader.get_single_node()
        if node is None:
            raise ProbeError(f"{path}:1: the file is empty.")
        return Document(path=path, data=reader.plain(node, ()), lines=reader.lines, sources=reader.sources)
    except OSError as error:
        raise ProbeError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise ProbeError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}" if mark else ""
        raise ProbeError(f"{path}{where}: not YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise ProbeError(f"{path}: not YAML: {' '.join(str(error).split())}.") from None


def text(data: object) -> str:
    """Return plain data as YAML, with keys in their order."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)


_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")}


class _Reader(yaml.SafeLoader):
    """Converts the nodes of a file to plain data, and records their lines."""

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(text)
        self.path, self.depth = path, 0
        self.lines: dict[Loc, int] = {}
        self.sources: dict[Loc, str] = {}

    def error(self, source: Any, message: str) -> ProbeError:  # a node or an event
        return ProbeError(f"{self.path}:{source.start_mark.line + 1}: {message}")

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Reject aliases, which can expand a short text enormously, and deep nesting, which is slow."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if event.anchor is not None:
            raise self.error(event, "anchors and aliases (& and *) are not allowed; write the value out.")
        if self.depth > MAX_DEPTH:
            raise self.error(event, f"nested more than {MAX_DEPTH} deep, which is too deep for a declaration.")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def plain(self, node: yaml.Node, loc: Loc) -> object:
        """Return a node's value."""
        self.lines[loc] = node.start_mark.line + 1
        if node.tag not in _PLAIN:
            raise self.error(node, f"tag {node.tag!r} is not allowed; write plain mappings, lists and values.")
        if isinstance(node, yaml.MappingNode):
            mapping: dict[Hashable, object] = {}
            for key_node, value_node in node.value:
                key = self.plain(key_node, ()) if isinstance(key_node, yaml.ScalarNode) else None
                if not isinstance(key, str):
                    value = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                    raise self.error(key_node, f"keys must be text, found {value}; put it in quotes.")
                if key in mapping:
                    raise self.error(key_node, f"key {key!r} appears twice in a mapping.")
                mapping[key] = self.plain(value_node, (*loc, key))
                self.lines[*loc, key] = key_node.start_mark.line + 1
            return mapping
        if isinstance(node, yaml.SequenceNode):
            return [self.plain(child, (*loc, i)) for i, child in enumerate(node.value)]
        try:
            value = self.construct_object(node)
            if isinstance(value, str):  # JSON escapes characters beyond U+FFFF as surrogate pairs
                return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except (ValueError, LookupError, AttributeError):  # such as 2001-99-99, which PyYAML parses as a date
            kind = node.tag.rpartition(":")[2]
            raise self.error(node, f"{node.value!r:.60} is not a valid {kind}; put text in quotes.") from None
        self.sources[loc] = node.value
        return value


# ------------------------------------------------------------------------------------------ validation


class Declaration(pydantic.BaseModel):
    """A model of a mapping; `nested` has the models of the mappings in it, by key."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)
    nested: ClassVar[Mapping[object, "type[Declaration]"]] = {}


Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Text = Annotated[str, pydantic.Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]

Declared = TypeVar("Declared", bound=Declaration)


def validated(model: type[Declared], document: Document, data: object, at: Loc = ()) -> Declared | None:
    """Validate part of a document; return None after recording its faults.

    A missing key is not reported if a misspelled one is.
    """
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        faults = error.errors()
    misspelled: set[Loc] = set()
    for fault in faults:
        if fault["type"] == "extra_forbidden":
            loc = (*at, *fault["loc"])
            keys = model.nested.get(loc[-2] if len(loc) > 1 else "", model).model_fields
            misspelled.add((*loc[:-1], closest(loc[-1], keys)))
            document.fault(loc, unknown("key", loc[-1], keys))
    for fault in faults:
        loc = (*at, *fault["loc"])
        if fault["type"] == "missing" and loc not in misspelled:
            document.fault(loc[:-1], f"key {loc[-1]!r} is missing.")
        elif fault["type"] not in ("missing", "extra_forbidden"):
            key = ".".join(part for part in loc if isinstance(part, str))
            document.fault(loc, f"{key}: {_message(fault['type'], fault['msg'], fault['input'], document, loc)}")
    return None


def _message(kind: str, message: str, value: Any, document: Document, loc: Loc) -> str:
    source = document.sources.get(loc)
    if kind == "string_type" and source is not None:
        if not source:
            return "a text is missing."
        return f'YAML reads {source} as {value}, not as text; put it in quotes: "{source}".'
    if kind == "string_pattern_mismatch" and loc[-1] in ("probe", "by"):
        return f"a name may have only letters without accents, digits, _ . and -; found {value!r:.60}."
    if kind == "string_pattern_mismatch" and loc[-1] == "sha256":
        return f"a SHA-256 has 64 digits, 0 to 9 and a to f; found {value!r:.80}."
    if kind in ("string_pattern_mismatch", "string_too_short"):
        return f"it must be one line of text without control characters, not empty; found {value!r:.60}."
    expected = "it should be a mapping" if kind == "model_type" else message[:1].lower() + message[1:]
    return f"{expected}; found {type(value).__name__} {value!r:.60}."

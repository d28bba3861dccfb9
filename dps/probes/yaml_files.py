"""YAML files as plain data with line numbers. Nothing in a file is executed, and nothing is expanded."""

import codecs
import sys
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from dps.errors import ProbeError

Loc: TypeAlias = tuple[str | int, ...]
"""A place in a file: keys and positions from the top."""

MAX_BYTES = 2**20
"""A probe file is a declaration; a larger file is not read."""

MAX_DEPTH = 50
"""Depth to which mappings and lists may be nested."""

MAX_FAULTS = 10
"""Number of a file's mistakes that are told at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML file.

    Attributes:
        path: the file.
        data: mappings, lists, texts, numbers, booleans and None.
        lines: the line, from 1, of everything in it.
        sources: the text in the file of each value that YAML does not take for text.
        faults: the mistakes so far: whether to tell it last, its line, and the message.
    """

    path: Path
    data: Any
    lines: dict[Loc, int] = field(repr=False)
    sources: dict[Loc, str] = field(repr=False, default_factory=dict)
    faults: list[tuple[bool, int, str]] = field(default_factory=list)

    def fault(self, loc: Loc, message: str, *, last: bool = False) -> None:
        """Note a mistake at a place; those that follow from others are told last."""
        self.faults.append((last, self.line(loc), message))

    def line(self, loc: Loc) -> int:
        """Return the line of a place, or of what it is in."""
        while loc not in self.lines:
            loc = loc[:-1]
        return self.lines[loc]

    def check(self) -> None:
        """Raise a ProbeError of all mistakes, one a line, if there are any."""
        if self.faults:
            lines = [f"{self.path}:{line}: {message}" for _, line, message in sorted(dict.fromkeys(self.faults))]
            more = [f"{self.path}: {len(lines) - MAX_FAULTS} more mistakes."] if len(lines) > MAX_FAULTS else []
            raise ProbeError("\n".join([*lines[:MAX_FAULTS], *more]))


def read(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        ProbeError: it is missing, empty, not YAML, or uses anchors, tags or duplicate keys; with the line.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ProbeError(f"{path}: more than {MAX_BYTES:,} bytes; a probe file is a short declaration.")
        data = path.read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except OSError as error:
        raise ProbeError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise ProbeError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    try:
        _refuse_bombs(text, path)
        reader = _Reader(path, text)
        node = reader.loader.get_single_node()
        if node is None:
            raise ProbeError(f"{path}:1: the file is empty; it should declare a probe.")
        return Document(path=path, data=reader.plain(node, ()), lines=reader.lines, sources=reader.sources)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}" if mark else ""
        raise ProbeError(f"{path}{where}: not YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise ProbeError(f"{path}: not YAML: {' '.join(str(error).split())}.") from None


_OPENS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSES = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


def _refuse_bombs(text: str, path: Path) -> None:
    """Aliases can make a short text enormous, nesting can make it slow, and nothing here needs either."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        at = f"{path}:{token.start_mark.line + 1}"
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            raise ProbeError(f"{at}: anchors and aliases (& and *) are not allowed; write the value out.")
        depth += isinstance(token, _OPENS) - isinstance(token, _CLOSES)
        if depth > MAX_DEPTH:
            raise ProbeError(f"{at}: nested more than {MAX_DEPTH} deep, which is too deep for a declaration.")


_INDICATORS = {  # plain scalars that YAML 1.1 reserves, by tag
    "tag:yaml.org,2002:merge": "'<<' merges mappings in YAML, which is not supported here; write the keys out, or put "
    "it in quotes if it is text.",
    "tag:yaml.org,2002:value": "'=' marks a default value in YAML, which is not supported here; put it in quotes.",
}


class _Reader:
    """Turns the nodes of one file into plain data, and keeps their lines."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.loader = path, yaml.SafeLoader(text)
        self.lines: dict[Loc, int] = {}
        self.sources: dict[Loc, str] = {}

    def error(self, node: yaml.Node, message: str) -> ProbeError:
        return ProbeError(f"{self.path}:{node.start_mark.line + 1}: {message}")

    def plain(self, node: yaml.Node, loc: Loc) -> object:
        """Return a node's value; only the tags of plain YAML are known to the loader."""
        self.lines[loc] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
            mapping: dict[Hashable, object] = {}
            for key_node, value_node in node.value:
                key = self.key(key_node)
                if key in mapping:
                    raise self.error(key_node, f"key {key!r} stands twice in one mapping.")
                mapping[key] = self.plain(value_node, (*loc, key))
                self.lines[*loc, key] = key_node.start_mark.line + 1
            return mapping
        if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
            return [self.plain(child, (*loc, i)) for i, child in enumerate(node.value)]
        if not isinstance(node, yaml.ScalarNode):
            raise self.error(node, f"tag {node.tag!r} is not allowed; write plain mappings, lists and values.")
        value = self.scalar(node)
        if not isinstance(value, str):
            self.sources[loc] = node.value
        return value

    def key(self, node: yaml.Node) -> str:
        """Return a mapping's key, which must be text."""
        key = self.scalar(node) if isinstance(node, yaml.ScalarNode) else node.value
        if not isinstance(key, str):
            what = node.value if isinstance(node, yaml.ScalarNode) else "a list or mapping"
            raise self.error(node, f"keys must be text, found {what}; put it in quotes.")
        return key

    def scalar(self, node: yaml.ScalarNode) -> object:
        """Return a text, number, boolean, date or None."""
        if node.tag in _INDICATORS:
            raise self.error(node, _INDICATORS[node.tag])
        try:
            value = self.loader.construct_object(node)
        except (ValueError, LookupError, AttributeError):  # such as 2001-99-99: PyYAML takes it for a date
            kind = node.tag.rpartition(":")[2]
            raise self.error(node, f"{node.value!r:.60} is not a valid {kind}; put text in quotes.") from None
        if isinstance(value, int) and value.bit_length() > 64:  # Python does not even print numbers of 5000 digits
            raise self.error(node, f"{node.value:.20}... is too large a number.")
        if not isinstance(value, str):
            return value
        try:  # JSON writes a character beyond U+FFFF as two halves
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self.error(node, f"{value!r:.60} has half of a surrogate pair; write the character itself.") from None


def written(data: Any, *, flow: bool = False) -> str:
    """Return plain data as YAML, in the given order.

    Args:
        data: mappings, lists, texts and numbers.
        flow: all on one line; else in the style of the probe files, where only the innermost are.
    """
    text: str = yaml.safe_dump(
        data, sort_keys=False, default_flow_style=flow or None, width=sys.maxsize if flow else 110, allow_unicode=True
    )
    return text.strip().removeprefix("{").removesuffix("}") if flow else text

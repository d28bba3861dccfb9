"""YAML files as plain data that still knows its lines. Nothing in a file runs, and nothing is expanded."""

import sys
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from dps.errors import ProbeError

Loc: TypeAlias = tuple[str | int, ...]
"""Where in a file something stands: keys and positions from the top."""

MOST_BYTES = 2**20
"""A probe file is a declaration; one of more than a MiB is not read."""

DEEPEST = 50
"""How deep mappings and lists may be nested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One YAML file.

    Attributes:
        path: the file.
        data: mappings, lists, texts, numbers, booleans and None.
        lines: the line, from 1, of everything in it.
    """

    path: Path
    data: Any
    lines: dict[Loc, int] = field(repr=False)

    def error(self, loc: Loc, message: str) -> ProbeError:
        """A mistake in this file, with its line."""
        while loc not in self.lines:
            loc = loc[:-1]
        return ProbeError(f"{self.path}:{self.lines[loc]}: {message}")


def read(path: Path) -> Document:
    """Read one YAML file.

    Raises:
        ProbeError: it is missing, empty, no YAML, or uses anchors, tags or duplicate keys; with the line.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ProbeError(f"{path}: more than {MOST_BYTES:,} bytes; a probe file is a short declaration.")
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ProbeError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise ProbeError(f"{path}: not UTF-8 text (byte {error.start}).") from None
    lines: dict[Loc, int] = {}
    try:
        loader = yaml.SafeLoader(text)
        _refuse_bombs(text, path)
        node = loader.get_single_node()
        if node is None:
            raise ProbeError(f"{path}:1: the file is empty; it should declare a probe.")
        return Document(path=path, data=_plain(node, loader, (), lines, path), lines=lines)
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
        if depth > DEEPEST:
            raise ProbeError(f"{at}: nested more than {DEEPEST} deep, which is too deep for a declaration.")


def _plain(node: yaml.Node, loader: yaml.SafeLoader, loc: Loc, lines: dict[Loc, int], path: Path) -> object:
    """A node's value, noting its line; only the tags of plain YAML are known to the loader."""
    line = node.start_mark.line + 1
    lines[loc] = line
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        mapping: dict[Hashable, object] = {}
        for key_node, value_node in node.value:
            key = _scalar(key_node, loader, path) if isinstance(key_node, yaml.ScalarNode) else None
            at = f"{path}:{key_node.start_mark.line + 1}"
            if not isinstance(key, str):
                raise ProbeError(f"{at}: keys must be text, found {key!r}; put it in quotes.")
            if key in mapping:
                raise ProbeError(f"{at}: key {key!r} stands twice in one mapping.")
            mapping[key] = _plain(value_node, loader, (*loc, key), lines, path)
            lines[*loc, key] = key_node.start_mark.line + 1
        return mapping
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [_plain(child, loader, (*loc, i), lines, path) for i, child in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, loader, path)
    raise ProbeError(f"{path}:{line}: tag {node.tag!r} is not allowed; write plain mappings, lists and values.")


def _scalar(node: yaml.ScalarNode, loader: yaml.SafeLoader, path: Path) -> object:
    """A text, number, boolean, date or None."""
    try:
        return loader.construct_object(node)
    except (ValueError, LookupError, AttributeError):  # such as 2001-99-99: PyYAML takes it for a date
        kind = node.tag.rpartition(":")[2]
        line = node.start_mark.line + 1
        raise ProbeError(f"{path}:{line}: {node.value!r:.60} is no {kind}; put text in quotes.") from None


def written(data: Any, *, flow: bool = False) -> str:
    """Plain data as YAML, the order kept.

    Args:
        data: mappings, lists, texts and numbers.
        flow: all on one line; else in the style of the probe files, where that is what is innermost.
    """
    text: str = yaml.safe_dump(
        data, sort_keys=False, default_flow_style=flow or None, width=sys.maxsize if flow else 110, allow_unicode=True
    )
    return text.strip().removeprefix("{").removesuffix("}") if flow else text

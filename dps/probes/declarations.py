"""The keys of a probe file, apart from its images. Every mistake is noted in the document with its line."""

from typing import Annotated, Any, TypeVar

import pydantic

from dps.errors import closest, unknown
from dps.probes.yaml_files import Document, Loc

MAX_CASES = 100_000
"""Number of cases that one declaration may stand for."""


class _Declaration(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


Name = Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
Text = Annotated[str, pydantic.Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Entry(_Declaration):
    """One case, or a range of drawn ones."""

    id: Text
    draw: Annotated[int, pydantic.Field(ge=1, le=MAX_CASES)] | None = None
    seed: Annotated[int, pydantic.Field(ge=0)] = 0
    asks: str = ""
    source: str = ""
    original: Any
    distorted: Any
    references: Any


class People(_Declaration):
    """The severity from which people notice the change, and who found it."""

    notice: Annotated[float, pydantic.Field(allow_inf_nan=False)]
    source: Text


class Severity(_Declaration):
    """The drawn value that measures how strongly a case is distorted, such as ``degrees``, and its unit in words."""

    by: Name
    unit: Text
    people: People | None = None


class ProbeFile(_Declaration):
    """A probe, whose entries are not checked."""

    probe: Name
    asks: str = ""
    because: str = ""
    source: str = ""
    severity: Severity | None = None
    counterparts: list[Name] = []
    sanity: bool = False
    size: Annotated[int, pydantic.Field(ge=8, le=2048)] = 96
    cases: Annotated[list[Any], pydantic.Field(min_length=1)]


Declaration = TypeVar("Declaration", bound=_Declaration)


def validated(model: type[Declaration], document: Document, data: object, at: Loc = ()) -> Declaration | None:
    """Return part of a document as a model; None where its mistakes are noted, in our words.

    A key is not missing where a misspelt one stands for it.
    """
    try:
        return model.model_validate(data)
    except pydantic.ValidationError as error:
        faults = error.errors()
    nested: dict[object, type[_Declaration]] = {"severity": Severity, "people": People}
    meant: set[Loc] = set()
    for fault in faults:
        if fault["type"] == "extra_forbidden":
            loc = (*at, *fault["loc"])
            keys = nested.get(loc[-2] if len(loc) > 1 else "", model).model_fields
            meant.add((*loc[:-1], closest(loc[-1], keys)))
            document.fault(loc, unknown("key", loc[-1], keys))
    for fault in faults:
        loc = (*at, *fault["loc"])
        if fault["type"] == "missing" and loc not in meant:
            document.fault(loc[:-1], f"key {loc[-1]!r} is missing.")
        elif fault["type"] not in ("missing", "extra_forbidden"):
            what = ".".join(part for part in loc if isinstance(part, str))
            document.fault(loc, f"{what}: {_in_words(fault['type'], fault['msg'], fault['input'], document, loc)}")
    return None


def _in_words(kind: str, message: str, value: Any, document: Document, loc: Loc) -> str:
    source = document.sources.get(loc)
    if kind == "string_type" and source is not None:
        if not source:
            return "a text is missing."
        return f'YAML does not take {source} for text, but for {value}; put it in quotes: "{source}".'
    if kind == "string_pattern_mismatch" and loc[-1] in ("probe", "by"):
        return f"a name has letters without accents, digits, _ . and - alone; found {value!r:.60}."
    if kind in ("string_pattern_mismatch", "string_too_short"):
        return f"a text on one line, without control characters and not empty; found {value!r:.60}."
    right = "it should be a mapping" if kind == "model_type" else message[:1].lower() + message[1:]
    return f"{right}; found {type(value).__name__} {value!r:.60}."

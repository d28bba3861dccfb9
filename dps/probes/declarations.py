"""The keys of a probe file, apart from its images. Every mistake is recorded in the document with its line."""

from typing import Annotated, Any, ClassVar

import pydantic

from dps.yaml_files import Declaration, Name, Text

MAX_CASES = 100_000
"""Maximum number of cases of one declaration."""


class Entry(Declaration):
    """One case, or a number of drawn ones."""

    id: Text
    draw: Annotated[int, pydantic.Field(ge=1, le=MAX_CASES)] | None = None
    seed: Annotated[int, pydantic.Field(ge=0)] = 0
    asks: str = ""
    source: str = ""
    original: Any
    distorted: Any
    references: Any


class People(Declaration):
    """The severity above which people notice the change, and its source."""

    notice: Annotated[float, pydantic.Field(allow_inf_nan=False)]
    source: Text


class Severity(Declaration):
    """The drawn value that measures the strength of the distortion, such as ``degrees``, and its unit in words."""

    by: Name
    unit: Text
    people: People | None = None


class ProbeFile(Declaration):
    """A probe; its entries are validated separately."""

    nested: ClassVar = {"severity": Severity, "people": People}

    probe: Name
    asks: str = ""
    because: str = ""
    source: str = ""
    severity: Severity | None = None
    counterparts: Annotated[list[Name], pydantic.Field(default_factory=list)]
    sanity: bool = False
    size: Annotated[int, pydantic.Field(ge=8, le=2048)] = 96
    cases: Annotated[list[Any], pydantic.Field(min_length=1)]

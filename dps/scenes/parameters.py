"""Parameters of scenes and distortions: keyword-only arguments, with types and limits from the signature."""

import functools
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import pydantic

from dps.errors import unknown
from dps.photographs import Photograph


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One keyword-only argument.

    Attributes:
        type: validates values against the type and limits.
        content: accepts a photograph, too.
    """

    type: "pydantic.TypeAdapter[Any]"
    required: bool
    content: bool

    def fault(self, value: object) -> str:
        """Return the fault of a value, as a sentence without a capital letter; empty for a valid value."""
        try:
            self.type.validate_python(value)
        except pydantic.ValidationError as error:
            fault = error.errors()[-1]
            if fault["type"] == "value_error":
                return str(fault["ctx"]["error"])
            return f"{fault['msg'][:1].lower()}{fault['msg'][1:]}; found {fault['input']!r:.60}."
        return ""


def one_of(names: Iterable[str]) -> pydantic.AfterValidator:
    """Return the validator of a string parameter that must be one of these names."""
    options = tuple(names)

    def check(name: str) -> str:
        if name not in options:
            raise ValueError(unknown("name", name, options))
        return name

    return pydantic.AfterValidator(check)


@functools.cache
def parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the keyword-only parameters of a function by name."""
    hints = get_type_hints(function, include_extras=True)
    strict = pydantic.ConfigDict(strict=True)
    return {
        name: Parameter(
            type=pydantic.TypeAdapter(hints[name], config=strict),
            required=parameter.default is parameter.empty,
            content=Photograph in get_args(hints[name]),
        )
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }

"""Parameters of scenes and distortions: keyword arguments, whose types and limits are read off the signature."""

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
    """One keyword argument: its type and limits, and whether it is required; a `content` may be a photograph, too."""

    type: "pydantic.TypeAdapter[Any]"
    required: bool
    content: bool

    def fault(self, value: object) -> str:
        """Return what is wrong with a value, as a sentence without a capital; empty if it is right."""
        try:
            self.type.validate_python(value)
        except pydantic.ValidationError as error:
            fault = error.errors()[-1]
            if fault["type"] == "value_error":
                return str(fault["ctx"]["error"])
            return f"{fault['msg'][:1].lower()}{fault['msg'][1:]}; found {fault['input']!r:.60}."
        return ""


def one_of(names: Iterable[str]) -> pydantic.AfterValidator:
    """Return the check of a text parameter that takes one of these names."""
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

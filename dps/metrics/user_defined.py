"""From user-defined objects to metrics and comparisons, distinguished by the number of required arguments."""

import inspect
from dataclasses import replace
from typing import Any

from torch import nn

from dps.comparisons import Comparison
from dps.errors import UsageError
from dps.metrics.definitions import Metric
from dps.user_code import loading
from dps.user_code.reading import TypedName

RULE = "a callable with one required argument is a comparison, with two a metric, with none a factory for either"

REMEDY = (
    "wrap a metric in dps.Metric(distance=...) or in a function of two arguments, a comparison in a function of one"
)


def load(typed: TypedName, name: str) -> Comparison | Metric:
    """Load a user-defined comparison or metric, constructed if it is a class or factory; see `loading.load`.

    Raises:
        UsageError: it cannot be loaded, or its arguments fit neither.
    """
    value: Any = loading.load(typed, "metric", name)
    count = _required_arguments(value, name)
    if count == 0:
        value = loading.construct(value, "metric", name)
        count = _required_arguments(value, name)
    if isinstance(value, Metric):
        return replace(value, name=name)
    if count == 1:
        comparison: Comparison = value
        return comparison
    if count == 2:
        return Metric(name=name, distance=value)
    raise UsageError(f"metric {name!r}: requires {count} arguments; {RULE}.")


def _required_arguments(value: object, name: str) -> int:
    """Return the number of positional arguments that a callable requires; a UsageError if it is ambiguous."""
    if not callable(value):
        raise UsageError(f"metric {name!r}: {type(value).__name__} is not callable; {RULE}.")
    try:
        parameters = list(_signature(value).parameters.values())
    except (TypeError, ValueError):
        raise UsageError(
            f"metric {name!r}: {type(value).__name__} {getattr(value, '__name__', name)} has no signature; {REMEDY}."
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
    signature = ", ".join(str(p) for p in parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise UsageError(f"metric {name!r}: takes any number of arguments ({signature}); {REMEDY}.")
    if (required and optional and optional[0].default is None) or (isinstance(value, nn.Module) and not required):
        raise UsageError(f"metric {name!r}: may be called with one argument or with two ({signature}); {REMEDY}.")
    return len(required)


def _signature(value: Any) -> inspect.Signature:
    """Return the signature of a callable, of a module's ``forward``, or of a TorchScript schema."""
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

"""Calls that must be refused, and what is said then."""

from collections.abc import Callable

import pytest

from dps.errors import DpsError


def refusal(call: Callable[[], object], kind: type[Exception] = DpsError) -> str:
    """Return the message, in one line, of a call that must be refused."""
    with pytest.raises(kind) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message

"""Searching for the smallest thing that fails: the one door to Hypothesis, which draws and shrinks."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


class _FailedError(Exception):
    """What was searched for has been found."""


def smallest(strategy: "SearchStrategy[T]", fails: Callable[[T], bool], *, tries: int, seed: int = 0) -> T | None:
    """Search for a value that fails, and make it as small as it goes.

    Args:
        strategy: what is drawn; what it draws first is shrunk first.
        fails: whether a value is what is searched for. What it raises beside `Exception` ends the search.
        tries: how many values are drawn until one fails; shrinking it takes more.
        seed: of the draws. Nothing is random otherwise, and nothing is kept from an earlier search.

    Returns:
        The smallest that was found, or None.
    """
    import hypothesis
    from hypothesis import HealthCheck, Phase, Verbosity

    found: list[T] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=tries,
        phases=(Phase.generate, Phase.shrink),
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        print_blob=False,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(strategy)
    def attempt(value: T) -> None:
        if fails(value):
            found[:] = [value]
            raise _FailedError

    try:
        attempt()
    except (_FailedError, hypothesis.errors.Flaky):  # flaky: it failed, and did not when it was tried again
        return found[0]
    return None


def tries_of(profile: str) -> int:
    """How many values one of Hypothesis's profiles draws: ``default``, ``ci``, or one that somebody registered."""
    import hypothesis

    tries: int = hypothesis.settings.get_profile(profile).max_examples
    return tries

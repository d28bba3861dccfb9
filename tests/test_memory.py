"""Giving memory back: what the C library cannot do is left out."""

import ctypes
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from dps import memory


@pytest.fixture(autouse=True)
def looked_up_anew() -> Iterator[None]:
    memory._trim.cache_clear()
    yield
    memory._trim.cache_clear()


def test_memory_is_given_back_by_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _name: SimpleNamespace(malloc_trim=asked.append))
    memory.give_back()
    memory.give_back()
    assert asked == [0, 0]


@pytest.mark.parametrize("error", [OSError("none"), TypeError("Windows"), AttributeError("another C library")])
def test_where_it_cannot_nothing_happens(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def has_none(_name: object) -> object:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", has_none)
    memory.give_back()

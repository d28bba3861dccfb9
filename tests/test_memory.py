"""Giving memory back: what the C library cannot do is left out."""

import ctypes

import pytest

from dps import memory


def test_memory_is_given_back_where_the_c_library_can(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.give_back()

    def has_none(_name: object) -> object:
        raise OSError("no such library")

    memory._trim.cache_clear()
    try:
        monkeypatch.setattr(ctypes, "CDLL", has_none)
        memory.give_back()
    finally:
        memory._trim.cache_clear()

"""Results that other threads make before they are asked for."""

import threading

import pytest
import torch

from dps.session.ahead import Ahead


def test_every_result_is_made_once_whoever_asks() -> None:
    calls: list[int] = []

    def make(key: int) -> int:
        calls.append(key)
        return 10 * key

    ahead = Ahead(make, range(6), lead=2, kept=3)
    assert [ahead(key) for key in (0, 0, 1, 2, 1, 3, 4, 5, 5)] == [0, 0, 10, 20, 10, 30, 40, 50, 50]
    assert calls == [0, 1, 2, 3, 4, 5]
    ahead.close()


def test_so_many_are_made_before_they_are_asked_for() -> None:
    made: list[int] = []
    third = threading.Event()

    def make(key: int) -> int:
        made.append(key)
        if key == 2:
            third.set()
        return key

    ahead = Ahead(make, range(9), lead=2, kept=1)
    ahead(0)
    assert third.wait(timeout=10)
    ahead.close()
    assert made == [0, 1, 2]


def test_each_worker_makes_a_result_of_its_own_on_its_part_of_the_cores() -> None:
    both = threading.Barrier(2, timeout=10)

    def make(_: int) -> int:
        both.wait()  # raises where one worker makes one result after the other
        return torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    ahead = Ahead(make, range(2), lead=2, kept=2, workers=2)
    try:
        assert [ahead(0), ahead(1)] == [1, 1]
    finally:
        ahead.close()
        torch.set_num_threads(before)


def test_what_is_no_longer_kept_is_made_again_by_whoever_asks() -> None:
    ahead = Ahead(lambda key: (key, threading.current_thread()), range(3), lead=3, kept=1)
    made = [ahead(key) for key in (0, 1, 2, 0)]
    assert [key for key, _ in made] == [0, 1, 2, 0]
    assert made[3][1] is threading.current_thread() is not made[0][1]
    ahead.close()


@pytest.mark.parametrize("lead", [0, 2])
def test_an_error_reaches_whoever_asks(lead: int) -> None:
    ahead = Ahead(lambda key: 1 // key, [1, 0, 2], lead=lead, kept=1)
    assert ahead(1) == 1
    with pytest.raises(ZeroDivisionError):
        ahead(0)
    assert ahead(2) == 0
    ahead.close()


def test_without_a_lead_there_is_no_other_thread() -> None:
    before = threading.active_count()
    ahead = Ahead(lambda _: threading.active_count(), range(3), lead=0, kept=2)
    assert [ahead(key) for key in range(3)] == [before] * 3

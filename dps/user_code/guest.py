"""Calls of user-defined code as a guest: its changes to the state of the process are undone when it returns."""

import contextlib
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from dps.errors import ChangedInputError

Setting: TypeAlias = tuple[Callable[[], Any], Callable[[Any], object]]
"""Functions that read and restore a part of the state."""


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - three times faster than Path.cwd, and in every call of a metric
    except FileNotFoundError:  # it was removed
        return ""


def _set_filters(filters: list[Any]) -> None:
    warnings.resetwarnings()  # invalidates the cache of filters
    warnings.filters = filters


def _set_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


SETTINGS: tuple[Setting, ...] = (
    (_folder, os.chdir),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, _set_device),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (np.geterr, lambda errors: np.seterr(**errors)),
    (lambda: list(warnings.filters), _set_filters),
    (lambda: warnings.showwarning, lambda function: setattr(warnings, "showwarning", function)),
    (lambda: list(sys.argv), lambda arguments: setattr(sys, "argv", arguments)),
    (lambda: sys.stdout, lambda stream: setattr(sys, "stdout", stream)),
    (lambda: sys.stderr, lambda stream: setattr(sys, "stderr", stream)),
)
"""The state that is compared after each visit, and restored where it changed."""

GENERATORS: tuple[Setting, ...] = (
    (random.getstate, random.setstate),
    (np.random.get_bit_generator, np.random.set_bit_generator),  # type: ignore[attr-defined]
    (torch.get_rng_state, torch.set_rng_state),
)
"""Global random number generators. Guests have separate states, which last from visit to visit."""

_guests_states: list[Any] = [random.Random().getstate(), np.random.MT19937(), torch.get_rng_state()]  # noqa: S311


@contextlib.contextmanager
def visit() -> Iterator[None]:
    """Restore the state of the process after user-defined code: `SETTINGS`, `GENERATORS` and Matplotlib's settings."""
    settings = [read() for read, _ in SETTINGS]
    states = [read() for read, _ in GENERATORS]
    for (_, write), state in zip(GENERATORS, _guests_states, strict=True):
        write(state)
    matplotlib = sys.modules.get("matplotlib")
    parameters = dict(dict.items(matplotlib.rcParams)) if matplotlib else {}
    try:
        yield
    finally:
        for (read, write), before in zip(SETTINGS, settings, strict=True):
            if read() != before and before != "":
                write(before)
        _guests_states[:] = [read() for read, _ in GENERATORS]
        for (_, write), state in zip(GENERATORS, states, strict=True):
            write(state)
        if matplotlib and not dict.__eq__(matplotlib.rcParams, parameters):
            dict.update(matplotlib.rcParams, parameters)


def call(function: Callable[..., object], *inputs: Tensor) -> object:
    """Call a user's function on copies of tensors; a ChangedInputError if it changed them."""
    copies = [tensor.clone() for tensor in inputs]
    with visit():
        result = function(*copies)
    if not all(torch.equal(tensor, copy) for tensor, copy in zip(inputs, copies, strict=True)):
        raise ChangedInputError("changed its input; it must leave it as it is")
    return result


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Set PyTorch's number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

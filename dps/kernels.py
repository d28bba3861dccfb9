"""NumPy kernels for a CPU, several times faster there than PyTorch's. They carry no gradients."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SQUARES_PER_SUM = 2**13
"""How many squares are added in single precision: few enough for NumPy's BLAS to start no threads of its own."""

SUMS_AT_ONCE = 2**7
"""How many such sums are computed at once, over all pairs: bounds the memory."""

COPY_LIMIT = 2**15
"""The number of features from which an image is copied by itself."""


def sums_of_squares(originals: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sums of squared differences; a pair's sum does not depend on the other pairs.

    Args:
        originals: ``(original, 1, number)`` or ``(1, 1, number)``.
        others: ``(original, compared, number)`` or ``(1, compared, number)``.

    Returns:
        ``(original, compared)``.
    """
    size = originals.shape[-1]
    sums = np.zeros((len(originals), others.shape[1]))
    if not sums.size:
        return sums
    row = min(SQUARES_PER_SUM, size)
    block = row * min(max(1, SUMS_AT_ONCE // sums.size), -(-size // row))
    difference = np.empty((*sums.shape, block), np.result_type(originals, others))
    with np.errstate(all="ignore"):  # a sum that is not finite is judged later
        for start in range(0, size, block):
            filled = difference[..., : size - start]
            np.subtract(others[..., start : start + block], originals[..., start : start + block], out=filled)
            difference[..., size - start :] = 0
            rows = difference.reshape(*sums.shape, -1, row)
            for squares in np.vecdot(rows, rows).transpose(2, 0, 1):
                sums += squares
    return sums


def unit(representation: Tensor, smallest_norm: float) -> Tensor:
    """Divide each position's channel vector by its L2 norm, clamped from below; ``(batch, channel, position)``."""
    numbers = representation.numpy()
    with np.errstate(all="ignore"):
        norm = np.sqrt(np.einsum("bck,bck->bk", numbers, numbers))
        return torch.from_numpy(numbers / np.maximum(norm, numbers.dtype.type(smallest_norm))[:, None])


def sort(rows: Tensor) -> Tensor:
    """Sort along the last axis of ``(batch, channel, position)``, ascending."""
    if rows[0].numel() < COPY_LIMIT:
        ordered = rows.clone(memory_format=torch.contiguous_format)
    else:
        ordered = torch.empty(rows.shape, dtype=rows.dtype, device="cpu")
        for target, image in zip(ordered, rows, strict=True):
            target.copy_(image)  # image by image: PyTorch transposes matrices fast, batches of them slowly
    numbers = ordered.numpy()
    if numbers.dtype == np.float32 and (bits := numbers.view(np.int32)).min() >= 0:
        numbers = bits  # the bits of numbers that are not negative have the same order, and are sorted faster
    numbers.sort(axis=-1)
    return ordered


def use_threads(count: int) -> None:
    """Have PyTorch compute on a number of cores in this thread alone, whatever other threads set."""
    torch.get_num_threads()  # the first call in a thread sets the number that any thread set last
    torch.set_num_threads(count)

"""NumPy kernels for CPUs, without gradients, several times faster there than PyTorch."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SQUARES_PER_SUM = 2**13
"""The number of squares that are added in single precision; small enough that NumPy's BLAS starts no threads."""

SUMS_AT_ONCE = 2**7
"""The number of such sums computed at once, over all pairs, which limits the memory."""

COPY_LIMIT = 2**15
"""The number of features per image above which images are copied one by one."""


def sums_of_squares(originals: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the sums of squared differences, each independent of the other pairs.

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
    with np.errstate(all="ignore"):  # sums that are not finite are handled later
        for start in range(0, size, block):
            filled = difference[..., : size - start]
            np.subtract(others[..., start : start + block], originals[..., start : start + block], out=filled)
            difference[..., size - start :] = 0
            rows = difference.reshape(*sums.shape, -1, row)
            for squares in np.vecdot(rows, rows).transpose(2, 0, 1):
                sums += squares
    return sums


def unit(representation: Tensor, smallest_norm: float) -> Tensor:
    """Divide the channel vectors of ``(batch, channel, position)`` by their L2 norm, clamped from below."""
    numbers = representation.numpy()
    with np.errstate(all="ignore"):
        norm = np.sqrt(np.einsum("bck,bck->bk", numbers, numbers))
        return torch.from_numpy(numbers / np.maximum(norm, numbers.dtype.type(smallest_norm))[:, None])


def sort(rows: Tensor) -> Tensor:
    """Sort ``(batch, channel, position)`` along the last axis, ascending."""
    if rows[0].numel() < COPY_LIMIT:
        ordered = rows.clone(memory_format=torch.contiguous_format)
    else:
        ordered = torch.empty(rows.shape, dtype=rows.dtype, device="cpu")
        for target, image in zip(ordered, rows, strict=True):
            target.copy_(image)  # image by image: PyTorch transposes matrices fast, batches of them slowly
    numbers = ordered.numpy()
    if numbers.dtype == np.float32 and (bits := numbers.view(np.int32)).min() >= 0:
        numbers = bits  # bit patterns of non-negative floats have the same order, and sort faster
    numbers.sort(axis=-1)
    return ordered


def use_threads(count: int) -> None:
    """Set PyTorch's number of threads for the calling thread only."""
    torch.get_num_threads()  # the first call in a thread adopts the last number set in any thread
    torch.set_num_threads(count)

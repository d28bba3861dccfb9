"""Computing the results of a function in other threads before they are needed."""

import threading
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

from dps import kernels

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Ahead(Generic[K, T]):
    """A function whose results are computed ahead, in the order in which they will be requested. It is thread-safe.

    Args:
        function: of a key.
        keys: in the order of requests.
        lead: number of results to compute ahead; 0 starts no thread.
        kept: number of last requested results to cache.
        workers: number of threads, each of which computes one result at a time on an equal share of the cores.
    """

    def __init__(
        self, function: Callable[[K], T], keys: Iterable[K], *, lead: int, kept: int, workers: int = 1
    ) -> None:
        self._function, self._keys, self._lead, self._kept = function, list(keys), lead, kept
        self._places = {key: place for place, key in enumerate(self._keys)}
        self._begun = 0
        self._results: dict[K, Future[T]] = {}
        self._asked: dict[K, None] = {}
        self._lock = threading.Lock()
        self._worker = None
        if lead:
            threads = max(1, torch.get_num_threads() // workers)
            self._worker = ThreadPoolExecutor(workers, initializer=kernels.use_threads, initargs=(threads,))
            self._begin(self._worker, lead)

    def _begin(self, worker: ThreadPoolExecutor, end: int) -> None:
        """Start computing the results up to a position in the order."""
        for key in self._keys[self._begun : end]:
            self._results[key] = worker.submit(self._function, key)
        self._begun = max(self._begun, end)

    def __call__(self, key: K) -> T:
        """Return the result of a key, or raise the function's exception; start computing the results that follow."""
        with self._lock:
            if self._worker is not None:
                self._begin(self._worker, self._places[key] + 1 + self._lead)
            missing = key not in self._results  # there is no thread, or it is no longer cached
            result = self._results.setdefault(key, Future())
            self._asked.pop(key, None)
            self._asked[key] = None
            for earlier in list(self._asked)[: -self._kept]:
                del self._asked[earlier], self._results[earlier]
        if missing:
            try:
                result.set_result(self._function(key))
            except BaseException as error:
                result.set_exception(error)
                raise
        return result.result()

    def close(self) -> None:
        """Cancel all computations that have not started; those that have are joined when the process exits."""
        if self._worker is not None:
            self._worker.shutdown(wait=False, cancel_futures=True)

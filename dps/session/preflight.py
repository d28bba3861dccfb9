"""One call of each metric that is not built in before anything is measured, so that a fault is reported once.

Where this process can be forked, the call is made in a child process: a metric that crashes or hangs is then excluded.
"""

import contextlib
import faulthandler
import functools
import math
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from dps.errors import UsageError
from dps.images import Pixels, as_batch
from dps.metrics import AnyMetric, FeatureMetric, Metric, Term, metric_error
from dps.networks import Extractor, Network
from dps.same import lenient
from dps.verdicts import BATCH_TOLERANCE, SELF_TOLERANCE

TIME_LIMIT = 60
"""Time limit of a call, in seconds."""

Subject: TypeAlias = Metric | Term

Find: TypeAlias = Callable[[Subject, Sequence[Tensor]], str]
"""Calls a metric or comparison, and returns its fault in one line; empty if there is none."""


def check(
    metrics: Sequence[AnyMetric],
    shape: tuple[int, int],
    network: Callable[[], Extractor] | None,
    find: Find,
) -> dict[str, str]:
    """Call each metric and comparison of a run once, except those that are built in.

    Args:
        metrics: of the run.
        shape: height and width of the run's smallest images, in pixels.
        network: loads the network whose features are passed to comparisons; None without one.
        find: `find_fault` or `find_exception`.

    Returns:
        By name, why a metric must be excluded: it crashed its process, or did not return.

    Raises:
        UsageError: metrics have faults; one line each, with what to return instead.
    """
    subjects = _subjects(metrics)
    inputs = _inputs(subjects.values(), shape, network)
    faults: dict[str, str] = {}
    deaths: dict[str, str] = {}
    for name, subject in subjects.items():
        fault, death = _check_in_child(functools.partial(find, subject, inputs))
        if fault or death:
            (deaths if death else faults)[name] = fault or death
    if faults:
        raise UsageError("\n".join(faults.values()))
    return {m.name: deaths[name] for m in metrics for name in _subjects([m]) if name in deaths}


def check_network(network: Network, shape: tuple[int, int], device: str) -> None:
    """Call a user's network on a few images, and on one of them alone.

    Raises:
        UsageError: features are not finite, or those of an image differ between alone and in a batch.
        DpsError: the network failed, or did not return feature maps.
    """
    extractor = Extractor(network, device=device)
    images = as_batch(draw_images(shape))
    with torch.inference_mode():
        for name, together, alone in zip(
            extractor.layers, extractor.features(images), extractor.features(images[:1]), strict=True
        ):
            where = f"network {network.name!r}, layer {name}"
            if not together.isfinite().all():
                raise UsageError(f"{where}: has features that are not finite; return finite numbers.")
            same = together[:1].shape == alone.shape
            if not same or (together[:1] - alone).abs().max() > BATCH_TOLERANCE * together.abs().max():
                raise UsageError(
                    f"{where}: an image has other features alone than in a batch; put the network into eval mode, and "
                    "let it look at each image by itself."
                )


def _subjects(metrics: Iterable[AnyMetric]) -> dict[str, Subject]:
    """Return metrics of images and comparisons that are not built in, by name."""
    subjects: dict[str, Subject] = {}
    for metric in metrics:
        for subject in metric.terms if isinstance(metric, FeatureMetric) else (metric,):
            if not subject.built_in:
                subjects[subject.name] = subject
    return subjects


def _inputs(
    subjects: Iterable[Subject], shape: tuple[int, int], network: Callable[[], Extractor] | None
) -> Sequence[Tensor]:
    """Return a batch of images and, if there are comparisons, its features by layer."""
    images = as_batch(draw_images(shape))
    if network is None or not any(isinstance(subject, Term) for subject in subjects):
        return [images]
    with torch.inference_mode():
        return [images, *network().features(images)]


def draw_images(shape: tuple[int, int]) -> list[Pixels]:
    """Draw an image with a square, the same image with the square elsewhere, and uniform noise."""
    height, width = shape
    ramps = np.meshgrid(np.linspace(40, 200, height), np.linspace(200, 60, width), indexing="ij")
    image = np.stack([*ramps, sum(ramps) / 2], axis=-1).astype(np.uint8)
    moved = image.copy()
    image[height // 4 : height // 2, width // 4 : width // 2] = (230, 40, 20)
    moved[height // 2 : 3 * height // 4, width // 2 : 3 * width // 4] = (230, 40, 20)
    return [image, moved, np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)]


def find_fault(subject: Subject, inputs: Sequence[Tensor]) -> str:
    """Call a metric or comparison, and return its fault in one line; empty if there is none."""
    return _reported(subject, inputs, _fault_of_metric)


def find_exception(subject: Subject, inputs: Sequence[Tensor]) -> str:
    """Call as `find_fault` does, but accept any numbers from a metric."""
    return _reported(subject, inputs, _exception_of_metric)


def _reported(subject: Subject, inputs: Sequence[Tensor], of_metric: Callable[[Metric, Tensor], str]) -> str:
    try:
        return of_metric(subject, inputs[0]) if isinstance(subject, Metric) else _fault_of_term(subject, inputs)
    except KeyboardInterrupt:
        return ""
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return str(metric_error(subject.name, error))


def _exception_of_metric(metric: Metric, images: Tensor) -> str:
    numeric = lenient(metric).distance
    any_shape = replace(metric, distance=lambda a, b: numeric(a, b).flatten()[:1].expand(len(a)))
    try:
        any_shape(images, images)
    except (Exception, SystemExit):  # noqa: BLE001 - it may take only one pair at a time
        any_shape(images[:1], images[:1])
    return ""


def _fault_of_metric(metric: Metric, images: Tensor) -> str:
    itself, *others = metric(images[:1].expand(len(images), -1, -1, -1), images).tolist()
    if bad := [distance for distance in (itself, *others) if not math.isfinite(distance)]:
        return f"metric {metric.name!r}: returned {bad[0]} for two images; return a finite number for each pair."
    if abs(itself) <= SELF_TOLERANCE * max(map(abs, others)):
        return ""
    fault = f"metric {metric.name!r}: the distance of an image to itself is {itself:.5g}, but must be 0"
    if metric.similarity_at_identity is None and itself > max(others):
        return (
            f"{fault}. If it is a similarity, declare it: "
            f"dps.Metric(distance=..., similarity_at_identity={round(itself, 4)})"
        )
    return f"{fault} (to {SELF_TOLERANCE:g} of its other distances, {max(map(abs, others)):.5g})."


@torch.inference_mode()
def _fault_of_term(term: Term, inputs: Sequence[Tensor]) -> str:
    for features in inputs[1:]:
        if not term.represent(features).isfinite().all():
            return f"metric {term.name!r}: returned numbers that are not finite for features {tuple(features.shape)}."
    return ""


def _check_in_child(check: Callable[[], str]) -> tuple[str, str]:
    """Return the fault that a check finds, and why its process ended without an answer; both empty if all is well."""
    if sys.platform != "linux" or torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        return check(), ""  # CUDA does not work in a forked process
    context: Any = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, check), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about forking with threads; the child starts none
        process.start()
    sender.close()
    try:
        if not receiver.poll(TIME_LIMIT):
            return "", f"its first call did not return within {TIME_LIMIT} s"
        return receiver.recv(), ""
    except EOFError:
        process.join()
        code = process.exitcode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return "", f"its first call ended the process ({how})"
    finally:
        process.kill()
        process.join()
        receiver.close()


def _answer(sender: Connection, check: Callable[[], str]) -> None:
    """Run a check in this process, without output and on one thread, and send its result."""
    torch.set_num_threads(1)
    faulthandler.disable()
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
    sender.send(check())
    sender.close()

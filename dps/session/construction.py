"""Constructing metrics again in a new process, with other random numbers, and measuring with them."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import TypeAlias

import torch

from dps.errors import DpsError
from dps.image_pairs import ImagePair, image_pair, noise, square
from dps.invariants import Subject
from dps.options import Options
from dps.session import configuring
from dps.user_code import guest

TIME_LIMIT = 600
"""Time limit of the new process, in seconds."""

Remade: TypeAlias = dict[str, list[float] | str]
"""Distances, or an error, by label of a variant."""

MARK = "dps: "
"""Prefix of the output line that holds the answer of the new process; users' code may print other lines."""


def draw(smallest: int) -> list[ImagePair]:
    """Draw the pairs to be measured."""
    drawings = [square((40, 90, 160), (230, 40, 20), smallest // 2, 3, 5), noise((0, 0, 0), 0)]
    return [image_pair(smallest, smallest, drawings[0], other) for other in (drawings[1], 40)]


def remake(options: Options, labels: Iterable[str]) -> list[Remade]:
    """Construct all metrics of a run twice in one new process, and measure some variants each time.

    Returns:
        The results of the two constructions; one entry of errors if the process failed.
    """
    keep = ("metric", "network", "layers", "normalization", "reduction", "weights", "device")
    data = {name: getattr(options, name) for name in keep}
    command = [sys.executable, "-c", f"from {__name__} import answer; answer()"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    text = json.dumps([data, list(labels)])
    try:
        done = subprocess.run(  # noqa: S603 - our own code
            command, input=text, capture_output=True, text=True, timeout=TIME_LIMIT, env=environment, check=False
        )
        lines = [line.removeprefix(MARK) for line in done.stdout.splitlines() if line.startswith(MARK)]
        remade: list[Remade] = json.loads(lines[-1]) if lines else []
        reason = f"the new process ended with code {done.returncode}"
    except subprocess.TimeoutExpired:
        remade, reason = [], f"the new process did not return within {TIME_LIMIT} s"
    return remade or [dict.fromkeys(labels, reason)]


def answer() -> None:
    """Construct and measure, in the new process."""
    data, labels = json.load(sys.stdin)
    with guest.visit():
        torch.manual_seed(1)  # or else random weights would be the same: each process starts from the same state
    results = [_measure(Options(**data), labels) for _ in range(2)]
    print(f"\n{MARK}{json.dumps(results)}")


def _measure(options: Options, labels: Iterable[str]) -> Remade:
    try:
        configuration = configuring.configure_measurement(options)
    except DpsError as error:
        return dict.fromkeys(labels, str(error))
    engine = functools.cache(configuration.engine)
    remade: Remade = {}
    for variant in configuration.variants:
        if str(variant) in labels:
            subject = Subject(variant, [variant], engine(variant.backbone), {})
            try:
                remade[str(variant)] = subject.distances(*((p.original, p.other) for p in draw(subject.smallest)))
            except DpsError as error:
                remade[str(variant)] = str(error)
    return remade

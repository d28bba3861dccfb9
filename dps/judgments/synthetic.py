"""A small synthetic stand-in for BAPPS: graded distortions of drawn images, and simulated judges.

It goes through the same code as BAPPS, but its labels follow from the severity of the distortions: a good score shows
that the code works, not that a metric agrees with people.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dps.distortions import images as distortions
from dps.images import Pixels
from dps.judgments.dataset import ALL, KINDS, SIZE, Content, Dataset, Shard, add_part, new_digest, shards_of
from dps.scenes.composition import patch
from dps.scenes.contents import CONTENTS
from dps.scenes.plane import render
from dps.scenes.rng import Rng

NAME = "synthetic"

ABOUT = (
    "drawn by dps, not BAPPS: objects on plain backgrounds under graded distortions, and simulated judges who prefer "
    "the milder distortion and err near the threshold; no person was asked"
)

LEVELS = 16
"""Number of severities of each distortion, evenly spaced in (0, 1]."""

JUDGES = {"2afc": 5, "jnd": 3}
"""Number of simulated judges per triplet or pair, as in BAPPS."""

SCALE = 1 / LEVELS
"""Scale of the judges' logistic psychometric curve: 73 % choose the milder of two severities one level apart."""

THRESHOLD = 4 / LEVELS
"""Severity that half of the judges detect."""


def displace(pixels: Pixels, severity: float, rng: Rng) -> Pixels:
    """Shift in one of eight directions by up to a quarter of the frame, continuing the plain background."""
    steps = round(severity * SIZE / 4)
    right, down = rng.choice([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)])
    top, left = steps * (1 - down), steps * (1 - right)
    wide = np.pad(pixels, ((steps, steps), (steps, steps), (0, 0)), mode="edge")
    return wide[top : top + SIZE, left : left + SIZE]


FAMILIES: Mapping[str, Callable[[Pixels, float, Rng], Pixels]] = {
    "noise": lambda pixels, severity, rng: distortions.noise(pixels, rng, deviation=0.2 * severity),
    "blur": lambda pixels, severity, rng: distortions.blur(pixels, rng, sigma=5 * severity),
    "shift": displace,
    "contrast": lambda pixels, severity, rng: distortions.contrast(pixels, rng, factor=1 - 0.8 * severity),
}
"""Distortions of an image by severity, in (0, 1]; each is a subset of triplets."""

PAIRED = ("noise", "blur")
"""The families that are also subsets of pairs."""


def synthesize(triplets: int = 64, pairs: int = 64, seed: int = 0) -> Dataset:
    """Return the stand-in with a number of triplets and pairs per family; images are drawn on demand.

    Triplet i depends only on the family, the seed and i. Its two severities differ; each judge chooses the milder one
    with a probability that is logistic in their difference. The severity of a pair may be 0; each judge answers "same"
    with a probability that is logistic in `THRESHOLD` minus the severity.
    """
    shards: list[Shard] = []
    for kind, families, count in (("2afc", FAMILIES, triplets), ("jnd", PAIRED, pairs)):
        for family in families:
            shards += shards_of(kind, family, count, functools.partial(_draw, seed, kind, family))
    return Dataset(
        name=NAME,
        about=ABOUT,
        title=f"Scores on {NAME} data, which do not measure agreement with people",
        shards=tuple(shards),
        groups={ALL: tuple(FAMILIES)},
    )


def judge(kind: str, severities: Sequence[float], rng: Rng) -> float:
    """Return the fraction of the simulated judges who choose the second image, or answer "same" for a pair."""
    advantage = severities[0] - severities[1] if kind == "2afc" else THRESHOLD - severities[0]
    probability = 1 / (1 + math.exp(-advantage / SCALE))
    return sum(rng.bernoulli(probability) for _ in range(JUDGES[kind])) / JUDGES[kind]


@functools.lru_cache(maxsize=8)  # rank flips read each shard seven times
def _draw(seed: int, kind: str, family: str, span: range, _decode: bool) -> Content:
    images = np.empty((len(span), 1 + KINDS[kind], SIZE, SIZE, 3), dtype=np.uint8)
    judgments, digest = np.empty(len(span)), new_digest(kind)
    for row, number in enumerate(span):
        rng = Rng(seed, NAME, kind, family, number, "strengths")
        if kind == "jnd":
            severities = [rng.integer(0, LEVELS // 2) / LEVELS]
        else:
            severities = [level / LEVELS for level in rng.shuffled(range(1, LEVELS + 1))[:2]]
        images[row, 0] = original = _original(number, seed)
        for index, severity in enumerate(severities, start=1):
            rng = Rng(seed, NAME, kind, family, number, "how")
            images[row, index] = FAMILIES[family](original, severity, rng) if severity else original
        judgments[row] = judge(kind, severities, Rng(seed, NAME, kind, family, number, "judges"))
        add_part(digest, images[row].tobytes())
        add_part(digest, judgments[row].tobytes())
    return Content(judgments=judgments, digest=digest.hexdigest(), stacks=(images,))


@functools.lru_cache(maxsize=512)
def _original(number: int, seed: int) -> Pixels:
    """Draw an object on a plain background, the same for all families."""
    rng = Rng(seed, NAME, number)
    content = rng.choice([name for name in CONTENTS if name != "mosaic"])  # drawing one takes ten times as long
    pixels = render(patch(rng, SIZE, content=content, side=0.6, ground="other"), SIZE)
    pixels.setflags(write=False)
    return pixels

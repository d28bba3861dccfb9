"""A small stand-in for BAPPS, drawn: graded distortions of drawn images, and simulated judges.

It has BAPPS's form and goes through the same code, but no person ever looked at it: its labels follow from how it
was made. So a good score on it says that the machinery works, and nothing about agreement with people.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from dps.distortions import images as distortions
from dps.images import Pixels
from dps.judgments.dataset import ALL, KINDS, SIZE, Content, Dataset, Labels, Shard, add_part, new_digest, shards_of
from dps.scenes.composition import patch
from dps.scenes.contents import CONTENTS
from dps.scenes.plane import render
from dps.scenes.rng import Rng

Family: TypeAlias = Callable[[Pixels, float, Rng], Pixels]
"""An image, how strongly to distort it, in (0, 1], and choices that are the same for each strength; to the distorted
image."""

NAME = "synthetic"

ABOUT = (
    "drawn by dps, not BAPPS: objects on plain grounds under graded distortions; the milder distortion is the closer "
    "one, simulated judges err near the threshold, and no person ever looked at it"
)

TITLE = f"Scores on {NAME} data, which say nothing about agreement with people"

LEVELS = 16
"""Each distortion has this many strengths, evenly spaced, and none."""

JUDGES = {"2afc": 5, "jnd": 3}
"""How many simulated judges see each triplet or pair; BAPPS has as many people."""

UNSURE = 1 / LEVELS
"""Scale of the judges' logistic curve: of two strengths one level apart, 73 % choose the milder one."""

NOTICEABLE = 4 / LEVELS
"""The strength at which half of the judges notice a distortion."""


def displace(pixels: Pixels, strength: float, rng: Rng) -> Pixels:
    """Shift to one of eight sides by up to a quarter of the frame; the plain ground fills what it leaves."""
    steps = round(strength * SIZE / 4)
    right, down = rng.choice([(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)])
    top, left = steps * (1 - down), steps * (1 - right)
    wide = np.pad(pixels, ((steps, steps), (steps, steps), (0, 0)), mode="edge")
    return wide[top : top + SIZE, left : left + SIZE]


FAMILIES: Mapping[str, Family] = {
    "noise": lambda pixels, strength, rng: distortions.noise(pixels, rng, deviation=0.2 * strength),
    "blur": lambda pixels, strength, rng: distortions.blur(pixels, rng, sigma=5 * strength),
    "shift": displace,
    "contrast": lambda pixels, strength, rng: distortions.contrast(pixels, rng, factor=1 - 0.8 * strength),
}
"""Each is a subset of triplets."""

PAIRED = ("noise", "blur")
"""Those that are subsets of pairs, too."""


def synthesize(triplets: int = 64, pairs: int = 64, seed: int = 0) -> Dataset:
    """Make the stand-in; its images are drawn shard by shard when they are asked for.

    Triplet i depends on the family, the seed and i alone. Two different strengths are drawn; each of the judges takes
    the milder one for the closer one with a probability that is logistic in their difference. For each pair a strength
    is drawn, none included, so that some pairs are equal; each judge says "same" with a probability that is logistic
    in the strength less `NOTICEABLE`.
    """
    shards: list[Shard] = []
    for kind, families, count in (("2afc", FAMILIES, triplets), ("jnd", PAIRED, pairs)):
        for family in families:
            shards += shards_of(kind, family, count, functools.partial(_draw, seed, kind, family))
    return Dataset(name=NAME, about=ABOUT, title=TITLE, shards=tuple(shards), groups={ALL: tuple(FAMILIES)})


def strengths(kind: str, family: str, number: int, seed: int = 0) -> tuple[float, ...]:
    """Return the severity of the distortion of each compared image of a triplet or pair, from 0 to 1."""
    rng = Rng(seed, NAME, kind, family, number, "strengths")
    if kind == "jnd":
        return (rng.integer(0, LEVELS // 2) / LEVELS,)
    return tuple(level / LEVELS for level in rng.shuffled(range(1, LEVELS + 1))[:2])


def judged(kind: str, compared: tuple[float, ...], rng: Rng) -> float:
    """Return the fraction of the simulated judges who chose the second image, or, of a pair, said "same"."""
    advantage = compared[0] - compared[1] if kind == "2afc" else NOTICEABLE - compared[0]
    likely = 1 / (1 + math.exp(-advantage / UNSURE))
    return sum(rng.bernoulli(likely) for _ in range(JUDGES[kind])) / JUDGES[kind]


@functools.lru_cache(maxsize=8)  # rank flips read each shard seven times
def _draw(seed: int, kind: str, family: str, span: range, _decode: bool) -> Content:
    images = np.empty((len(span), 1 + KINDS[kind], SIZE, SIZE, 3), dtype=np.uint8)
    judgments, digest = np.empty(len(span)), new_digest(kind)
    for row, number in enumerate(span):
        compared = strengths(kind, family, number, seed)
        images[row, 0] = original = _original(number, seed)
        for place, strength in enumerate(compared, start=1):
            how = Rng(seed, NAME, kind, family, number, "how")
            images[row, place] = FAMILIES[family](original, strength, how) if strength else original
        judgments[row] = judged(kind, compared, Rng(seed, NAME, kind, family, number, "judges"))
        add_part(digest, images[row].tobytes())
        add_part(digest, judgments[row].tobytes())
    return Content(stacks=(images,), labels=Labels(judgments=judgments, digest=digest.hexdigest()))


@functools.lru_cache(maxsize=512)
def _original(number: int, seed: int) -> Pixels:
    """An object on a plain ground, ``(SIZE, SIZE, 3)``; every family distorts the same ones."""
    rng = Rng(seed, NAME, number)
    content = rng.choice([name for name in CONTENTS if name != "mosaic"])  # drawing one takes ten times as long
    pixels = render(patch(rng, SIZE, content=content, side=0.6, ground="other"), SIZE)
    pixels.setflags(write=False)
    return pixels

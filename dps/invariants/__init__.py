"""What must hold of every metric, whatever it measures, asked of pairs of images that are drawn to break it.

pairs.py     pairs of images of few parameters, so that of all that show a flaw the smallest can be found
subjects.py  a variant as the invariants ask it
checks.py    the invariants: what each says, to which tolerance, and where that is from
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dps import images, searching
from dps.errors import DpsError, one_line
from dps.invariants import pairs
from dps.invariants.checks import INVARIANTS, Invariant, UnmeasuredError
from dps.invariants.pairs import Pair
from dps.invariants.subjects import Bench, Subject, threads
from dps.metrics import Variant

__all__ = ["INVARIANTS", "Bench", "Finding", "asked", "draws", "examine", "told"]

BRIEF, FULL = 8, 100
"""How many pairs each variant is asked about: where invariants are one of many suites, and where asked for by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What asking one variant about one invariant came to.

    Attributes:
        invariant: a key of `INVARIANTS`.
        variant: what was asked.
        holds: None where it cannot be asked.
        why: what breaks it, or why it cannot be asked, in one line; empty if it holds.
        pair: the smallest pair that shows it.
        tries: how many pairs were tried.
    """

    invariant: str
    variant: Variant
    holds: bool | None
    why: str = ""
    pair: Pair | None = None
    tries: int = 0

    @property
    def row(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "invariant": self.invariant,
            **self.variant.key._asdict(),
            "holds": self.holds,
            "why": self.why,
            "tries": self.tries,
        } | ({"pair": str(self.pair)} if self.pair else {})


def asked(variants: Sequence[Variant]) -> Iterator[tuple[str, Variant]]:
    """Every invariant with every variant that it concerns, in an order in which what is measured is found again."""
    for network in dict.fromkeys(variant.network for variant in variants):
        for name, invariant in INVARIANTS.items():
            for variant in variants:
                if variant.network == network and invariant.concerns(variant):
                    yield name, variant


def examine(name: str, subject: Subject, *, tries: int = FULL, seed: int = 0) -> Finding:
    """Ask one variant about one invariant.

    Args:
        name: a key of `INVARIANTS`.
        subject: the variant.
        tries: how many pairs are drawn; where one breaks the invariant, smaller ones are looked for.
        seed: of the draws.
    """
    with threads(1):  # images are so small that a second one only waits
        return _examine(name, subject, tries, seed)


def _examine(name: str, subject: Subject, tries: int, seed: int) -> Finding:
    invariant = INVARIANTS[name]
    if why := invariant.spares(subject):
        return Finding(invariant=name, variant=subject.variant, holds=None, why=why)
    tried = unmeasured = 0

    def broken(pair: Pair) -> bool:
        nonlocal tried, unmeasured
        tried += 1
        try:
            return bool(_why(invariant, subject, pair))
        except UnmeasuredError:
            unmeasured += 1
            return False

    pair = searching.smallest(pairs.strategy(subject.smallest), broken, tries=tries, seed=seed)
    why = "" if pair is None else _why(invariant, subject, pair) or "a pair broke it that did not when asked again"
    if unmeasured == tried:
        why = "no pair of images has a finite distance"
    return Finding(invariant=name, variant=subject.variant, holds=not why, why=why, pair=pair, tries=tried)


def _why(invariant: Invariant, subject: Subject, pair: Pair) -> str:
    try:
        return invariant.check(subject, pair)
    except UnmeasuredError:
        raise
    except DpsError as error:
        return str(error).removesuffix(".")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a metric under test may raise anything
        return one_line(error)


def told(finding: Finding, folder: Path) -> str:
    """Say what breaks an invariant, in a few lines, and keep the pair that shows it as two PNG files.

    Args:
        finding: of an invariant that does not hold.
        folder: where the files are written.
    """
    lines = [f"{finding.invariant} does not hold for {finding.variant}: {finding.why}."]
    if finding.pair is not None:
        stem = folder / re.sub(r"[^\w.+-]+", "_", f"{finding.invariant}-{finding.variant}")
        lines.append(f"  smallest pair: {finding.pair}")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            images.write(Path(f"{stem}-original.png"), finding.pair.original)
            images.write(Path(f"{stem}-other.png"), finding.pair.other)
            lines.append(f"  {stem}-{{original,other}}.png")
        except OSError as error:
            lines.append(f"  not written to {folder}: {error.strerror or error}")
    return "\n".join(lines)


def draws(options: Any, *, named: bool) -> dict[str, int]:
    """How many pairs are drawn, and from which seed.

    Args:
        options: with Hypothesis's own as attributes where its pytest plugin is there: a profile's number of
            examples takes the place of ours, and its seed that of 0.
        named: the invariants were asked for by name.
    """
    profile, seed = getattr(options, "hypothesis_profile", None), str(getattr(options, "hypothesis_seed", None))
    ours = FULL if named else BRIEF
    return {
        "tries": searching.tries_of(profile) if profile else ours,
        "seed": int(seed) if seed.isdecimal() else 0,
    }

"""Floors: limits of pass fractions and scores that every measured variant must keep, as ``--require`` states them."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from dps import agreement
from dps.errors import UsageError, unknown

_FLOOR = re.compile(r"(?P<name>[^<>=]+)(?P<sign>[<>]=)(?P<limit>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """A limit of a pass fraction on a probe, or of a score such as ``2afc/cnn``; of rank flips, an upper limit."""

    name: str
    limit: float
    upper: bool = False

    def __str__(self) -> str:
        return f"{self.name}{'<=' if self.upper else '>='}{self.limit:g}"

    def admits(self, value: float) -> bool:
        """Return whether a value keeps the limit."""
        return value <= self.limit if self.upper else value >= self.limit


def parse(text: str, names: Sequence[str]) -> Floor:
    """Parse a floor such as ``translate>=0.9``; a UsageError if it is not valid or not on one of the names."""
    match = _FLOOR.fullmatch(text)
    try:
        limit = float(match["limit"]) if match else math.nan
    except ValueError:
        limit = math.nan
    least = -math.inf if "log_likelihood" in text else 0
    if match is None or not least <= limit <= 1:
        raise UsageError(f"--require {text!r}: write PROBE[/STRATUM]>=X with X from 0 to 1, as in 'translate>=0.9'.")
    name = match["name"].strip()
    probe, stratum, _ = name.partition("/")
    if name not in names and not (stratum and probe in names):
        if stratum and not any("/" in known for known in names):
            raise UsageError(f"--require {text!r}: {name} is a score, and none is measured; add --judgments PATH.")
        raise UsageError(f"--require {text!r}: {unknown('probe or score', name, names)}")
    floor = Floor(name=name, limit=limit, upper=agreement.RANK_FLIPS in name.split("/"))
    if floor.upper != (match["sign"] == "<="):
        better = "fewer flips are better" if floor.upper else "more is better"
        raise UsageError(f"--require {text!r}: {better}; write {floor}.")
    return floor

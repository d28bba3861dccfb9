"""Record what the built-in probes draw, so that a change of it is seen: python -m tests.record_digests

Nothing here says that the drawings are right; `test_probes` does. The first 16 hexadecimal digits of each
case's ``images_sha256`` are kept.
"""

import functools
import json
from pathlib import Path

from dps import probes
from dps.images import Triple
from dps.probes import Case

RECORDED = Path(__file__).with_name("drawn_digests.json")
COMMAND = "python -m tests.record_digests"


@functools.cache
def drawn() -> dict[str, tuple[Case, Triple]]:
    """Every case of the built-in probes with its images, by name; drawn once."""
    cases = [case for probe in probes.load([probes.BUILT_IN]) for case in probe.cases]
    return {case.name: (case, case.draw()) for case in cases}


def far() -> list[Case]:
    """Of two hundred cases of each built-in probe, every fiftieth."""
    return [case for probe in probes.load([probes.BUILT_IN], 200) for case in probe.cases[49:200:50]]


def digests() -> dict[str, str]:
    """The digest of each case, as it is drawn now, and of some that are not drawn by default; none with a JPEG."""
    triples = {name: triple for name, (_, triple) in drawn().items()}
    triples |= {case.name: case.draw() for case in far() if case.name not in triples}
    return {name: triple.digest[:16] for name, triple in triples.items() if not _decodes_jpeg(triple)}


def _decodes_jpeg(triple: Triple) -> bool:
    return ".jpg" in ", ".join(map(str, triple.drawn.values()))


def recorded() -> dict[str, str]:
    """The digest of each case, as it was recorded."""
    found: dict[str, str] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(digests(), indent=0, sort_keys=True) + "\n", encoding="utf-8")

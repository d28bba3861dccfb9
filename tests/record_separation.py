"""Record which pairs of variants each probe separates, and check which probes are sanity checks: make separation

Two variants differ on a probe where one passes more of the cases on which they disagree than chance explains: exact
two-sided sign test, level 0.05, Holm's correction over the pairs of a probe. A probe on which no pair differs is marked
``sanity: true`` in its file.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dps import locations, probes
from dps.report import results
from dps.rows import Row, variant_key
from dps.significance import LEVEL, holm

RECORDED = locations.data("baselines").parent / "separation.json"


def outcomes(rows: list[Row]) -> dict[str, NDArray[np.bool_]]:
    """Whether each variant passes each case, by probe: ``(variant, case)``."""
    passed: dict[str, dict[tuple[Any, ...], dict[str, bool]]] = {}
    for row in rows:
        passed.setdefault(row["probe"], {}).setdefault(variant_key(row), {})[row["case"]] = bool(row["passed"])
    return {
        probe: np.array([[of_variant[case] for case in sorted(of_variant)] for of_variant in by_variant.values()])
        for probe, by_variant in sorted(passed.items())
    }


def separation(passes: NDArray[np.bool_]) -> dict[str, int]:
    """Count the pairs of variants, and those that differ."""
    p_values = []
    for one, other in itertools.combinations(passes, 2):
        better, worse = int((one & ~other).sum()), int((other & ~one).sum())
        p_values.append(float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0)
    return {
        "variants": len(passes),
        "cases": passes.shape[1],
        "all_passed": int(passes.all(axis=1).sum()),
        "pairs": len(p_values),
        "separated": sum(p <= LEVEL for p in holm(p_values)),
    }


def main(paths: list[str]) -> int:
    """Record runs, of which later ones may add variants, and say which marks in the probe files are wrong."""
    documents = [results.read(Path(path)) for path in paths]
    by_probe = {p: separation(o) for p, o in outcomes([r for d in documents for r in d["cases"]]).items()}
    recorded = {
        "metrics": [sorted({row["metric"] for row in document["cases"]}) for document in documents],
        "versions": {name: documents[0]["run"][name] for name in ("dps", "torch")},
        "probes": by_probe,
    }
    RECORDED.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    wrong = [p.name for p in probes.load([probes.BUILT_IN]) if p.sanity != (by_probe[p.name]["separated"] == 0)]
    print(f"written: {RECORDED}", *(f"wrong mark 'sanity' in {name}" for name in wrong), sep="\n")
    return int(bool(wrong))


def undecided(path: Path) -> list[str]:
    """Return the probes on which no pair of variants of a run differs: more variants may."""
    return [p for p, o in outcomes(results.read(path)["cases"]).items() if separation(o)["separated"] == 0]


if __name__ == "__main__":
    if sys.argv[1] == "undecided":
        print(*undecided(Path(sys.argv[2])))
    else:
        sys.exit(main(sys.argv[1:]))

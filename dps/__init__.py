"""dps: a test suite for deep perceptual similarity metrics.

    probes/*.yaml --> probes --> scenes + distortions --.
                                                         >--> measurement --> verdicts --> report
    image files, --images --> images, photographs ------'        |
    people's judgments --> judgments --> agreement (+ store) ----'
                               metrics = networks (weights) + comparisons

Everything asked of a metric is a triple: the distorted image must be closer to the original than every
reference. Imports go down this list and never up; a test holds that:

    cli
    plugin
    recorder
    report
    explain, image_files
    session
    agreement, attacks, invariants, same, thresholds, throughput
    differentiable
    measurement
    store
    probes, judgments
    distortions, image_pairs
    scenes
    photographs
    metrics
    networks
    weights
    comparisons
    kernels
    baseline, significance, tuning
    scores, verdicts
    images
    user_code
    yaml_files
    errors, files, fingerprint, locations, notes, options, progress, rows
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {  # name: module. Imported when asked for, since most need PyTorch and the options must not
    "COMPARISONS": "dps.comparisons",
    "BUILT_IN": "dps.networks",
    "DpsError": "dps.errors",
    "Extractor": "dps.networks",
    "Engine": "dps.measurement",
    "Metric": "dps.metrics",
    "Network": "dps.networks",
    "judge": "dps.verdicts",
    "load": "dps.session.loading",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dps' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)

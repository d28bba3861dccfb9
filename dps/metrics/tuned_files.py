"""Tuned metrics: sums whose weights were fitted to one network, layer by layer. A YAML file has each; it runs nothing.

Some come with dps, one for each built-in network, made by ``make tuned``.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic

from dps import locations, yaml_files
from dps.comparisons import COMPARISONS, NORMALIZATIONS
from dps.errors import UsageError, unknown
from dps.metrics.definitions import FeatureMetric, Part, Term
from dps.networks import BUILT_IN, Network
from dps.yaml_files import Declaration, Document, Text, validated

TUNED = "tuned"
"""The name of the metrics that come with dps."""

HEADER = """\
# A tuned metric: the weighted sum of its parts, layer by layer. Use it with: --metric {name}
# 'fitted' says what it was fitted on, 'result' what it then passed of other cases.
"""


class _Part(Declaration):
    comparison: str
    normalization: str
    weights: Annotated[
        dict[str, Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]], pydantic.Field(min_length=1)
    ]


class _TunedFile(Declaration):
    network: Text
    layers: Annotated[list[Text], pydantic.Field(min_length=1)]
    sha256: Annotated[str, pydantic.Field(pattern="^([0-9a-f]{64})?$")]
    parts: Annotated[list[Any], pydantic.Field(min_length=1)]
    fitted: Annotated[dict[str, Any], pydantic.Field(default_factory=dict)]
    result: Annotated[dict[str, Any], pydantic.Field(default_factory=dict)]


def read(path: Path, name: str) -> FeatureMetric:
    """Read the file of a tuned metric, and give it a name.

    Raises:
        ProbeError: with file and line, what was found and what would be right; a line for each mistake.
    """
    document = yaml_files.read(path)
    if not isinstance(document.data, dict):
        document.fault((), "the file of a tuned metric is a mapping with network, layers, sha256 and parts.")
        document.check()
    file = validated(_TunedFile, document, document.data)
    document.check()
    assert file is not None
    terms: dict[Part, Term] = {}
    for place, data in enumerate(file.parts):
        if (part := validated(_Part, document, data, ("parts", place))) is None:
            continue
        key = part.comparison, part.normalization
        _check(document, place, part, file.layers)
        if key in terms:
            document.fault(("parts", place), f"{' '.join(key)} stands twice; write it once.")
        if part.comparison in COMPARISONS and any(part.weights.values()):
            terms[key] = Term(
                name=part.comparison,
                comparison=COMPARISONS[part.comparison],
                normalization=part.normalization,
                layer_weights=tuple(float(part.weights.get(layer, 0)) for layer in file.layers),
            )
    if not terms and not document.faults:
        document.fault(("parts",), "parts: all weights are 0; a distance needs one above 0.")
    document.check()
    metric = FeatureMetric(name=name, terms=tuple(terms.values()), fitted_to=(tuple(file.layers), file.sha256))
    return FeatureMetric(name=name, fitted={file.network: metric})


def _check(document: Document, place: int, part: _Part, layers: Sequence[str]) -> None:
    """Note names of a part that are not known."""
    for key, value, known in (
        ("comparison", part.comparison, COMPARISONS),
        ("normalization", part.normalization, NORMALIZATIONS),
        *(("weights", layer, layers) for layer in part.weights),
    ):
        if value not in known:
            kind = "layer" if key == "weights" else key
            document.fault(("parts", place, key), unknown(kind, value, known))


def built_in() -> FeatureMetric:
    """Return the tuned metrics that come with dps, under one name; a UsageError where there are none."""
    folder = locations.data(TUNED)
    found = [read(path, TUNED) for name in BUILT_IN if (path := folder / f"{name}.yaml").is_file()]
    if not found:
        raise UsageError(f"{folder}: no tuned metrics there; make them with: make tuned")
    return FeatureMetric(name=TUNED, fitted={n: metric for each in found for n, metric in each.fitted.items()})


def text(
    name: str, network: Network, weights: Mapping[Part, Sequence[float]], fitted: Mapping[str, Any], result: Any
) -> str:
    """Return the text of a file.

    Args:
        name: of the file.
        network: that it is fitted to.
        weights: of each part, what its distance at each layer is multiplied with.
        fitted: what it was fitted on; plain data.
        result: what it passes; plain data.
    """
    parts = [
        {
            "comparison": comparison,
            "normalization": normalization,
            "weights": {layer: weight for layer, weight in zip(network.layers, of_layers, strict=True) if weight},
        }
        for (comparison, normalization), of_layers in weights.items()
        if any(of_layers)
    ]
    data = {"network": network.name, "layers": list(network.layers), "sha256": network.sha256, "parts": parts}
    return HEADER.format(name=name) + yaml_files.text({**data, "fitted": dict(fitted), "result": result})

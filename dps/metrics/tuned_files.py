"""Files of tuned metrics: weights of a sum of comparisons, fitted to one network, as YAML without executable code.

dps includes one for each built-in network, written by ``make tuned``.
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
from dps.yaml_files import Declaration, Text, validated

TUNED = "tuned"
"""The name of the included metrics, and their folder."""

HEADER = """\
# A tuned metric: the weighted sum of its parts, layer by layer. Use it with: --metric {name}
# 'fitted' describes the training cases, 'result' the pass fractions of other cases.
"""


class _Part(Declaration):
    comparison: str
    normalization: str
    weights: Annotated[
        dict[str, Annotated[float, pydantic.Field(ge=0, le=1e100, allow_inf_nan=False)]], pydantic.Field(min_length=1)
    ]


class _TunedFile(Declaration):
    network: Text
    layers: Annotated[list[Text], pydantic.Field(min_length=1)]
    sha256: Annotated[str, pydantic.Field(pattern="^([0-9a-f]{64})?$")]
    parts: Annotated[list[Any], pydantic.Field(min_length=1)]
    fitted: Annotated[dict[str, Any], pydantic.Field(default_factory=dict)]
    result: Annotated[dict[str, Any], pydantic.Field(default_factory=dict)]


def read(path: Path, name: str) -> FeatureMetric:
    """Read the file of a tuned metric, which gets a name.

    Raises:
        ProbeError: a line for each mistake, with file, line number, value and remedy.
    """
    document = yaml_files.read(path)
    if not isinstance(document.data, dict):
        document.fault((), "the file of a tuned metric is a mapping with network, layers, sha256 and parts.")
        document.check()
    file = validated(_TunedFile, document, document.data)
    document.check()
    assert file is not None
    terms: dict[Part, Term] = {}
    for index, data in enumerate(file.parts):
        if (part := validated(_Part, document, data, ("parts", index))) is None:
            continue
        for key, kind, value, known in (
            ("comparison", "comparison", part.comparison, COMPARISONS),
            ("normalization", "normalization", part.normalization, NORMALIZATIONS),
            *(("weights", "layer", layer, file.layers) for layer in part.weights),
        ):
            if value not in known:
                document.fault(("parts", index, key), unknown(kind, value, known))
        names = part.comparison, part.normalization
        if names in terms:
            document.fault(("parts", index), f"{' '.join(names)} is listed twice; list it once.")
        if part.comparison in COMPARISONS and any(part.weights.values()):
            terms[names] = Term(
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


def built_in() -> FeatureMetric:
    """Return the included metrics of all networks as one; a UsageError where there are none."""
    folder = locations.data(TUNED)
    included = [read(path, TUNED) for name in BUILT_IN if (path := folder / f"{name}.yaml").is_file()]
    if not included:
        raise UsageError(f"{folder}: no tuned metrics there; make them with: make tuned")
    return FeatureMetric(name=TUNED, fitted={n: metric for tuned in included for n, metric in tuned.fitted.items()})


def text(
    name: str, network: Network, weights: Mapping[Part, Sequence[float]], fitted: Mapping[str, Any], result: Any
) -> str:
    """Return the text of a file.

    Args:
        name: of the file.
        network: fitted to.
        weights: of each part, by layer.
        fitted: provenance of the weights; plain data.
        result: pass fractions; plain data.
    """
    parts = [
        {
            "comparison": comparison,
            "normalization": normalization,
            "weights": {layer: weight for layer, weight in zip(network.layers, layer_weights, strict=True) if weight},
        }
        for (comparison, normalization), layer_weights in weights.items()
        if any(layer_weights)
    ]
    data = {"network": network.name, "layers": list(network.layers), "sha256": network.sha256, "parts": parts}
    return HEADER.format(name=name) + yaml_files.text({**data, "fitted": dict(fitted), "result": result})

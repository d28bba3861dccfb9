"""What each layer of a network would decide alone: a table for each network, and in words.

A distance is a sum over layers, so ``passed_by_layer`` of each case says it without another measurement. Networks of
one layer are left out: their one layer is the metric.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import TypeAlias

from dps.report.pass_fractions import Count, PassCounts, metric_name
from dps.report.tables import Table
from dps.rows import Document, VariantKey, variant_key, was_measured

KEYS = ("normalization", "metric", "layer")
"""Heads of the columns that name a row."""

NOTE = (
    "passed/cases by the distance at one layer alone, and at all layers together, which is the metric; higher is "
    "better. What could not be measured counts nowhere."
)

LayerCounts: TypeAlias = dict[VariantKey, dict[str, list[Count]]]
"""By variant and probe a count for each layer, in the network's order."""


def count(document: Document, counts: PassCounts) -> LayerCounts:
    """Count the cases that pass by one layer alone.

    Args:
        document: results.json.
        counts: of its cases, by probe.
    """
    passed: dict[tuple[VariantKey, str], list[int]] = {}
    for row in document["cases"]:
        verdicts = row.get("passed_by_layer", ())
        if len(verdicts) > 1 and was_measured(row):
            numbers = passed.setdefault((variant_key(row), row["probe"]), [0] * len(verdicts))
            for layer, holds in enumerate(verdicts):
                numbers[layer] += holds
    by_layer: LayerCounts = {}
    for variant in counts.variants:
        for probe in counts.probes:
            if (variant, probe) in passed:
                whole = counts.of(variant, probe)
                by_layer.setdefault(variant, {})[probe] = [
                    replace(whole, passed=number) for number in passed[variant, probe]
                ]
    return by_layer


def tables(document: Document, counts: PassCounts) -> list[Table]:
    """Return a table for each network: of each metric its layers and all of them together, with a column by probe."""
    by_network: dict[str, LayerCounts] = {}
    for variant, by_probe in count(document, counts).items():
        by_network.setdefault(str(variant.network), {})[variant] = by_probe
    return [
        _table(network, document["run"]["networks"][network]["layers"], by_layer, counts)
        for network, by_layer in by_network.items()
    ]


def _table(network: str, names: Sequence[str], by_layer: LayerCounts, counts: PassCounts) -> Table:
    probes = tuple(probe for probe in counts.probes if any(probe in by_probe for by_probe in by_layer.values()))
    layers = [*(f"{place} {name}" for place, name in enumerate(names, start=1)), "all"]
    rows, cells = [], []
    for variant, by_probe in by_layer.items():
        columns = []
        for probe in probes:
            whole = counts.of(variant, probe)
            columns.append([*by_probe.get(probe, [Count(unmeasured=whole.unmeasured)] * len(names)), whole])
        for layer, line in zip(layers, zip(*columns, strict=True), strict=True):
            rows.append((variant.normalization, variant.metric, layer))
            cells.append(tuple(replace(count.cell(), detail="") for count in line))
    title = f"{network}, layer by layer"
    return Table(title=title, keys=KEYS, rows=(*rows,), heads=probes, cells=(*cells,), note=NOTE)


def in_words(document: Document, counts: PassCounts) -> list[str]:
    """Say of each failed probe that every layer alone fails it, or which layer alone passes most of its cases.

    Only of runs of one metric or one network: of others it would be too much to read.
    """
    by_layer = count(document, counts)
    if min(len({variant.metric for variant in by_layer}), len({variant.network for variant in by_layer})) != 1:
        return []
    sentences = []
    for variant, by_probe in by_layer.items():
        parts: dict[str, list[str]] = {}
        for probe, layers in by_probe.items():
            best = max(layers, key=attrgetter("passed"))
            if counts.of(variant, probe).fails and best.fails:
                parts.setdefault("every layer alone fails", []).append(probe)
            elif counts.of(variant, probe).fails:
                start = f"layer {layers.index(best) + 1} alone would pass"
                parts.setdefault(start, []).append(f"{best.passed}/{best.cases} of {probe}")
        if parts:
            ends = "; ".join(f"{start} {', '.join(texts)}" for start, texts in parts.items())
            sentences.append(f"{metric_name(variant)} on {variant.network}: {ends}.")
    return sentences

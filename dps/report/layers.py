"""What each layer of a network would decide alone: a table for each network, and in words.

A distance is a sum over layers, so ``passed_by_layer`` of each case says it without another measurement. Networks of
one layer are left out: their one layer is the metric.
"""

from dataclasses import replace

from dps.report import pass_fractions
from dps.report.pass_fractions import PassCounts, metric_name
from dps.report.tables import Table
from dps.rows import Document

KEYS = ("normalization", "metric", "layer")
"""Heads of the columns that name a row."""

NOTE = (
    "passed/cases by the distance at one layer alone, and at all layers together, which is the metric; higher is "
    "better. What could not be measured counts nowhere."
)


def count(document: Document) -> dict[str, PassCounts]:
    """Count the cases that pass by each layer alone, as if it were a network, and by ``all`` of them, by network."""
    by_network = {}
    for network in sorted({row["network"] for row in document["cases"] if len(row.get("passed_by_layer", ())) > 1}):
        rows = [row for row in document["cases"] if row["network"] == network]
        labels = [f"{n} {name}" for n, name in enumerate(document["run"]["networks"][network]["layers"], start=1)]
        alone = [
            {**row, "network": layer, "passed": holds}
            for row in rows
            for layer, holds in zip(labels, row.get("passed_by_layer") or [False] * len(labels), strict=True)
            if holds is not None
        ]
        by_network[network] = pass_fractions.count([*alone, *({**row, "network": "all"} for row in rows)])
    return by_network


def tables(document: Document) -> list[Table]:
    """Return a table for each network: of each metric its layers and all of them together, with a column by probe."""
    return [
        Table(
            title=f"{network}, layer by layer",
            keys=KEYS,
            rows=tuple((variant.normalization, variant.metric, variant.network) for variant in counts.variants),
            heads=counts.probes,
            cells=tuple(
                tuple(replace(counts.get(variant, probe).cell(), detail="") for probe in counts.probes)
                for variant in counts.variants
            ),
            note=NOTE,
        )
        for network, counts in count(document).items()
    ]


def as_sentences(document: Document, counts: PassCounts) -> list[str]:
    """Say of each failed probe that every layer alone fails it, or which layer alone passes most of its cases.

    Only of runs of one metric or one network: of others it would be too much to read.
    """
    networks = {row["network"] for row in document["cases"] if len(row.get("passed_by_layer", ())) > 1}
    variants = [variant for variant in counts.variants if variant.network in networks]
    if min(len({variant.metric for variant in variants}), len(networks)) != 1:
        return []
    by_layer = count(document)
    sentences = []
    for variant in variants:
        alone = by_layer[str(variant.network)]
        layers = [layer for layer in alone.variants if layer[1:] == variant[1:] and layer.network != "all"]
        parts: dict[str, list[str]] = {}
        for probe in (probe for probe in counts.probes if counts.get(variant, probe).fails):
            best = max(layers, key=lambda layer: alone.get(layer, probe).passed)
            passed = alone.get(best, probe)
            start, text = "every layer alone fails", probe
            if not passed.fails:
                start = f"layer {str(best.network).partition(' ')[0]} alone would pass"
                text = f"{passed.passed}/{passed.cases} of {probe}"
            parts.setdefault(start, []).append(text)
        if parts:
            ends = "; ".join(f"{start} {', '.join(texts)}" for start, texts in parts.items())
            sentences.append(f"{metric_name(variant)} on {variant.network}: {ends}.")
    return sentences

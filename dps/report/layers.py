"""Verdicts by each layer of a network alone, in tables and sentences.

A distance is a sum over layers, so ``passed_by_layer`` of each case needs no further measurement. Networks of one layer
are left out.
"""

from dataclasses import replace

from dps.report import pass_fractions
from dps.report.pass_fractions import PassCounts, metric_name
from dps.report.tables import Table
from dps.rows import Document


def count(document: Document) -> dict[str, PassCounts]:
    """Count, by network, the cases that pass by each layer alone, in place of the network, and by ``all`` of them."""
    by_network = {}
    for network in _networks(document):
        rows = [row for row in document["cases"] if row["network"] == network]
        labels = [f"{n} {name}" for n, name in enumerate(document["run"]["networks"][network]["layers"], start=1)]
        layer_rows = [
            {**row, "network": label, "passed": passed}
            for row in rows
            for label, passed in zip(labels, row.get("passed_by_layer") or [False] * len(labels), strict=True)
            if passed is not None
        ]
        by_network[network] = pass_fractions.count([*layer_rows, *({**row, "network": "all"} for row in rows)])
    return by_network


def _networks(document: Document) -> list[str]:
    return sorted({row["network"] for row in document["cases"] if len(row.get("passed_by_layer", ())) > 1})


def tables(document: Document) -> list[Table]:
    """Return a table for each network: a row for each metric and layer, a column for each probe."""
    return [
        Table(
            title=f"{network}, layer by layer",
            keys=("normalization", "metric", "layer"),
            rows=tuple((variant.normalization, variant.metric, variant.network) for variant in counts.variants),
            heads=counts.probes,
            cells=tuple(
                tuple(replace(counts.get(variant, probe).cell(), detail="") for probe in counts.probes)
                for variant in counts.variants
            ),
            note="passed/cases by the distance at one layer alone, and at all layers together, which is the metric; "
            "higher is better. Cases that could not be measured are not counted.",
        )
        for network, counts in count(document).items()
    ]


def as_sentences(document: Document, counts: PassCounts) -> list[str]:
    """Name, for each failed probe, the layer that alone would pass most of its cases, if any passes half of them.

    Only for runs of one metric or one network, to keep the report short.
    """
    networks = _networks(document)
    variants = [variant for variant in counts.variants if variant.network in networks]
    if min(len({variant.metric for variant in variants}), len(networks)) != 1:
        return []
    by_network = count(document)
    sentences = []
    for variant in variants:
        by_layer = by_network[str(variant.network)]
        layers = [layer for layer in by_layer.variants if layer[1:] == variant[1:] and layer.network != "all"]
        parts: dict[str, list[str]] = {}
        for probe in (probe for probe in counts.probes if counts.get(variant, probe).fails):
            best = max(layers, key=lambda layer: by_layer.get(layer, probe).passed)
            best_count = by_layer.get(best, probe)
            start, text = "every layer alone fails", probe
            if not best_count.fails:
                start = f"layer {str(best.network).partition(' ')[0]} alone would pass"
                text = f"{best_count} of {probe}"
            parts.setdefault(start, []).append(text)
        if parts:
            texts = "; ".join(f"{start} {', '.join(probes)}" for start, probes in parts.items())
            sentences.append(f"{metric_name(variant)} on {variant.network}: {texts}.")
    return sentences

"""The result of tuning a metric: as sentences, tables, plain data, and a self-contained HTML page.

All of it is about held-out cases, except where training cases are named.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dps.report import pass_fractions
from dps.report.album import Album
from dps.report.figure_style import INK, PASSES, WIDTH, as_svg, default_style, new_figure, remove_frame
from dps.report.page import environment
from dps.report.pass_fractions import CELLS, Count, total
from dps.report.tables import Cell, Table
from dps.rows import Row
from dps.session.tuning import TuningResult
from dps.tuning import Array, Constraints

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 5
"""Number of probes, and of contradicting pairs of probes, in the sentences."""

Counts = dict[str, Count]


def _counts(cases: Constraints, weights: Array) -> Counts:
    passed, groups = cases.passed(weights), cases.groups
    return {str(g): Count(int(passed[groups == g].sum()), int((groups == g).sum())) for g in np.unique(groups)}


def _left_out(result: TuningResult) -> Counts:
    return {probe: Count(int(passed.sum()), len(passed)) for probe, passed in result.left_out.items()}


def _mean(counts: Counts) -> float:
    """Return the mean pass fraction of probes, in [0, 1]."""
    return float(np.mean([count.fraction for count in counts.values()]))


def _worst(counts: Counts) -> tuple[str, float]:
    """Return the first probe with the smallest pass fraction, and that fraction, in [0, 1]."""
    probe = min(counts, key=lambda probe: counts[probe].fraction)
    return probe, counts[probe].fraction


def _best_built_in(result: TuningResult) -> dict[str, Counts]:
    """Return the built-in variants with the best mean and with the best worst probe, by label; often the same one."""
    counts = {label: _counts(result.held_out, weights) for label, weights in result.built_in.items()}
    by_mean = max(counts, key=lambda label: _mean(counts[label]))
    by_worst = max(counts, key=lambda label: (_worst(counts[label])[1], _mean(counts[label])))
    return {label: counts[label] for label in dict.fromkeys((by_mean, by_worst))}


def as_tables(result: TuningResult) -> list[Table]:
    """Return the pass fractions of built-in variants and of the metric by probe, and the table of weights."""
    network = result.network.name
    single = [label for name in ("spatial", "sort", "mean") if (label := f"{network}-none-{name}") in result.built_in]
    columns = _best_built_in(result) | {label: _counts(result.held_out, result.built_in[label]) for label in single}
    columns["tuned"] = _counts(result.held_out, result.weights)
    columns["without it"] = _left_out(result)
    columns["training"] = _counts(result.training, result.weights)
    cells = {probe: [counts.get(probe, Count()).cell() for counts in columns.values()] for probe in columns["tuned"]}
    cells["all cases"] = [total(counts.values()).cell() for counts in columns.values()]
    cells["mean, worst probe, %"] = [
        Cell(f"{100 * _mean(counts):.1f}", f"{100 * _worst(counts)[1]:.0f}") if counts else Cell()
        for counts in columns.values()
    ]
    comparison = Table(
        title=f"{result.name} on {network}, held-out cases",
        keys=("probe",),
        rows=tuple((name,) for name in cells),
        heads=tuple(label.removeprefix(f"{network}-") for label in columns),
        cells=tuple(map(tuple, cells.values())),
        note=f"{CELLS}; higher is better. The first columns are the built-in variants with the best mean and the best "
        "worst probe, selected on these cases, and the single comparisons, not normalized. without it: fitted without "
        "the probe and tested on it. training: the training cases.",
    )
    shares = np.reshape(result.shares, (-1, len(result.network.layers)))
    weights = Table(
        title="Weights",
        keys=("comparison", "normalization"),
        rows=tuple(result.by_part),
        heads=result.network.layers,
        cells=tuple(
            tuple(Cell(f"{100 * s:.3g} %", f"{w:.3g}", float(s)) if w else Cell() for s, w in zip(*row, strict=True))
            for row in zip(shares, result.by_part.values(), strict=True)
        ),
        note="Share of the mean distance of references, and the weight.",
    )
    return [comparison, weights]


def as_sentences(result: TuningResult) -> Iterator[str]:
    """Summarize pass fractions, generalization, contradictions, cost and agreement with people."""
    training, held_out = (_counts(cases, result.weights) for cases in (result.training, result.held_out))
    for label, counts in [*_best_built_in(result).items(), (result.name, held_out)]:
        probe, fraction = _worst(counts)
        yield (
            f"{label} passes {100 * _mean(counts):.1f} % of held-out cases on average over probes, and "
            f"{100 * fraction:.0f} % of its worst probe, {probe}."
        )
    yield f"{int((result.weights > 0).sum())} of {len(result.weights)} parts have a weight."
    if left_out := _left_out(result):
        lowest = sorted(left_out, key=lambda probe: (left_out[probe].fraction, probe))[:SHOWN]
        shown = ", ".join(f"{probe} {100 * left_out[probe].fraction:.0f} %" for probe in lowest)
        yield (
            f"Fitted without a probe and tested on it, it passes {100 * _mean(left_out):.1f} % on average; lowest: "
            f"{shown}. What it passes beyond that is specific to the probes it was fitted on."
        )
    yield from _differences(training, held_out)
    yield from _contradictions(result)
    yield (
        f"A batch takes {result.cost['relative_to_forward']:.2f} times as long as the network's forward pass alone "
        f"({result.cost['images_per_second']:.0f} images/s here)."
    )
    yield _agreement(result)


def _differences(training: Counts, held_out: Counts) -> Iterator[str]:
    """Warn where training and held-out cases differ by more than chance: Fisher's exact test with Holm's correction."""
    pairs = {probe: (training[probe], held_out[probe]) for probe in training if probe in held_out}
    differing = [
        f"{probe} ({training[probe]} of training, {held_out[probe]} of held-out cases)"
        for probe in pass_fractions.differing(pairs)
    ]
    if differing:
        yield f"Warning: training and held-out cases differ by more than chance on {', '.join(differing)}."
    else:
        yield "On no probe do training and held-out cases differ by more than chance (Fisher's exact test, Holm)."


def _contradictions(result: TuningResult) -> Iterator[str]:
    failed = np.count_nonzero(~result.training.passed(result.weights))
    example = f", such as {result.impossible[0]}" if result.impossible else ""
    yield (
        f"{failed} of {len(result.training.names)} training cases fail; {len(result.impossible)} of them cannot pass "
        f"with any weights{example}."
    )
    for contradiction in result.contradictions[:SHOWN]:
        count = f"{contradiction.pairs} pairs" if contradiction.pairs > 1 else "one pair"
        yield (
            f"{' contradicts '.join(contradiction.groups)} in {count} of training cases of which no weights pass both: "
            f"{' and '.join(map(str, contradiction.example))}."
        )


def contradicting(result: TuningResult) -> Iterator[dict[str, Any]]:
    """Yield a caption and images, data URIs by role, for both cases of each contradiction in the sentences."""
    album = Album()
    for example in itertools.chain.from_iterable(pair.example for pair in result.contradictions[:SHOWN]):
        if example.case not in album.cases:  # a case may be in several pairs
            album.add(example.case, result.cases[example.case].draw())
        digests = album.cases[example.case]
        shown = {
            "original": digests["original"],
            "distorted": digests["distorted"],
            f"reference {example.reference}": digests["references"][example.reference],
        }
        yield {"label": str(example), "images": {role: album.uri(digest) for role, digest in shown.items()}}


def _agreement(result: TuningResult) -> str:
    if result.people is None:
        return "Agreement with people was not measured and is unknown."
    weights_by_label = {label: result.built_in[label] for label in _best_built_in(result)}
    weights_by_label[result.name] = result.weights
    estimates = {label: result.people.score(weights) for label, weights in weights_by_label.items()}
    shown = ", ".join(
        f"{label} {estimate.value:.4f} ± {1.96 * estimate.standard_error:.4f}" for label, estimate in estimates.items()
    )
    return f"2AFC score on the held-out half of {result.people.label}, with its 95 % interval: {shown}."


def trade_off(result: TuningResult) -> list[dict[str, Any]]:
    """Return a row for each share of people in the loss: pass fractions and 2AFC score; none without people."""
    rows = []
    for share, weights in result.trade_off.items():
        assert result.people is not None
        counts, estimate = _counts(result.held_out, weights), result.people.score(weights)
        rows.append(
            {
                "people": share,
                "mean_passed": _mean(counts),
                "worst_passed": _worst(counts)[1],
                "two_afc": estimate.value,
                "standard_error": estimate.standard_error,
                "judgments": result.people.label,
            }
        )
    return rows


def as_data(result: TuningResult) -> dict[str, Any]:
    """Return the results as plain data, for the file of the metric."""
    counts = _counts(result.held_out, result.weights)
    people = None
    if result.people is not None:
        estimate = result.people.score(result.weights)
        people = {"data_set": result.people.label, "two_afc": round(estimate.value, 4)}
    return {
        "held_out": _summary(counts),
        "training": _summary(_counts(result.training, result.weights)),
        "before": {label: _summary(counts) for label, counts in _best_built_in(result).items()},
        "held_out_by_probe": {probe: str(count) for probe, count in counts.items()},
        "fitted_without_the_probe": {probe: str(count) for probe, count in _left_out(result).items()},
        "people": people,
    }


def _summary(counts: Counts) -> dict[str, Any]:
    probe, fraction = _worst(counts)
    return {"mean_passed": round(_mean(counts), 4), "worst_probe": probe, "worst_passed": round(fraction, 4)}


def render(result: TuningResult, command: str, notes: Sequence[str]) -> str:
    """Return the page."""
    figures = {"Weights": (_draw_weights(result), "Share of the mean distance of references by part and layer.")}
    if rows := trade_off(result):
        about = (
            f"Probes and judgments of {rows[0]['judgments']}: a point for each share of the judgments in the loss; "
            "both axes are of held-out data."
        )
        figures["Trade-off"] = _draw_trade_off(rows), about
    html: str = environment().get_template("tuning.html.j2").render(
        result=result,
        sentences=as_sentences(result),
        tables=as_tables(result),
        contradicting=list(contradicting(result)),
        figures={title: (as_svg(figure), about) for title, (figure, about) in figures.items()},
        command=command,
        notes=notes,
    )  # fmt: skip
    return html


@default_style()
def _draw_weights(result: TuningResult) -> "Figure":
    shares = 100 * np.reshape(result.shares, (-1, len(result.network.layers)))
    figure = new_figure(WIDTH, 0.8 + 0.3 * len(shares), "constrained")
    axes = figure.subplots()
    for (row, column), share in np.ndenumerate(shares):
        axes.scatter(column, row, s=12 * share, color=PASSES)
        if share:
            above = (0, math.sqrt(12 * share) / 2 + 2)  # the edge of the dot, in points
            axes.annotate(f"{share:.2g} %", (column, row), above, textcoords="offset points", ha="center", color=INK)
    axes.set_xticks(range(shares.shape[1]), result.network.layers)
    axes.set_yticks(range(len(shares)), [" ".join(part) for part in result.by_part])
    axes.set_xlim(-0.5, shares.shape[1] - 0.5)
    axes.set_ylim(len(shares) - 0.5, -0.7)
    remove_frame(axes, "both")
    return figure


@default_style()
def _draw_trade_off(rows: Sequence[Row]) -> "Figure":
    figure = new_figure(WIDTH, 3.2, "constrained")
    axes = figure.subplots()
    passed, two_afc = ([100 * row[key] for row in rows] for key in ("mean_passed", "two_afc"))
    axes.errorbar(passed, two_afc, [196 * row["standard_error"] for row in rows], fmt="o", color=PASSES)
    for row, x, y in zip(rows, passed, two_afc, strict=True):
        axes.annotate(f"{row['people']:g}", (x, y), (5, 5), textcoords="offset points", color=INK)
    axes.set_xlabel("held-out cases passed, mean of probes, %")
    axes.set_ylabel("2AFC score on the held-out half, %, with 95 % interval")
    remove_frame(axes, "both")
    return figure

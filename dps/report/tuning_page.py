"""The result of tuning a metric: in words, as tables, as a self-contained HTML page (no external requests), as data.

Everything is of held-out cases, unless it says that it is of those that were fitted on.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dps import significance
from dps.report.album import Album
from dps.report.figure_style import INK, PASSES, WIDTH, as_svg, default_style, new_figure, remove_frame
from dps.report.page import asset, environment
from dps.report.pass_fractions import CELLS, Count, total
from dps.report.tables import Cell, Table
from dps.session.tuning import TuningResult
from dps.tuning import Array, Constraints

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 5
"""Number of probes, and of contradicting pairs, that are named in words."""

Counts = dict[str, Count]


def _of(cases: Constraints, weights: Array) -> Counts:
    passed, groups = cases.passed(weights), cases.groups
    return {str(g): Count(int(passed[groups == g].sum()), int((groups == g).sum())) for g in np.unique(groups)}


def mean(counts: Counts) -> float:
    """Return the mean pass fraction of probes, in [0, 1]."""
    return float(np.mean([count.fraction for count in counts.values()]))


def worst(counts: Counts) -> str:
    """Return the probe with the smallest pass fraction; the first of equal ones."""
    return min(counts, key=lambda probe: counts[probe].fraction)


def best(result: TuningResult) -> dict[str, Counts]:
    """Return the counts of the built-in variants with the best mean and the best worst probe, by label; maybe one."""
    before = {label: _of(result.held_out, weights) for label, weights in result.before.items()}
    by_mean = max(before, key=lambda label: mean(before[label]))
    by_worst = max(before, key=lambda label: (before[label][worst(before[label])].fraction, mean(before[label])))
    return {label: before[label] for label in dict.fromkeys((by_mean, by_worst))}


def as_tables(result: TuningResult) -> list[Table]:
    """Return before and after by probe, and the weights."""
    network = result.network.name
    single = {f"{network}-none-{name}": name for name in ("spatial", "sort", "mean")}
    columns = best(result) | {n: _of(result.held_out, result.before[n]) for n in single if n in result.before}
    columns["tuned"] = _of(result.held_out, result.weights)
    columns["without it"] = {probe: Count(int(passed.sum()), len(passed)) for probe, passed in result.left_out.items()}
    columns["training"] = _of(result.training, result.weights)
    probes = list(columns["tuned"])
    cells = [tuple(counts.get(probe, Count()).cell() for counts in columns.values()) for probe in probes]
    cells.append(tuple(total(counts.values()).cell() for counts in columns.values()))
    cells.append(
        tuple(
            Cell(f"{100 * mean(c):.1f}", f"{100 * c[worst(c)].fraction:.0f}") if c else Cell() for c in columns.values()
        )
    )
    before_and_after = Table(
        title=f"{result.name} on {network}, held-out cases",
        keys=("probe",),
        rows=(*((probe,) for probe in probes), ("all cases",), ("mean, worst probe, %",)),
        heads=tuple(name.removeprefix(f"{network}-") for name in columns),
        cells=tuple(cells),
        note=f"{CELLS}; higher is better. The first columns are the built-in variants with the best mean and the best "
        "worst probe, chosen on these cases, and the comparisons alone, not normalized. without it: fitted without the "
        "probe and judged on it. training: the cases that were fitted on.",
    )
    shares = np.reshape(result.shares, (-1, len(result.network.layers)))
    weights = [(key, shares_of, of) for (key, of), shares_of in zip(result.by_part.items(), shares, strict=True)]
    of_parts = Table(
        title="Weights",
        keys=("comparison", "normalization"),
        rows=tuple(key for key, *_ in weights),
        heads=result.network.layers,
        cells=tuple(
            tuple(Cell(f"{100 * s:.3g} %", f"{w:.3g}", float(s)) if w else Cell() for s, w in zip(*rows, strict=True))
            for _, *rows in weights
        ),
        note="Share of the mean distance of references, and the weight.",
    )
    return [before_and_after, of_parts]


def as_sentences(result: TuningResult) -> Iterator[str]:
    """Say what was gained, what carries over, what is contradictory, what it costs and what people would say."""
    held_out, training = _of(result.held_out, result.weights), _of(result.training, result.weights)
    for label, counts in [*best(result).items(), (result.name, held_out)]:
        lowest = worst(counts)
        yield (
            f"{label} passes {100 * mean(counts):.1f} % of held-out cases on average over probes, and "
            f"{100 * counts[lowest].fraction:.0f} % of its worst probe, {lowest}."
        )
    yield f"{int((result.weights > 0).sum())} of {len(result.weights)} parts have a weight."
    if result.left_out:
        fractions = {probe: float(np.mean(passed)) for probe, passed in result.left_out.items()}
        lowest_first = sorted(fractions, key=lambda probe: (fractions[probe], probe))[:SHOWN]
        shown = ", ".join(f"{probe} {100 * fractions[probe]:.0f} %" for probe in lowest_first)
        yield (
            f"Fitted without a probe and judged on that one, it passes {100 * np.mean(list(fractions.values())):.1f} % "
            f"on average, least of {shown}. What it passes beyond that was learned from that very question."
        )
    yield from _differences(training, held_out)
    yield from _contradictions(result)
    for row in result.cost[1:]:
        yield (
            f"A batch takes {row['relative_to_forward']:.2f} times as long as the network's forward pass alone "
            f"({row['images_per_second']:.0f} images/s here)."
        )
    yield from _people(result)


def _differences(training: Counts, held_out: Counts) -> Iterator[str]:
    """Warn where training and held-out cases differ by more than chance: Fisher's exact test with Holm's correction."""
    both = {probe: (training[probe], held_out[probe]) for probe in training if probe in held_out}
    p_values = [significance.fisher(*((c.passed, c.cases - c.passed) for c in two)) for two in both.values()]
    differing = [
        f"{probe} ({trained.passed}/{trained.cases} of training, {other.passed}/{other.cases} of held-out cases)"
        for (probe, (trained, other)), p in zip(both.items(), significance.holm(p_values), strict=True)
        if p <= significance.LEVEL
    ]
    if differing:
        yield f"Warning: training and held-out cases differ by more than chance on {', '.join(differing)}."
    else:
        yield "On no probe do training and held-out cases differ by more than chance (Fisher's exact test, Holm)."


def _contradictions(result: TuningResult) -> Iterator[str]:
    """Name probes that contradict each other, each with two cases."""
    found, failed = result.contradictions, int((~result.training.passed(result.weights)).sum())
    yield (
        f"Of {len(result.training.names)} training cases {failed} fail; {len(found.alone)} of them no weights pass"
        + (f", such as {found.alone[0]}." if found.alone else ".")
    )
    for (probe, other), (count, case, other_case) in list(found.pairs.items())[:SHOWN]:
        pairs = f"{count} pairs" if count > 1 else "one pair"
        yield (
            f"{probe} contradicts {other} in {pairs} of training cases that no weights pass both: {case}, and "
            f"{other_case}."
        )


def contradicting(result: TuningResult) -> Iterator[dict[str, Any]]:
    """Yield the images of both cases of each contradiction that is named: a caption, and data URIs by what they are."""
    album = Album()
    for _, *both in list(result.contradictions.pairs.values())[:SHOWN]:
        for text in both:
            name, _, reference = text.partition(" against ")
            if name not in album.cases:  # one case may be in several pairs
                album.add(name, result.cases[name].draw())
            digests = album.cases[name]
            shown = {what: album.uri(digests[what]) for what in ("original", "distorted")}
            shown[f"reference {reference}"] = album.uri(digests["references"][reference])
            yield {"label": text, "images": shown}


def _people(result: TuningResult) -> Iterator[str]:
    if result.people is None:
        yield "Agreement with people was not measured; nothing is known about it."
        return
    scored = {label: result.before[label] for label in best(result)} | {result.name: result.weights}
    estimates = {label: result.people.score(weights) for label, weights in scored.items()}
    shown = ", ".join(
        f"{label} {estimate.value:.4f} ± {1.96 * estimate.standard_error:.4f}" for label, estimate in estimates.items()
    )
    yield f"2AFC score on the held-out half of {result.people.described}, with its 95 % interval: {shown}."


def curve(result: TuningResult) -> list[dict[str, Any]]:
    """Return for each share of people in the loss what the fitted metric passes, and its 2AFC score."""
    rows = []
    for share, weights in result.curve.items():
        assert result.people is not None
        counts, estimate = _of(result.held_out, weights), result.people.score(weights)
        rows.append(
            {
                "people": share,
                "mean_passed": mean(counts),
                "worst_passed": counts[worst(counts)].fraction,
                "two_afc": estimate.value,
                "standard_error": estimate.standard_error,
                "judgments": result.people.described,
            }
        )
    return rows


def as_data(result: TuningResult) -> dict[str, Any]:
    """Return the results as plain data, for the file of the metric."""
    counts = _of(result.held_out, result.weights)

    def summed(of: Counts) -> dict[str, Any]:
        probe = worst(of)
        return {
            "mean_passed": round(mean(of), 4),
            "worst_probe": probe,
            "worst_passed": round(of[probe].fraction, 4),
        }

    people = None
    if result.people is not None:
        estimate = result.people.score(result.weights)
        people = {"data_set": result.people.described, "two_afc": round(estimate.value, 4)}
    return {
        "held_out": summed(counts),
        "training": summed(_of(result.training, result.weights)),
        "before": {label: summed(of) for label, of in best(result).items()},
        "held_out_by_probe": {probe: f"{count.passed}/{count.cases}" for probe, count in counts.items()},
        "fitted_without_the_probe": {p: f"{int(v.sum())}/{len(v)}" for p, v in result.left_out.items()},
        "people": people,
    }


def render(result: TuningResult, command: str, notes: Sequence[str]) -> str:
    """Return the page."""
    figures = {"Weights": (_draw_weights(result), "Share of the mean distance of references by part and layer.")}
    if result.curve:
        assert result.people is not None
        about = (
            f"Probes and judgments of {result.people.described}: a point for each share of these in the loss; both "
            "axes are of held-out data."
        )
        figures["Trade-off"] = _draw_curve(result), about
    html: str = environment().get_template("tuning.html.j2").render(
        result=result,
        words=list(as_sentences(result)),
        tables=as_tables(result),
        contradicting=list(contradicting(result)),
        figures={title: (as_svg(figure), about) for title, (figure, about) in figures.items()},
        command=command,
        notes=notes,
        css=asset("page.css"),
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
            axes.annotate(f"{share:.2g} %", (column, row), (0, 8), textcoords="offset points", ha="center", color=INK)
    axes.set_xticks(range(shares.shape[1]), result.network.layers)
    axes.set_yticks(range(len(shares)), [" ".join(part) for part in result.by_part])
    axes.set_xlim(-0.5, shares.shape[1] - 0.5)
    axes.set_ylim(len(shares) - 0.5, -0.7)
    remove_frame(axes, "both")
    return figure


@default_style()
def _draw_curve(result: TuningResult) -> "Figure":
    rows = curve(result)
    figure = new_figure(WIDTH, 3.2, "constrained")
    axes = figure.subplots()
    passed, agreement = ([100 * row[key] for row in rows] for key in ("mean_passed", "two_afc"))
    axes.errorbar(passed, agreement, yerr=[196 * row["standard_error"] for row in rows], color=PASSES, marker="o")
    for row, x, y in zip(rows, passed, agreement, strict=True):
        axes.annotate(f"{row['people']:g}", (x, y), (5, 5), textcoords="offset points", color=INK)
    axes.set_xlabel("held-out cases passed, mean of probes, %")
    axes.set_ylabel("2AFC score, held-out half, %, 95 %")
    remove_frame(axes, "both")
    return figure

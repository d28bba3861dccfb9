"""What a run came to against its baseline, another metric, and the floors that were asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dps import against, baseline
from dps.against import Answer, Comparison
from dps.errors import UsageError
from dps.report import pass_fractions, scores_table
from dps.report.results import Gathered
from dps.rows import Row, variant_key
from dps.session.configuration import RunConfiguration

SHOWN = 12
"""How many comparisons of one answer are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The gate's answer.

    Attributes:
        lines: what regressed, what improved, what cannot be told; indented where they belong to the line above.
        failed: whether something here fails the run that no single test did.
        missed: how many cases failed their own tests.
        notes: what a reader should know beside it.
    """

    lines: list[str] = field(default_factory=list)
    failed: bool = False
    missed: int = 0
    notes: list[str] = field(default_factory=list)


def recorded(configuration: RunConfiguration, outcome: Outcome) -> Row:
    """What results.json keeps of it: whether there was a gate, whether it held, and the lines."""
    asked = configuration.gate != "off" or configuration.against is not None or bool(configuration.floors)
    holds = not outcome.failed and not outcome.missed
    return {"holds": holds if asked else None, "missed": outcome.missed, "lines": outcome.lines}


def judge(
    configuration: RunConfiguration, gathered: Gathered, about: Row, scores: Sequence[Row], *, interrupted: bool
) -> Outcome:
    """Hold a run against all that was asked for.

    Args:
        configuration: what was asked.
        gathered: what was measured.
        about: ``run`` of results.json.
        scores: its rows of scores, means over subsets included.
        interrupted: the run ended early, so nothing can be missing, and nothing is recorded.
    """
    parts = [
        _against_baseline(configuration, gathered, about, interrupted=interrupted),
        _against_metric(configuration, gathered),
    ]
    missed = _missed_floors(configuration, pass_fractions.count(gathered.cases), scores)
    parts.append(Outcome(lines=missed, failed=bool(missed)))
    if configuration.update is not None and gathered.cases and not interrupted:
        parts.append(_record(configuration, gathered, about))
    return Outcome(
        lines=[line for part in parts for line in part.lines],
        failed=any(part.failed for part in parts),
        missed=sum(part.missed for part in parts),
        notes=[note for part in parts for note in part.notes],
    )


def _against_baseline(configuration: RunConfiguration, gathered: Gathered, about: Row, *, interrupted: bool) -> Outcome:
    if configuration.gate == "off" or not gathered.cases:
        return Outcome()
    gated = [row for row in gathered.cases if row["metric"] != configuration.against]
    findings = [baseline.compare(configuration.baseline, row) for row in gated]
    missed = sum(finding.failed for finding in findings)
    if configuration.gate == "strict":
        return Outcome(missed=missed)
    lines = baseline.summary(findings, configuration.baseline.where)
    whole = (
        not configuration.narrowed and not interrupted and len(gathered.cases) == sum(1 for _ in configuration.items())
    )
    missing = baseline.missing(configuration.baseline, gathered.cases) if whole else []
    if missing:
        lines += ["missing, though the baseline knows it:", *(f"  {line}" for line in missing)]
    notes = baseline.notes(configuration.baseline, about)
    return Outcome(lines=lines, failed=bool(missing), missed=missed, notes=notes)


def _against_metric(configuration: RunConfiguration, gathered: Gathered) -> Outcome:
    if configuration.against is None or not (gathered.cases or gathered.triplets):
        return Outcome()
    pairs = against.pairs(gathered.cases, configuration.against) if gathered.cases else []
    pairs += against.score_pairs(gathered.triplets, configuration.against)
    found = against.judge(pairs)
    counts = ", ".join(f"{sum(each.answer is answer for each in found)} {answer}" for answer in Answer)
    lines = [f"against {configuration.against}, {len(found)} comparisons: {counts}"]
    for answer in (Answer.WORSE, Answer.CANNOT_TELL):
        lines += _listed([each for each in found if each.answer is answer])
    return Outcome(lines=lines, failed=any(each.answer is Answer.WORSE for each in found))


def _listed(found: Sequence[Comparison]) -> list[str]:
    lines = [f"  {against.in_words(each)}" for each in found[:SHOWN]]
    return [*lines, f"  ... and {len(found) - SHOWN} more"] if len(found) > SHOWN else lines


def _missed_floors(
    configuration: RunConfiguration, table: pass_fractions.PassCounts, scores: Sequence[Row]
) -> list[str]:
    """What ``--require`` asks for and a variant does not reach; what is broken reaches nothing."""
    lines = []
    for floor in configuration.floors:
        for key in table.variants:
            found = table.counts.get((key, floor.name))
            if found is not None and not found.fraction >= floor.minimum:
                lines.append(f"required {floor}: {key.label} has {found.passed}/{found.cases}")
        for row in scores:
            reached = row["score"] is not None and row["score"] >= floor.minimum
            if scores_table.score_name(row) == floor.name and row["metric"] not in scores_table.JUDGES and not reached:
                score = "no score" if row["score"] is None else f"{row['score']:.4f}"
                lines.append(f"required {floor}: {variant_key(row).label} has {score}")
    return lines


def _record(configuration: RunConfiguration, gathered: Gathered, about: Row) -> Outcome:
    """Write the run as a baseline; what a narrowed run did not measure stays in it."""
    assert configuration.update is not None
    whole = not configuration.narrowed and len(gathered.cases) == sum(1 for _ in configuration.items())
    try:
        baseline.write(configuration.update, gathered.cases, about, None if whole else configuration.previous)
    except UsageError as error:
        return Outcome(lines=[str(error)], failed=True)
    return Outcome(lines=[f"recorded: {configuration.update}"])

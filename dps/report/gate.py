"""The gate: which results fail a run, given a baseline, another metric and required floors."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dps import agreement, baseline, significance
from dps.baseline import Baseline, Standing
from dps.errors import UsageError
from dps.report import pass_fractions, scores_table, tables
from dps.report.results import RunRecords
from dps.report.strata import by_severity, by_source
from dps.rows import Document, Row, case_name, describe, variant_key, was_measured
from dps.session.configuration import RunConfiguration
from dps.significance import Conclusion

SUMMARY_LINES = 20
"""Largest number of the gate's lines on a terminal without ``-v``."""

LISTED = 6
"""Number of probes or comparisons that a summary lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    """The outcome of all checks of a run, or of one of them.

    Attributes:
        holds: None where nothing was gated.
        failed: number of cases whose verdict fails the run.
        not_measured: number of cases and scores that could not be measured; they fail every gate.
        summary: the failures in short, for the terminal; indented lines belong to the line above.
        lines: the same with every case; empty if it is the summary.
        notes: differences from the baseline that should have little effect.
    """

    holds: bool | None = None
    failed: int = 0
    not_measured: int = 0
    summary: Sequence[str] = ()
    lines: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def row(self) -> Row:
        """Return ``run.gate_outcome`` of results.json."""
        names = ("holds", "failed", "not_measured", "summary", "lines")
        return {name: getattr(self, name) for name in names}


def judge_case(configuration: RunConfiguration, row: Row) -> tuple[Row, str, bool]:
    """Return a case row with its standing, why it failed (empty if it passed), and whether it fails the run."""
    standing = baseline.compare(configuration.baseline, row)
    gated = configuration.gate != "off" and row["metric"] != configuration.against
    fails = not was_measured(row) or (gated and _fails(standing, requested=configuration.gating_requested))
    failure = fails or not row["passed"]
    reason = baseline.describe_standing(configuration.baseline, row, standing) if failure else ""
    return {**row, "standing": standing.value} if configuration.gate == "baseline" else row, reason, fails


def _fails(standing: Standing, *, requested: bool) -> bool:
    """Return whether a verdict fails the run; failures that are not in the baseline do so if a gate was requested."""
    return standing in (Standing.REGRESSED, Standing.OTHER_IMAGES) or (standing is Standing.NEW_FAILED and requested)


def judge(
    configuration: RunConfiguration, records: RunRecords, document: Document, *, interrupted: bool
) -> GateOutcome:
    """Check a run against all that its options require, and record it with ``--update-baseline``.

    An interrupted run is not recorded, and its missing cases are not reported.
    """
    cases = document["cases"]
    unmeasured = _check_measured(document)
    gated_rows = [row for row in cases if configuration.gate != "off" and row["metric"] != configuration.against]
    requested = configuration.gating_requested
    place = " in place of --baseline" if configuration.options.baseline else ""
    improved = f"to record it, repeat the command with --update-baseline {configuration.baseline.where}{place}"
    verdicts = judge_verdicts(configuration.baseline, gated_rows, requested=requested, improved=improved)
    excluded = [f"{name}: {reason}" for name, reason in configuration.excluded.items()]
    checks = [
        _failure("not measured at all:", excluded),
        unmeasured,
        _check_floors(configuration, document),
        _compare_metrics(configuration, records, cases),
    ]
    if cases and not interrupted:
        whole = not configuration.narrowed and len(cases) == sum(1 for _ in configuration.items())
        checks.append(_record(configuration, document, whole=whole))
        missing = baseline.missing(configuration.baseline, cases) if whole and configuration.gate == "baseline" else []
        checks.append(_failure(f"{len(missing)} missing, though the baseline has them:", missing))
    checks.append(verdicts)
    new = sum(was_measured(row) and baseline.compare(configuration.baseline, row).is_new for row in gated_rows)
    if new and not requested:
        count = "1 verdict is" if new == 1 else f"{new} verdicts are"
        hint = "to gate what is new: --gate strict, --baseline FILE or --against METRIC"
        checks.append(GateOutcome(summary=[f"{count} not in the baseline, measured and not gated; {hint}"]))
    gated = {check.holds for check in checks} - {None}
    compared = configuration.gate == "baseline" and verdicts.holds is not None
    return GateOutcome(
        holds=all(gated) if gated else None,
        failed=verdicts.failed,
        not_measured=unmeasured.not_measured,
        summary=[line for check in checks for line in check.summary],
        lines=[line for check in checks for line in check.lines or check.summary],
        notes=baseline.notes(configuration.baseline, document["run"]) if compared else [],
    )


def as_text(outcome: Row, width: int, *, verbose: bool) -> list[str]:
    """Return the lines of ``run.gate_outcome`` for a terminal: at most `SUMMARY_LINES`, or all if verbose."""
    lines = [part for line in outcome["lines" if verbose else "summary"] for part in tables.wrapped(line, width)]
    if verbose or len(lines) <= SUMMARY_LINES:
        return lines
    return [*lines[: SUMMARY_LINES - 1], f"... {len(lines) - SUMMARY_LINES + 1} more lines with -v and in report.html"]


def _check_measured(document: Document) -> GateOutcome:
    """List the cases and scores that could not be measured; the summary has one line for each variant and error."""
    errors = [(case_name(row), row, describe(row)) for row in document["cases"] if not was_measured(row)]
    errors += [(scores_table.score_name(row), row, row["error"]) for row in document["scores"] if row.get("error")]
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, row, error in errors:
        groups[variant_key(row).label, error].append(f"{name}-{variant_key(row).label}")
    texts = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {error}"
        for (_, error), names in groups.items()
    ]
    all_texts = [f"{name}: {error}" for (_, error), names in groups.items() for name in names]
    check = _failure(f"{len(errors)} could not be measured:", texts)
    return replace(check, not_measured=len(errors), lines=[*check.summary[:1], *_indented(all_texts)])


def judge_verdicts(recorded: Baseline, rows: Iterable[Row], *, requested: bool, improved: str) -> GateOutcome:
    """Compare the verdicts of measured cases with a baseline, which may be empty.

    Verdicts that are not in the baseline must pass if a gate was requested. `improved` is a remark on improved ones.
    """
    measured = [row for row in rows if was_measured(row)]
    standings = [(row, baseline.compare(recorded, row)) for row in measured]
    compared = [(row, standing) for row, standing in standings if requested or not standing.is_new]
    if not compared:
        return GateOutcome()
    failing = [(row, standing) for row, standing in compared if _fails(standing, requested=requested)]
    failing.sort(key=lambda item: -math.inf if item[0].get("margin") is None else item[0]["margin"])
    texts = list(dict.fromkeys(baseline.describe_standing(recorded, *item) for item in failing))
    counts = Counter(standing for _, standing in compared)
    title = f"against the baseline: {', '.join(f'{counts[item]} {item}' for item in Standing if counts[item])}"
    if not recorded.where:
        title = f"strict: {len(failing)} of {len(compared)} verdict{'s' if len(compared) > 1 else ''} failed"
    by_probe = _by_probe(measured, [row for row, _ in failing])
    summary = [title, *_first(by_probe, LISTED), *(f"  worst: {_shortened(text)}" for text in texts[:3])]
    lines = [title, *_indented(texts)]
    remarks = {
        Standing.IMPROVED: improved,
        Standing.INCONCLUSIVE: f"the margin moved by at most {baseline.MARGIN_TOLERANCE:g}; not failed",
    }
    for standing, remark in remarks.items():
        if changed := [baseline.describe_standing(recorded, *item) for item in compared if item[1] is standing]:
            summary.append(f"{len(changed)} {standing}: {remark}")
            lines += [summary[-1], *_indented(changed)]
    return GateOutcome(holds=not failing, failed=len(failing), summary=summary, lines=lines)


def _by_probe(compared: Iterable[Row], failing: Iterable[Row]) -> list[str]:
    """Return the number of each probe's failing cases on each network, the largest first."""
    totals, counts = (Counter((row["probe"], row["network"]) for row in rows) for rows in (compared, failing))
    networks: dict[str, list[str]] = defaultdict(list)
    for (probe, network), count in counts.items():
        networks[probe].append(f"{count} of {totals[probe, network]}{f' on {network}' if network else ''}")
    order = sorted(networks, key=lambda name: -sum(count for (probe, _), count in counts.items() if probe == name))
    return [f"{probe}: {', '.join(networks[probe])}" for probe in order]


def _compare_metrics(configuration: RunConfiguration, records: RunRecords, cases: Sequence[Row]) -> GateOutcome:
    """Compare every metric with the one of ``--against``."""
    other = configuration.against
    if other is None or not (cases or records.originals):
        return GateOutcome()
    scores = {  # lower is better for rank flips
        key: [1 - value for value in values] if agreement.RANK_FLIPS in key[0].split("/") else values
        for key, values in records.originals.items()
    }
    matched = [*significance.match_cases(cases, other), *significance.match(scores, other, "originals")]
    results = significance.compare(matched)
    texts = {c: [str(result) for result in results if result.conclusion is c] for c in Conclusion}
    counts = ", ".join(f"{len(lines)} {conclusion}" for conclusion, lines in texts.items())
    title = f"against {other}, {len(results)} comparisons: {counts}"
    worse, cannot_tell = texts[Conclusion.WORSE], texts[Conclusion.CANNOT_TELL]
    return GateOutcome(
        holds=bool(results) and not worse,
        summary=[title, *_first(worse, LISTED), *_first(cannot_tell, LISTED)],
        lines=[title, *_indented([*worse, *cannot_tell, *texts[Conclusion.NOT_WORSE]])],
    )


def _check_floors(configuration: RunConfiguration, document: Document) -> GateOutcome:
    """Check the limits of ``--require``; a variant with a case that could not be measured fails them."""
    lines: list[str] = []
    sources = by_source(document) if configuration.floors else {}
    for floor in configuration.floors:
        probe, _, stratum = floor.name.partition("/")
        rows = [row for row in document["cases"] if row["probe"] == probe]
        divisions = [counts for counts in (by_severity(document, probe), sources.get(probe)) if counts]
        strata = [column for counts in divisions for column in counts.probes]
        if stratum and rows and stratum not in strata:
            lines.append(f"required {floor}: {probe} has no {stratum!r}; known: {', '.join(strata)}")
        for counts in divisions or [pass_fractions.count(rows)]:
            columns = [column for column in counts.probes if stratum in ("", column)]
            for variant, column in itertools.product(counts.variants, columns):
                count, place = counts.get(variant, column), f" at {column}" if divisions else ""
                if count.unmeasured or (count.cases and not floor.admits(count.fraction)):
                    unmeasured = f", {count.unmeasured} could not be measured" if count.unmeasured else ""
                    lines.append(f"required {floor}: {variant.label} has {count}{place}{unmeasured}")
        for row in document["scores"]:
            admitted = row["score"] is not None and floor.admits(row["score"])
            names = agreement.score_names(row["dataset"], row["kind"], row["subset"])
            if floor.name in names and row["metric"] not in scores_table.JUDGES and not admitted:
                score = "no score" if row["score"] is None else f"{row['score']:.4f}"
                lines.append(f"required {floor}: {variant_key(row).label} has {score}")
    return GateOutcome(holds=not lines if configuration.floors else None, summary=lines)


def _record(configuration: RunConfiguration, document: Document, *, whole: bool) -> GateOutcome:
    """Write the run as a baseline; entries that a narrowed run did not measure are kept."""
    path = configuration.update
    if path is None:
        return GateOutcome()
    try:
        rows = [_without_inexact_digest(row, document["drawn"]) for row in document["cases"]]
        baseline.write(path, rows, document["run"], None if whole else configuration.previous)
    except UsageError as error:
        return GateOutcome(holds=False, summary=[str(error)])
    return GateOutcome(summary=[f"recorded: {path}"])


def _without_inexact_digest(row: Row, drawn: Mapping[str, Row]) -> Row:
    """Remove the digest of images that were drawn from a JPEG, since decoders differ."""
    values = ", ".join(map(str, drawn.get(case_name(row), {}).values())).lower()
    return {**row, "images_sha256": None} if ".jpg" in values or ".jpeg" in values else row


def _failure(title: str, texts: Sequence[str]) -> GateOutcome:
    """Return a failed check that lists texts, or an empty outcome if there are none."""
    if not texts:
        return GateOutcome()
    return GateOutcome(holds=False, summary=[title, *_first(texts, 3)], lines=[title, *_indented(texts)])


def _first(texts: Sequence[str], limit: int) -> list[str]:
    """Indent the first texts, shortened, and add the number of further ones."""
    more = [f"  ... and {len(texts) - limit} more"] if len(texts) > limit else []
    return [*_indented(map(_shortened, texts[:limit])), *more]


def _indented(texts: Iterable[str]) -> list[str]:
    return [f"  {text}" for text in texts]


def _shortened(text: str) -> str:
    return text if len(text) <= 150 else f"{text[:147]}..."

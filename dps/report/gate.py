"""The gate: which results fail a run, against a baseline, another metric and required floors."""

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
"""How many lines the terminal shows of the gate without ``-v``."""

LISTED = 6
"""How many probes, comparisons or missing cases a summary lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    """The end of a run, or of one check of it.

    Attributes:
        holds: None where nothing was gated.
        failed, not_measured: numbers of cases; the latter, and scores that could not be measured, fail every gate.
        summary: what failed and how much of it, for the terminal; what is indented belongs to the line above.
        lines: the same with every single case.
        notes: differences that should matter little.
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
    text = baseline.in_words(configuration.baseline, row, standing) if fails or not row["passed"] else ""
    return {**row, "standing": standing.value} if configuration.gate == "baseline" else row, text, fails


def _fails(standing: Standing, *, requested: bool) -> bool:
    """Return whether a verdict fails the run: what the baseline does not know, only where that was requested."""
    return standing in (Standing.REGRESSED, Standing.OTHER_IMAGES) or (standing is Standing.NEW_FAILED and requested)


def judge(
    configuration: RunConfiguration, records: RunRecords, document: Document, *, interrupted: bool
) -> GateOutcome:
    """Hold a run against all that was asked for; of an interrupted one nothing is missing, and nothing is recorded."""
    cases = document["cases"]
    measured = _judge_measured(document)
    gated_rows = [row for row in cases if configuration.gate != "off" and row["metric"] != configuration.against]
    command = baseline.update_command(configuration.baseline.where)
    requested, improved = configuration.gating_requested, f"to record that: {command}"
    verdicts = judge_verdicts(configuration.baseline, gated_rows, requested=requested, improved=improved)
    checks = [
        _failure("not measured at all:", [f"{name}: {reason}" for name, reason in configuration.excluded.items()]),
        measured,
        _judge_floors(configuration, document),
        _judge_against(configuration, records, cases),
    ]
    if cases and not interrupted:
        whole = not configuration.narrowed and len(cases) == sum(1 for _ in configuration.items())
        checks.append(_record(configuration, document, whole=whole))
        missing = baseline.missing(configuration.baseline, cases) if whole and configuration.gate == "baseline" else []
        checks.append(_failure(f"{len(missing)} missing, though the baseline has them:", missing))
    checks += [verdicts, _how_to_gate(configuration, gated_rows)]
    gated = {check.holds for check in checks} - {None}
    compared = configuration.gate == "baseline" and verdicts.holds is not None
    return GateOutcome(
        holds=all(gated) if gated else None,
        failed=verdicts.failed,
        not_measured=measured.not_measured,
        summary=[line for check in checks for line in check.summary],
        lines=[line for check in checks for line in check.lines or check.summary],
        notes=baseline.notes(configuration.baseline, document["run"]) if compared else [],
    )


def as_text(outcome: Row, width: int, *, verbose: bool) -> list[str]:
    """Return the lines of ``run.gate_outcome`` for a terminal: at most `SUMMARY_LINES`, or all of them."""
    lines = [part for line in outcome["lines" if verbose else "summary"] for part in tables.wrapped(line, width)]
    if verbose or len(lines) <= SUMMARY_LINES:
        return lines
    return [*lines[: SUMMARY_LINES - 1], f"... {len(lines) - SUMMARY_LINES + 1} more lines with -v and in report.html"]


def _judge_measured(document: Document) -> GateOutcome:
    """Name what could not be measured, which fails under every gate; in short, once for each variant and error."""
    errors = [(case_name(row), row, describe(row)) for row in document["cases"] if not was_measured(row)]
    errors += [(scores_table.score_name(row), row, row["error"]) for row in document["scores"] if row.get("error")]
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, row, error in errors:
        groups[variant_key(row).label, error].append(f"{name}-{variant_key(row).label}")
    texts = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {error}"
        for (_, error), names in groups.items()
    ]
    every = [f"{name}: {error}" for (_, error), names in groups.items() for name in names]
    check = _failure(f"{len(errors)} could not be measured:", texts)
    return replace(check, not_measured=len(errors), lines=[*check.summary[:1], *_indented(every)])


def judge_verdicts(known: Baseline, rows: Iterable[Row], *, requested: bool, improved: str) -> GateOutcome:
    """Hold verdicts that were measured against a baseline, or against an empty one, where every one must pass.

    What the baseline does not know must pass, too, where that was requested. `improved` is said of verdicts that did.
    """
    measured = [row for row in rows if was_measured(row)]
    standings = [(row, baseline.compare(known, row)) for row in measured]
    compared = [(row, standing) for row, standing in standings if requested or not standing.is_new]
    if not compared:
        return GateOutcome()
    failing = [each for each in compared if _fails(each[1], requested=requested)]
    failing.sort(key=lambda each: -math.inf if each[0].get("margin") is None else each[0]["margin"])
    texts = list(dict.fromkeys(baseline.in_words(known, *each) for each in failing))
    counts = Counter(standing for _, standing in compared)
    title = f"against the baseline: {', '.join(f'{counts[each]} {each}' for each in Standing if counts[each])}"
    if not known.where:
        title = f"strict: {len(failing)} of {len(compared)} verdict{'s' if len(compared) > 1 else ''} failed"
    shares = _by_probe(measured, [row for row, _ in failing])
    summary = [title, *_first(shares, LISTED), *(f"  worst: {_cut(text)}" for text in texts[:3])]
    lines = [title, *_indented(texts)]
    remarks = {
        Standing.IMPROVED: improved,
        Standing.INCONCLUSIVE: f"the margin moved by at most {baseline.MARGIN_TOLERANCE:g}; not failed",
    }
    for standing, remark in remarks.items():
        if changed := [baseline.in_words(known, row, each) for row, each in compared if each is standing]:
            summary.append(f"{len(changed)} {standing}: {remark}")
            lines += [summary[-1], *_indented(changed)]
    return GateOutcome(holds=not failing, failed=len(failing), summary=summary, lines=lines)


def _how_to_gate(configuration: RunConfiguration, rows: Iterable[Row]) -> GateOutcome:
    """Say how to gate what the baseline does not know, where that was not requested."""
    new = sum(was_measured(row) and baseline.compare(configuration.baseline, row).is_new for row in rows)
    if not new or configuration.gating_requested:
        return GateOutcome()
    verdicts = f"{new} verdict{' is' if new == 1 else 's are'} not in the baseline, measured and not gated"
    how = "to gate what is new: --gate strict, --baseline FILE or --against METRIC"
    return GateOutcome(summary=[f"{verdicts}; {how}"])


def _by_probe(compared: Iterable[Row], failing: Iterable[Row]) -> list[str]:
    """Say how many of a probe's cases fail on each network, the most first."""
    totals, counts = (Counter((row["probe"], row["network"]) for row in rows) for rows in (compared, failing))
    networks: dict[str, list[str]] = defaultdict(list)
    for (probe, network), count in counts.items():
        networks[probe].append(f"{count} of {totals[probe, network]}{f' on {network}' if network else ''}")
    order = sorted(networks, key=lambda name: -sum(count for (probe, _), count in counts.items() if probe == name))
    return [f"{probe}: {', '.join(networks[probe])}" for probe in order]


def _judge_against(configuration: RunConfiguration, records: RunRecords, cases: Sequence[Row]) -> GateOutcome:
    """Compare every metric with the one of ``--against``."""
    other = configuration.against
    if other is None or not (cases or records.originals):
        return GateOutcome()
    scores = {  # of rank flips, fewer are better
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


def _judge_floors(configuration: RunConfiguration, document: Document) -> GateOutcome:
    """Check the limits of ``--require``; a variant with a case that could not be measured keeps none."""
    lines = []
    for floor in configuration.floors:
        probe, _, stratum = floor.name.partition("/")
        rows = [row for row in document["cases"] if row["probe"] == probe]
        divided = [each for each in (by_severity(document, probe), by_source(document, probe)) if each]
        known = [column for counts in divided for column in counts.probes]
        if stratum and rows and stratum not in known:
            lines.append(f"required {floor}: {probe} has no {stratum!r}; known: {', '.join(known)}")
        for counts in divided or [pass_fractions.count(rows)]:
            columns = [column for column in counts.probes if stratum in ("", column)]
            for variant, column in itertools.product(counts.variants, columns):
                count, place = counts.get(variant, column), f" at {column}" if divided else ""
                if count.unmeasured or (count.cases and not floor.admits(count.fraction)):
                    broken = f", {count.unmeasured} could not be measured" if count.unmeasured else ""
                    lines.append(f"required {floor}: {variant.label} has {count.passed}/{count.cases}{place}{broken}")
        for row in document["scores"]:
            admitted = row["score"] is not None and floor.admits(row["score"])
            names = agreement.names_of(row["dataset"], row["kind"], row["subset"])
            if floor.name in names and row["metric"] not in scores_table.JUDGES and not admitted:
                score = "no score" if row["score"] is None else f"{row['score']:.4f}"
                lines.append(f"required {floor}: {variant_key(row).label} has {score}")
    return GateOutcome(holds=not lines if configuration.floors else None, summary=lines)


def _record(configuration: RunConfiguration, document: Document, *, whole: bool) -> GateOutcome:
    """Write the run as a baseline; what a narrowed run did not measure stays in it."""
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
    """Return a row without the digest of its images where these are of a JPEG, whose decoders may differ."""
    values = ", ".join(map(str, drawn.get(case_name(row), {}).values())).lower()
    return {**row, "images_sha256": None} if ".jpg" in values or ".jpeg" in values else row


def _failure(title: str, texts: Sequence[str]) -> GateOutcome:
    """Return a failed check that lists texts, or, without any, one that has nothing to say."""
    if not texts:
        return GateOutcome()
    return GateOutcome(holds=False, summary=[title, *_first(texts, 3)], lines=[title, *_indented(texts)])


def _first(texts: Sequence[str], most: int) -> list[str]:
    """Indent the first texts, shortened, and say how many more there are."""
    more = [f"  ... and {len(texts) - most} more"] if len(texts) > most else []
    return [*_indented(map(_cut, texts[:most])), *more]


def _indented(texts: Iterable[str]) -> list[str]:
    return [f"  {text}" for text in texts]


def _cut(text: str) -> str:
    return text if len(text) <= 150 else f"{text[:147]}..."

"""Baselines: recorded runs and how a later run differs. Plain data; nothing is measured here.

A baseline is a JSON file with one line for each case's images, and one for each case, metric and normalization, so that
diffs are readable:

    {
    "dps_baseline": 1,
    "measured": {"dps": "0.1.0", "torch": "2.9.0", "reduction": "sum", "networks": {"alexnet": "443c.."}, ..},
    "images": [
    ["rotate", "rings-045", "1ade.."],
    ],
    "margins": [
    ["rotate", "rings-045", "pixel", null, 0.2],
    ["rotate", "rings-045", "sort", "none", {"alexnet": 0.51, "vgg16": -0.0312}]
    ]
    }

A value is the margin, and the case passed if it is positive; it is true or false where the margin is missing or
disagrees with the verdict. Margins have 6 significant digits, which preserves their sign.
"""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import pydantic

from dps import files
from dps.errors import UsageError
from dps.rows import Row, VariantKey, case_name, describe, finite, json_lines, variant_key, was_measured

MARGIN_TOLERANCE = 0.01
"""A verdict that changes while its margin changes by at most this is inconclusive: machines may differ by as much."""

Margin: TypeAlias = float | bool
"""The margin of a case, or its verdict where the margin is missing or disagrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A recorded run, or several compatible ones.

    Attributes:
        where: the file, for messages.
        measured: versions, machine, device and reduction of the last run, and SHA-256 of the weights by network.
        images: SHA-256 of each case's images, by case, such as ``rotate/rings-045``.
        margins: by case and variant.
    """

    where: str = field(default="", compare=False)
    measured: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict, repr=False)
    margins: Mapping[tuple[str, VariantKey], Margin] = field(default_factory=dict, repr=False)


# ------------------------------------------------------------------------------------------- comparing


class Standing(StrEnum):
    """The result of comparing a case with a baseline."""

    NOT_MEASURED = "could not be measured"
    REGRESSED = "regressed"
    OTHER_IMAGES = "of other images"
    NEW_FAILED = "failed (not in the baseline)"
    IMPROVED = "improved"
    INCONCLUSIVE = "inconclusive"
    UNCHANGED = "unchanged"
    NEW_PASSED = "passed (not in the baseline)"

    @property
    def is_new(self) -> bool:
        """Return whether the case with this variant is not in the baseline."""
        return self in (Standing.NEW_FAILED, Standing.NEW_PASSED)


def compare(baseline: Baseline, row: Row) -> Standing:
    """Compare one case of a run with the baseline.

    A case that passed and now fails has regressed; one that failed and now passes has improved. If the margin changed
    by at most `MARGIN_TOLERANCE`, it is inconclusive instead, unless either run has a tie, a distance of 0, an error or
    no margin. A case with other images than recorded is a different case, for every variant.
    """
    case, variant = case_name(row), variant_key(row)
    if not was_measured(row):
        return Standing.NOT_MEASURED
    if (digest := row.get("images_sha256")) != baseline.images.get(case, digest):
        return Standing.OTHER_IMAGES
    then, now = baseline.margins.get((case, variant)), recorded_margin(row)
    if then is None:
        return Standing.NEW_PASSED if now > 0 else Standing.NEW_FAILED
    if (then > 0) == (now > 0):
        return Standing.UNCHANGED
    tie = 0 in (then, row["distance"]) or row["distance"] == row["nearest_reference_distance"]
    if not (tie or isinstance(then, bool) or isinstance(now, bool)) and abs(row["margin"] - then) <= MARGIN_TOLERANCE:
        return Standing.INCONCLUSIVE
    return Standing.IMPROVED if now > 0 else Standing.REGRESSED


def describe_standing(baseline: Baseline, row: Row, standing: Standing) -> str:
    """Describe a case, its recorded and its current verdict in one line."""
    case, variant, verdict = case_name(row), variant_key(row), describe(row)
    then = baseline.margins.get((case, variant))
    if standing is Standing.OTHER_IMAGES:
        return (
            f"{case}: its images have SHA-256 {_short(row['images_sha256'])} but {_short(baseline.images[case])} in "
            f"{baseline.where}, so it is a different case. If this is intended: {update_command(baseline.where)}"
        )
    if then is not None and standing is not Standing.NOT_MEASURED:
        margin = "" if isinstance(then, bool) else f" (margin {then:+.1%})"
        verdict = f"{'passed' if then > 0 else 'failed'}{margin} in the baseline, now {verdict}"
    elif baseline.margins and standing is not Standing.NOT_MEASURED:
        verdict = f"not in the baseline; {verdict}"
    return f"{case}-{variant.label}: {verdict}"


def check(baseline: Baseline, networks: Mapping[str, str], reduction: str) -> None:
    """Check before a run, given SHA-256 of its weights by network, that it can be compared with a baseline.

    Raises:
        UsageError: the baseline was recorded with other weights or another reduction.
    """
    for name, then, now in _differences(baseline, {"reduction": reduction}, networks):
        raise UsageError(
            f"{baseline.where}: recorded with {name} {then}, but this run has {now}, which changes the margins. Use "
            "--gate off or --gate strict, or record this run and compare with that: "
            f"{update_command('FILE')}, then --baseline FILE."
        )


def notes(baseline: Baseline, about: Row) -> list[str]:
    """Return a line for each version, machine, device or weights in which a run differs from a baseline."""
    networks = {name: network["sha256"] for name, network in about.get("networks", {}).items()}
    return [
        f"the baseline was recorded with {name} {then}; this is {now}"
        for name, then, now in _differences(baseline, about, networks)
    ]


def _differences(baseline: Baseline, about: Row, networks: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return the name, recorded value and current value of all that is recorded and has changed."""
    weights = baseline.measured.get("networks", {})
    then, now = (
        {"--reduction" if name == "reduction" else name: measured[name] for name in measured if name != "networks"}
        | {f"weights of {name} of SHA-256": sha256 for name, sha256 in sorted(digests.items())}
        for measured, digests in ((baseline.measured, weights), (about, networks))
    )
    return [(name, _short(then[name]), _short(now[name])) for name in then if now.get(name, then[name]) != then[name]]


def missing(baseline: Baseline, rows: Iterable[Row]) -> list[str]:
    """Return a line for each case and variant of the baseline that is not in a run."""
    keys = baseline.margins.keys() - {(case_name(row), variant_key(row)) for row in rows}
    names = sorted(f"{case}-{variant.label}" for case, variant in keys)
    return [f"{name}: in the baseline, but not measured" for name in names]


def without_probes(baseline: Baseline, names: Iterable[str]) -> Baseline:
    """Return a baseline without the entries of some probes."""
    prefixes = tuple(f"{name}/" for name in names)
    return replace(
        baseline,
        images={case: sha256 for case, sha256 in baseline.images.items() if not case.startswith(prefixes)},
        margins={key: margin for key, margin in baseline.margins.items() if not key[0].startswith(prefixes)},
    )


def recorded_margin(row: Row) -> Margin:
    """Return the margin to record for a measured case, with 6 significant digits."""
    passed, margin = row["passed"] is True and not row.get("error"), finite(row.get("margin"))
    if margin is None or row.get("error") or (margin > 0) != passed:
        return passed
    return float(f"{margin:.6g}") + 0.0  # -0.0 becomes 0.0


def update_command(where: str | Path) -> str:
    """Return the command that records a run as a baseline."""
    return f"dps test --update-baseline {shlex.quote(str(where))}"


def _short(value: str | None) -> str:
    return f"{value[:12]}.." if value and len(value) > 12 else str(value)


# ------------------------------------------------------------------------------------------- reading


_Name: TypeAlias = Annotated[str, pydantic.Field(min_length=1)]

_Margin: TypeAlias = pydantic.FiniteFloat | bool


class _Measured(pydantic.BaseModel, extra="forbid", strict=True):
    dps: str
    python: str
    torch: str
    torchvision: str
    numpy: str
    machine: str
    device: str
    reduction: str
    networks: dict[_Name, _Name]


class _File(pydantic.BaseModel, extra="forbid", strict=True):
    dps_baseline: Literal[1]
    measured: _Measured
    images: list[tuple[_Name, _Name, _Name]]
    margins: list[tuple[_Name, _Name, _Name, _Name | None, _Margin | dict[_Name, _Margin]]]

    def as_baseline(self, where: str) -> Baseline:
        """Return the baseline; a ValueError names an entry that appears twice."""
        margins = [
            ((f"{probe}/{case}", VariantKey(network, normalization, metric)), margin)
            for probe, case, metric, normalization, value in self.margins
            for network, margin in (value if isinstance(value, dict) else {None: value}).items()
        ]
        images = [(f"{probe}/{case}", sha256) for probe, case, sha256 in self.images]
        names = Counter([*(case for case, _ in images), *(f"{case}-{variant.label}" for (case, variant), _ in margins)])
        for name, count in names.items():
            if count > 1:
                raise ValueError(f"{name} appears twice")
        return Baseline(where=where, measured=self.measured.model_dump(), images=dict(images), margins=dict(margins))


def read(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        UsageError: the file is missing, cut short, not a valid baseline or of another version of dps; the message
            names the place in the file.
    """
    try:
        return _File.model_validate_json(path.read_bytes()).as_baseline(str(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}). To record one: {update_command(path)}") from None
    except ValueError as error:
        fault = _fault(error) if isinstance(error, pydantic.ValidationError) else error
        raise UsageError(
            f"{path}: not a valid baseline: {fault}. It may be cut short, have merge conflicts or be of a newer dps. "
            f"To record it again, remove it; then {update_command(path)}"
        ) from None


def _fault(error: pydantic.ValidationError) -> str:
    """Return the place and text of the first fault: ``margins[3][4].float: Input should be a finite number``."""
    fault = error.errors()[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    explained = fault["type"] in ("json_invalid", "missing", "extra_forbidden")
    got = "" if explained else f", got {str(fault['input'])[:60]!r}"
    return f"{place}{': ' if place else ''}{fault['msg']}{got}"


# ------------------------------------------------------------------------------------------- writing


def write(path: Path, rows: Iterable[Row], about: Row, previous: Baseline | None = None) -> None:
    """Record a run's case rows and its ``run`` of results.json; the file is written completely or not at all.

    Entries of `previous` that the run did not measure are kept.

    Raises:
        UsageError: there is no row, a case could not be measured, remaining entries are not compatible with the run,
            or the file cannot be written.
    """
    run = record(rows, about, str(path))
    try:
        files.write(path, as_json(run if previous is None else merge(previous, run)))
    except OSError as error:
        raise UsageError(f"{path}: the baseline cannot be written ({error.strerror}).") from None


def record(rows: Iterable[Row], about: Row, where: str) -> Baseline:
    """Return a baseline of a run; a UsageError if there is no row or a case could not be measured."""
    rows = list(rows)
    unmeasured = sorted(f"{case_name(row)}-{variant_key(row).label}" for row in rows if not was_measured(row))
    if unmeasured:
        names = ", ".join(unmeasured[:3]) + ", .." * (len(unmeasured) > 3)
        raise UsageError(f"{where}: not written: {len(unmeasured)} could not be measured: {names}.")
    if not rows:
        raise UsageError(f"{where}: not written: no case was measured.")
    networks = sorted({row["network"] for row in rows} - {None})
    measured = {name: about[name] for name in _Measured.model_fields}
    measured["networks"] = {name: about["networks"][name]["sha256"] for name in networks}
    return Baseline(
        where=where,
        measured=measured,
        images={case_name(row): row["images_sha256"] for row in rows if row["images_sha256"]},
        margins={(case_name(row), variant_key(row)): recorded_margin(row) for row in rows},
    )


def merge(previous: Baseline, run: Baseline) -> Baseline:
    """Return a baseline updated with the entries of a run.

    Raises:
        UsageError: remaining entries were recorded with other images, weights or reduction.
    """
    remaining = {key: margin for key, margin in previous.margins.items() if key not in run.margins}
    then: dict[str, str | None] = {case: previous.images.get(case) for case, _ in remaining}
    for network in {variant.network for _, variant in remaining if variant.network is not None}:
        then |= {network: previous.measured["networks"].get(network), "reduction": previous.measured["reduction"]}
    now = {**run.images, **run.measured["networks"], "reduction": run.measured["reduction"]}
    if changed := sorted(name for name, value in then.items() if now.get(name, value) != value):
        raise UsageError(
            f"{run.where}: not written: entries that this run did not measure have other images, weights or reduction "
            f"({', '.join(changed[:3])}). Measure all entries, or name another file."
        )
    return replace(
        run,
        measured={**run.measured, "networks": {**previous.measured["networks"], **run.measured["networks"]}},
        images={**previous.images, **run.images},
        margins={**remaining, **run.margins},
    )


def as_json(baseline: Baseline) -> Iterator[str]:
    """Yield the file's text: strict JSON, sorted, a line for each entry."""
    images = sorted([*case.split("/", 1), sha256] for case, sha256 in baseline.images.items())
    margins: dict[tuple[str, str, str, str | None], dict[str | None, Margin]] = {}
    for (case, variant), margin in sorted(baseline.margins.items(), key=lambda entry: str(entry[0][1].network)):
        probe, _, name = case.partition("/")
        margins.setdefault((probe, name, variant.metric, variant.normalization), {})[variant.network] = margin
    entries: list[list[Any]] = []
    for names, values in sorted(margins.items(), key=lambda entry: [name or "" for name in entry[0]]):
        entries += [[*names, values.pop(None)]] if None in values else []
        entries += [[*names, values]] if values else []
    measured = {**baseline.measured, "networks": dict(sorted(baseline.measured["networks"].items()))}
    return json_lines({"dps_baseline": 1, "measured": measured, "images": images, "margins": entries})

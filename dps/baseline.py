"""Baselines: recorded runs, and what has changed since. Plain data; nothing is measured here.

A baseline is a JSON file with one line for each case's images, and one for each case, metric and normalization, so that
a diff shows what changed:

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

A value is the margin, and the case passed if it is positive; true or false stands where a margin cannot say so. Margins
have 6 significant digits, which never turns one into 0 or changes its sign.
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
"""A verdict that flips while its margin moves by no more than this is inconclusive: another machine may do as much."""

Margin: TypeAlias = float | bool
"""The margin of a case, or whether it passed where the margin cannot say so."""

Verdicts: TypeAlias = Mapping[tuple[str, VariantKey], Margin]
"""Margins by case (``rotate/rings-045``) and variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A recorded run, or several that fit together.

    Attributes:
        where: the file, for messages.
        measured: versions, machine, device and reduction of the last run, and SHA-256 of the weights by network.
        images: SHA-256 of each case's images, by case.
    """

    where: str = field(default="", compare=False)
    measured: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, str] = field(default_factory=dict, repr=False)
    margins: Verdicts = field(default_factory=dict, repr=False)


# ------------------------------------------------------------------------------------------- comparing


class Standing(StrEnum):
    """How a case stands against a baseline."""

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
        """Return whether the baseline does not know the case with this variant."""
        return self in (Standing.NEW_FAILED, Standing.NEW_PASSED)


def compare(baseline: Baseline, row: Row) -> Standing:
    """Compare one case of a run with the baseline.

    A case that passed and now fails has regressed, one that failed and now passes has improved; neither if the margin
    moved by at most `MARGIN_TOLERANCE`, which is inconclusive. A tie, a distance of zero, an error and a missing
    margin, then or now, are never inconclusive. A case whose images differ from the recorded ones is another case, also
    with variants that the baseline does not know.
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


def in_words(baseline: Baseline, row: Row, standing: Standing) -> str:
    """Describe a case and how it stands, old and new, in one line."""
    case, variant, verdict = case_name(row), variant_key(row), describe(row)
    then = baseline.margins.get((case, variant))
    if standing is Standing.OTHER_IMAGES:
        return (
            f"{case}: its images have SHA-256 {_short(row['images_sha256'])} but {_short(baseline.images[case])} in "
            f"{baseline.where}: it is another case now. If that is meant: {update_command(baseline.where)}"
        )
    if then is not None and standing is not Standing.NOT_MEASURED:
        margin = "" if isinstance(then, bool) else f" (margin {then:+.1%})"
        verdict = f"{'passed' if then > 0 else 'failed'}{margin} in the baseline, now {verdict}"
    elif baseline.margins and standing is not Standing.NOT_MEASURED:
        verdict = f"not in the baseline; {verdict}"
    return f"{case}-{variant.label}: {verdict}"


def check(baseline: Baseline, networks: Mapping[str, str], reduction: str) -> None:
    """Check that a run, with SHA-256 of the weights by network, can be compared with a baseline, before it is measured.

    Raises:
        UsageError: a network has other weights than in the baseline, or the reduction is another one.
    """
    for name, then, now in _differences(baseline, {"reduction": reduction}, networks):
        raise UsageError(
            f"{baseline.where}: recorded with {name} {then}, but this run has {now}, which gives other margins. Use "
            "--gate off or --gate strict, or record this run and compare with that: "
            f"{update_command('FILE')}, then --baseline FILE."
        )


def notes(baseline: Baseline, about: Row) -> list[str]:
    """Return a line for each version, machine, device or weights that differ between the baseline and a run."""
    networks = {name: network["sha256"] for name, network in about.get("networks", {}).items()}
    return [
        f"the baseline was recorded with {name} {then}; this is {now}"
        for name, then, now in _differences(baseline, about, networks)
    ]


def _differences(baseline: Baseline, about: Row, networks: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return what differs between a baseline and a run: its name, and what it was then and is now."""
    weights = baseline.measured.get("networks", {})
    texts = {name: name for name in baseline.measured if name in about} | {"reduction": "--reduction"}
    texts |= {name: f"weights of {name} of SHA-256" for name in sorted(weights)}
    then, now = ({**measured, **sha256} for measured, sha256 in ((baseline.measured, weights), (about, networks)))
    return [
        (text, _short(then[name]), _short(now[name]))
        for name, text in texts.items()
        if name != "networks" and name in now and name in then and now[name] != then[name]
    ]


def missing(baseline: Baseline, rows: Iterable[Row]) -> list[str]:
    """Return a line for each case and variant of the baseline that a full run lacks."""
    lacking = baseline.margins.keys() - {(case_name(row), variant_key(row)) for row in rows}
    names = sorted(f"{case}-{variant.label}" for case, variant in lacking)
    return [f"{name}: in the baseline, but not measured" for name in names]


def without_probes(baseline: Baseline, names: Iterable[str]) -> Baseline:
    """Return a baseline that does not know some probes."""
    unknown = tuple(f"{name}/" for name in names)
    return replace(
        baseline,
        images={case: sha256 for case, sha256 in baseline.images.items() if not case.startswith(unknown)},
        margins={key: margin for key, margin in baseline.margins.items() if not key[0].startswith(unknown)},
    )


def recorded_margin(row: Row) -> Margin:
    """Return what a baseline keeps of a case that was measured."""
    passed, margin = row["passed"] is True and not row.get("error"), finite(row.get("margin"))
    if margin is None or row.get("error") or (margin > 0) != passed:
        return passed
    return float(f"{margin:.6g}") + 0.0  # -0.0 becomes 0.0


def update_command(where: str | Path) -> str:
    """Return the command that records a run."""
    return f"dps test --update-baseline {shlex.quote(str(where))}"


def _short(value: str | None) -> str:
    return f"{value[:12]}.." if value and len(value) > 12 else str(value)


# ------------------------------------------------------------------------------------------- reading


Name: TypeAlias = Annotated[str, pydantic.Field(min_length=1)]

_Margin: TypeAlias = pydantic.FiniteFloat | bool


class _StrictModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class _Measured(_StrictModel):
    dps: str
    python: str
    torch: str
    torchvision: str
    numpy: str
    machine: str
    device: str
    reduction: str
    networks: dict[Name, Name]


class _File(_StrictModel):
    dps_baseline: Literal[1]
    measured: _Measured
    images: list[tuple[Name, Name, Name]]
    margins: list[tuple[Name, Name, Name, Name | None, _Margin | dict[Name, _Margin]]]


def read(path: Path) -> Baseline:
    """Read a baseline; nothing that it contains is run.

    Raises:
        UsageError: the file is missing, cut short, not a valid baseline or of another dps; one line says where and
            what.
    """
    try:
        return _baseline(str(path), _File.model_validate_json(path.read_bytes()))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}). To record one: {update_command(path)}") from None
    except ValueError as error:
        fault = _fault(error) if isinstance(error, pydantic.ValidationError) else error
        raise UsageError(
            f"{path}: not a valid baseline: {fault}. Is it cut short, not merged to the end, or of a newer "
            f"dps? To record it again, remove it; then {update_command(path)}"
        ) from None


def _baseline(where: str, file: _File) -> Baseline:
    margins = [
        ((f"{probe}/{case}", VariantKey(network, normalization, metric)), margin)
        for probe, case, metric, normalization, value in file.margins
        for network, margin in (value if isinstance(value, dict) else {None: value}).items()
    ]
    images = [(f"{probe}/{case}", sha256) for probe, case, sha256 in file.images]
    names = Counter([*(case for case, _ in images), *(f"{case}-{variant.label}" for (case, variant), _ in margins)])
    if twice := [name for name, count in names.items() if count > 1]:
        raise ValueError(f"{twice[0]} stands there twice")
    return Baseline(where=where, measured=file.measured.model_dump(), images=dict(images), margins=dict(margins))


def _fault(error: pydantic.ValidationError) -> str:
    """Return the first fault and its place: ``margins[3][4].float: Input should be a finite number``."""
    fault = error.errors()[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    explained = fault["type"] in ("json_invalid", "missing", "extra_forbidden")
    got = "" if explained else f", got {str(fault['input'])[:60]!r}"
    return f"{place}{': ' if place else ''}{fault['msg']}{got}"


# ------------------------------------------------------------------------------------------- writing


def write(path: Path, rows: Iterable[Row], about: Row, previous: Baseline | None = None) -> None:
    """Record a run's rows and ``run`` of results.json; the file is written whole or not at all.

    What was not measured is kept of a previous baseline; None after a full run, so that old cases leave it.

    Raises:
        UsageError: there is no row, one could not be measured, what would be kept does not fit this run, or the file
            cannot be written.
    """
    run = record(rows, about, str(path))
    try:
        files.write(path, as_json(run if previous is None else merge(previous, run)))
    except OSError as error:
        raise UsageError(f"{path}: the baseline cannot be written ({error.strerror}).") from None


def record(rows: Iterable[Row], about: Row, where: str) -> Baseline:
    """Return what a baseline keeps of a run; UsageError where there is no row, or one could not be measured."""
    rows = list(rows)
    broken = sorted(f"{case_name(row)}-{variant_key(row).label}" for row in rows if not was_measured(row))
    if broken or not rows:
        reason = f"{len(broken)} could not be measured: {', '.join(broken[:3])}{', ..' * (len(broken) > 3)}"
        raise UsageError(f"{where}: not written: {reason if broken else 'no case was measured'}.")
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
    """Return a baseline with what a run measured put in its place; a UsageError where what is kept does not fit it."""
    kept = {key: margin for key, margin in previous.margins.items() if key not in run.margins}
    then: dict[str, str | None] = {case: previous.images.get(case) for case, _ in kept}
    for network in {variant.network for _, variant in kept if variant.network is not None}:
        then |= {network: previous.measured["networks"].get(network), "reduction": previous.measured["reduction"]}
    now = {**run.images, **run.measured["networks"], "reduction": run.measured["reduction"]}
    if changed := sorted(name for name, value in then.items() if now.get(name, value) != value):
        raise UsageError(
            f"{run.where}: not written: it keeps what was not measured now, with other images, weights or reduction "
            f"({', '.join(changed[:3])}). Measure all that it contains, or name another file."
        )
    return replace(
        run,
        measured={**run.measured, "networks": {**previous.measured["networks"], **run.measured["networks"]}},
        images={**previous.images, **run.images},
        margins={**kept, **run.margins},
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

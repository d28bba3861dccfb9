"""A run against a recorded one: what passed then and fails now. Plain data in, findings out; nothing is measured.

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

import itertools
import json
import math
import shlex
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import pydantic

from dps import files
from dps.errors import UsageError
from dps.verdicts import Verdict

SCHEMA = 1

AT_MOST = 0.01
"""A verdict that flips while its margin moves by no more than this says nothing: another machine may do as much."""

SHOWN = 10
"""How many lines of one kind `summary` has."""

Row: TypeAlias = Mapping[str, Any]
"""A case row of results.json."""

Known: TypeAlias = float | bool
"""How a case went: its margin, or whether it passed where the margin cannot say."""

Case: TypeAlias = tuple[str, str]
"""Probe and case."""


class Key(NamedTuple):
    """What has one verdict; the last two are None where a metric has no network."""

    probe: str
    case: str
    metric: str
    network: str | None
    normalization: str | None

    @property
    def variant(self) -> str:
        """As test ids end: ``alexnet-none-sort``."""
        return "-".join(part for part in (self.network, self.normalization, self.metric) if part)

    def __str__(self) -> str:
        return f"{self.probe}/{self.case}-{self.variant}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """A recorded run, or several that fit together.

    Attributes:
        where: the file, for messages.
        measured: what the last run that was recorded measured with: versions, machine, device.
        reduction: over channels.
        networks: SHA-256 of the weights, by network.
        images: SHA-256 of each case's images; nothing for a case that could not be drawn.
        margins: how each case went with each variant.
    """

    where: str = field(compare=False)
    measured: Mapping[str, str]
    reduction: str
    networks: Mapping[str, str]
    images: Mapping[Case, str] = field(repr=False)
    margins: Mapping[Key, Known] = field(repr=False)


NOTHING_KNOWN = Baseline(where="", measured={}, reduction="", networks={}, images={}, margins={})
"""What a run is compared with where nothing was recorded: every case is judged by its verdict."""


# ------------------------------------------------------------------------------------------- comparing


class Standing(StrEnum):
    """How a case stands against the baseline."""

    PASSES = "pass"
    REGRESSED = "regressed"
    EXPECTED = "still missed"
    IMPROVED = "improved"
    INCONCLUSIVE = "inconclusive"
    MISSED = "missed (not in the baseline)"
    OTHER_IMAGE = "of other images"


FAILED = frozenset({Standing.REGRESSED, Standing.MISSED, Standing.OTHER_IMAGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one case comes to against the baseline.

    Attributes:
        key: which case, with which variant.
        standing: the answer.
        text: the same in one line, with old and new.
    """

    key: Key
    standing: Standing
    text: str

    @property
    def failed(self) -> bool:
        """Whether it fails the run."""
        return self.standing in FAILED


def compare(baseline: Baseline, row: Row) -> Finding:
    """Hold one case of this run against the baseline.

    What passed and now fails has regressed, what failed and now passes has improved; neither if the margin
    moved by at most `AT_MOST`, which is inconclusive. A tie, a distance of zero, an error and a margin that
    is missing, then or now, are never inconclusive. What the baseline does not know is judged by its verdict
    alone. Of a case whose images are others than the baseline's nothing can be said, so it fails, with
    variants that the baseline does not know, too: it is not the case that was recorded. One that could be
    drawn then and no longer can has regressed, whatever its verdict was.

    Args:
        baseline: what was recorded.
        row: a case row of results.json.
    """
    key, digest = _key(row), row.get("images_sha256")
    recorded = baseline.images.get((key.probe, key.case))
    if digest and recorded and digest != recorded:
        text = (
            f"{key.probe}/{key.case}: its images have SHA-256 {_short(digest)} but {_short(recorded)} in "
            f"{baseline.where}: it is another case now. If that is meant: {_record(baseline.where)}"
        )
        return Finding(key=key, standing=Standing.OTHER_IMAGE, text=_one_line(text))  # the same for all variants
    passes, verdict = _passes(row), _verdict(row)
    if key not in baseline.margins:
        text = f"not in the baseline; {verdict}" if baseline.margins else verdict
        return _finding(key, Standing.PASSES if passes else Standing.MISSED, text)
    known = baseline.margins[key]
    was = f"{_in_words(known)} in the baseline"
    if recorded and not digest:
        return _finding(key, Standing.REGRESSED, f"{was}, now not even drawn: {verdict}")
    if passes == (known > 0):
        return _finding(key, Standing.PASSES if passes else Standing.EXPECTED, f"{was}, and now {verdict}")
    moved = _moved(known, row)
    if moved is not None and moved <= AT_MOST:
        text = f"{was}, now {verdict}: moved by {moved:.2g}, too little to say anything"
        return _finding(key, Standing.INCONCLUSIVE, text)
    return _finding(key, Standing.IMPROVED if passes else Standing.REGRESSED, f"{was}, now {verdict}")


def check(baseline: Baseline, networks: Mapping[str, str], reduction: str) -> None:
    """See that a run can be held against a baseline, before anything is measured.

    Args:
        baseline: what was recorded.
        networks: SHA-256 of the weights of each network that is measured.
        reduction: of the run.

    Raises:
        UsageError: a network has other weights than in the baseline, or the reduction is another one.
    """
    what_to_do = (
        f"Use --gate off or --gate strict, or a baseline recorded with {{}}: {_record('FILE')}, then --baseline FILE."
    )
    for name, sha256 in sorted(networks.items()):
        recorded = baseline.networks.get(name, sha256)
        if recorded != sha256:
            raise UsageError(
                f"{baseline.where}: recorded with weights of {name} of SHA-256 {_short(recorded)}, but these have "
                f"{_short(sha256)}, and other weights have other margins. {what_to_do.format('these weights')}"
            )
    if reduction != baseline.reduction:
        raise UsageError(
            f"{baseline.where}: recorded with --reduction {baseline.reduction}, but this run has {reduction}, and "
            f"that has other margins. {what_to_do.format('this reduction')}"
        )


def notes(baseline: Baseline, about: Row) -> list[str]:
    """What differs between the baseline and a run, and should matter little.

    Args:
        baseline: what was recorded.
        about: ``run`` of results.json.

    Returns:
        One line for each version, the machine and the device that differs.
    """
    return [
        _one_line(f"the baseline was recorded with {name} {recorded}; this is {about[name]}")
        for name, recorded in baseline.measured.items()
        if about.get(name, recorded) != recorded
    ]


def missing(baseline: Baseline, rows: Iterable[Row]) -> list[str]:
    """What the baseline knows and a full run lacks.

    Args:
        baseline: what was recorded.
        rows: all case rows of the run.

    Returns:
        A line for each case and each variant that is missing wholly, and one for each other case that lacks
        some of its variants.
    """
    here = {_key(row) for row in rows}
    cases, variants = {key[:2] for key in here}, {key[2:] for key in here}
    lacking = sorted(baseline.margins.keys() - here, key=_order)
    without_case = {key[:2]: f"{key.probe}/{key.case}" for key in lacking if key[:2] not in cases}
    without_variant = {key[2:]: key.variant for key in lacking if key[2:] not in variants}
    rest: dict[str, list[str]] = defaultdict(list)
    for key in lacking:
        if key[:2] in cases and key[2:] in variants:
            rest[f"{key.probe}/{key.case}"].append(key.variant)
    lines = [
        *(f"{name}: in the baseline, but not measured" for name in without_case.values()),
        *(f"{name}: in the baseline, but not measured on any case" for name in without_variant.values()),
        *(f"{name}: in the baseline, but not measured with {_listed(found)}" for name, found in rest.items()),
    ]
    return [_one_line(line) for line in lines]


def summary(findings: Iterable[Finding], where: str | Path = "FILE") -> list[str]:
    """Say how a run stands against the baseline.

    Args:
        findings: in any order.
        where: the baseline's file, for the command that records it anew.

    Returns:
        A line of counts of cases and variants, and below it what fails, what improved and what is
        inconclusive, at most `SHOWN` of each.
    """
    groups: dict[Standing, list[Finding]] = {standing: [] for standing in Standing}
    for finding in sorted(findings, key=lambda finding: _order(finding.key)):
        groups[finding.standing].append(finding)
    counts = [f"{len(groups[standing])} {standing}" for standing in Standing if groups[standing]]
    titles = {
        Standing.REGRESSED: "regressed:",
        Standing.MISSED: "missed, and not in the baseline:",
        Standing.OTHER_IMAGE: "of other images than in the baseline:",
        Standing.IMPROVED: f"improved; to record that: {_record(where)}",
        Standing.INCONCLUSIVE: f"inconclusive: flipped, but the margin moved by at most {AT_MOST:g}; not failed:",
    }
    lines = [f"against the baseline: {', '.join(counts) or 'nothing was measured'}"]
    for standing, title in titles.items():
        if found := list(dict.fromkeys(finding.text for finding in groups[standing])):
            lines.append(title)
            lines += [f"  {text}" for text in found[:SHOWN]]
            lines += [f"  ... and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return lines


def _finding(key: Key, standing: Standing, text: str) -> Finding:
    return Finding(key=key, standing=standing, text=_one_line(f"{key}: {text}"))


def _key(row: Row) -> Key:
    return Key(*(row[name] for name in Key._fields))


def _order(key: Key) -> tuple[str, ...]:
    return tuple(part or "" for part in key)


def _passes(row: Row) -> bool:
    """Whether a row passed, which takes two distances."""
    return row["passed"] is True and not row.get("error") and None not in _distances(row)


def _distances(row: Row) -> list[float | None]:
    return [_finite(row.get(name)) for name in ("distance", "nearest_reference_distance")]


def _finite(number: Any) -> float | None:
    return number if number is not None and math.isfinite(number) else None


def _known(row: Row) -> Known:
    """How a case went, as a baseline has it."""
    passes, margin = _passes(row), _finite(row.get("margin"))
    if margin is None or row.get("error") or (margin > 0) != passes:
        return passes
    return float(f"{margin:.6g}") + 0.0  # -0.0 becomes 0.0


def _moved(known: Known, row: Row) -> float | None:
    """How far a margin moved; None where there is none, or a tie, then or now."""
    now, (distance, nearest) = _known(row), _distances(row)
    if isinstance(known, bool) or isinstance(now, bool) or not distance or distance == nearest:
        return None
    return abs(row["margin"] - known) if known else None


def _verdict(row: Row) -> str:
    """What a row says of itself."""
    distance, nearest = _distances(row)
    error = row.get("error") or ("" if None not in (distance, nearest) else "a distance is missing")
    return str(
        Verdict(
            passed=_passes(row),
            distance=distance,
            nearest_reference=row.get("nearest_reference"),
            nearest_reference_distance=nearest,
            margin=_finite(row.get("margin")),
            error=error,
        )
    )


def _in_words(known: Known) -> str:
    margin = "" if isinstance(known, bool) else f" (margin {known:+.1%})"
    return f"{'passed' if known > 0 else 'missed'}{margin}"


def _record(where: str | Path) -> str:
    """The command that records a run."""
    return f"pytest suites/ --update-baseline {shlex.quote(str(where))}"


def _short(sha256: str | None) -> str:
    return "none" if sha256 is None else f"{sha256[:12]}.."


def _one_line(text: str) -> str:
    """The text, whatever is in the names and errors that it quotes."""
    return text if text.isprintable() else " ".join(text.split())


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


# ------------------------------------------------------------------------------------------- reading


def _is_known(found: Any) -> Known:
    if isinstance(found, bool):
        return found
    if isinstance(found, int | float) and abs(found) <= sys.float_info.max:  # an int may be beyond it, too
        return float(found)
    raise ValueError(f"a margin is a finite number, true or false, found {found!r}")


def _are_known(found: Any) -> Known | dict[str, Known]:
    if not isinstance(found, dict):
        return _is_known(found)
    return {name: _is_known(value) for name, value in found.items()}


Name: TypeAlias = Annotated[str, pydantic.Field(min_length=1)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class _Measured(_Strict):
    dps: str
    python: str
    torch: str
    torchvision: str
    numpy: str
    machine: str
    device: str
    reduction: str
    networks: dict[Name, Name]


class _File(_Strict):
    dps_baseline: Literal[1]
    measured: _Measured
    images: list[tuple[Name, Name, Name]]
    margins: list[tuple[Name, Name, Name, Name | None, Annotated[Any, pydantic.AfterValidator(_are_known)]]]


VERSIONS = tuple(name for name in _Measured.model_fields if name not in ("reduction", "networks"))
"""What a run says of itself that a baseline keeps, and that may differ."""


def read(path: Path) -> Baseline:
    """Read a baseline; nothing that it contains is run.

    Raises:
        UsageError: it is missing, cut short, no baseline, of a newer dps, or something in it is wrong; one
            line says where and what.
    """
    try:
        text = path.read_text(encoding="utf-8")
        data = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_number)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}). To record one: {_record(path)}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8, so no baseline.") from None
    except json.JSONDecodeError as error:
        raise UsageError(
            f"{path}:{error.lineno}: not JSON ({error.msg}); is it cut short, or a merge unfinished?"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}.") from None
    schema = data.get("dps_baseline") if isinstance(data, dict) else None
    if type(schema) is not int or schema < 1:
        raise UsageError(f'{path}: no baseline, which begins with "dps_baseline": {SCHEMA}.')
    if schema > SCHEMA:
        raise UsageError(
            f"{path}: a baseline of schema {schema}, written by a newer dps; this one reads {SCHEMA}. Update dps, or "
            "record a baseline with this one under another name."
        )
    try:
        file = _File.model_validate_json(text)
    except pydantic.ValidationError as error:
        raise UsageError(f"{path}: {_fault(error)}.") from None
    return Baseline(
        where=str(path),
        measured={name: getattr(file.measured, name) for name in VERSIONS},
        reduction=file.measured.reduction,
        networks=file.measured.networks,
        images=_once(path, (((probe, case), sha256) for probe, case, sha256 in file.images)),
        margins=_once(path, _margins(path, file)),
    )


def _margins(path: Path, file: _File) -> Iterator[tuple[Key, Known]]:
    for probe, case, metric, normalization, found in file.margins:
        by_network = found if isinstance(found, dict) else {None: found}
        for network, known in by_network.items():
            if network is not None and network not in file.measured.networks:
                raise UsageError(
                    f'{path}: margins of network {network!r}, but "measured" has no weights of it; record it anew.'
                )
            yield Key(probe, case, metric, network, normalization), known


def _once(path: Path, entries: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in entries:
        if key in found:
            name = str(key) if isinstance(key, Key) else "/".join(key)
            raise UsageError(_one_line(f"{path}: {name} stands there twice; was a merge left unfinished?"))
        found[key] = value
    return found


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"{twice!r} stands twice in one object, as after an unfinished merge")
    return found


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number in strict JSON, and no margin")


def _fault(error: pydantic.ValidationError) -> str:
    """The first thing that is wrong, and where: ``margins[3][4]: a margin is ..``."""
    fault = error.errors()[0]
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in fault["loc"]).lstrip(".")
    raised = fault.get("ctx", {}).get("error")
    found = "" if raised or fault["type"] in ("missing", "extra_forbidden") else f", found {str(fault['input'])[:60]!r}"
    return _one_line(f"{where}: {raised or fault['msg']}{found}")


# ------------------------------------------------------------------------------------------- writing


def write(path: Path, rows: Iterable[Row], about: Row, previous: Baseline | None = None) -> None:
    """Record a run.

    Args:
        path: the file; written whole or not at all. The order of the rows does not matter.
        rows: case rows of results.json. One that broke is recorded as missed.
        about: ``run`` of results.json.
        previous: the baseline to narrow what changes: whatever of it this run did not measure is kept. None
            after a full run, so that cases that are gone leave the baseline, too.

    Raises:
        UsageError: there is no row, what would be kept does not fit what was measured, or the file cannot be
            written.
    """
    made = recorded(rows, about, str(path))
    if previous is not None:
        made = merged(previous, made)
    try:
        files.write(path, as_json(made).encode())
    except OSError as error:
        raise UsageError(f"{path}: the baseline cannot be written ({error.strerror}).") from None


def recorded(rows: Iterable[Row], about: Row, where: str) -> Baseline:
    """What a baseline keeps of a run.

    Raises:
        UsageError: there is no row, or a case has two outcomes with one variant, or two sets of images.
    """
    images: dict[Case, str | None] = {}
    margins: dict[Key, Known] = {}
    for row in rows:
        key, digest = _key(row), row.get("images_sha256") or None
        if margins.setdefault(key, _known(row)) != _known(row):
            raise UsageError(_one_line(f"{key} was measured twice, with two outcomes; it cannot be recorded."))
        if images.setdefault(key[:2], digest) != digest:
            name = f"{key.probe}/{key.case}"
            raise UsageError(_one_line(f"the images of {name} changed during the run; it cannot be recorded."))
    if not margins:
        raise UsageError(f"{where}: not written: no case was measured, so there is nothing to record.")
    networks = {key.network for key in margins if key.network is not None}
    return Baseline(
        where=where,
        measured={name: about[name] for name in VERSIONS},
        reduction=about["reduction"],
        networks={name: about["networks"][name]["sha256"] for name in sorted(networks)},
        images={case: digest for case, digest in images.items() if digest is not None},
        margins=margins,
    )


def merged(previous: Baseline, run: Baseline) -> Baseline:
    """What was recorded, with what a run measured put in its place.

    Raises:
        UsageError: something that would be kept was measured with other weights, another reduction or on
            other images than the same in this run.
    """
    old: str | None
    kept = {key: known for key, known in previous.margins.items() if key not in run.margins}
    here = {key[:2] for key in run.margins}
    for key in kept:
        if key.network is not None and previous.reduction != run.reduction:
            raise _does_not_fit(run, "reduction", previous.reduction, run.reduction, key)
        if key.network is not None:
            old, new = previous.networks[key.network], run.networks.get(key.network)
            if new not in (None, old):
                raise _does_not_fit(run, f"weights of {key.network}", _short(old), _short(new), key)
        old, new = previous.images.get(key[:2]), run.images.get(key[:2])
        if key[:2] in here and old != new:
            raise _does_not_fit(run, "images", _short(old), _short(new), key)
    return Baseline(
        where=run.where,
        measured=run.measured,
        reduction=run.reduction,
        networks={**previous.networks, **run.networks},
        images={**previous.images, **run.images},
        margins={**kept, **run.margins},
    )


def _does_not_fit(run: Baseline, what: str, old: str, new: str, key: Key) -> UsageError:
    return UsageError(
        _one_line(
            f"{run.where}: not written: it keeps {key}, which was not measured now, but its {what} ({old}) and this "
            f"run's ({new}) differ. A full run is needed: {_record(run.where)}"
        )
    )


def as_json(baseline: Baseline) -> str:
    """The file's text: strict JSON, sorted, a line for each entry."""
    measured = {
        **baseline.measured,
        "reduction": baseline.reduction,
        "networks": dict(sorted(baseline.networks.items())),
    }
    images = [[*case, digest] for case, digest in sorted(baseline.images.items())]
    parts = [
        f'"dps_baseline": {SCHEMA}',
        f'"measured": {_json(measured, indent=1)}',
        f'"images": {_json_lines(images)}',
        f'"margins": {_json_lines(_lines(baseline.margins))}',
    ]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _lines(margins: Mapping[Key, Known]) -> Iterator[list[Any]]:
    """One entry for each case, metric and normalization, with its networks."""

    def line(key: Key) -> tuple[str, str, str, str | None, bool]:
        return key.probe, key.case, key.metric, key.normalization, key.network is None

    def place(key: Key) -> tuple[str | bool, ...]:
        return (*(part or "" for part in line(key)), key.network or "")

    for (*names, bare), keys in itertools.groupby(sorted(margins, key=place), line):
        found = {key.network: margins[key] for key in keys}
        yield [*names, found[None] if bare else found]


def _json_lines(entries: Iterable[Any]) -> str:
    lines = ",\n".join(_json(entry) for entry in entries)
    return f"[\n{lines}\n]" if lines else "[]"


def _json(data: Any, indent: int | None = None) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, indent=indent)

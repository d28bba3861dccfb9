"""Baselines: what a file holds and says, how a case stands against it, by hand and for all margins."""

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dps import baseline
from dps.baseline import Baseline, Standing, compare, describe_standing, read, write
from dps.errors import UsageError
from dps.rows import case_name, variant_key
from tests.refusals import refusal
from tests.rows import ABOUT, IMAGES, PIXEL, WEIGHTS, row

OTHER_IMAGES, OTHER_WEIGHTS = "e2ad" * 16, "2ecb" * 16
BROKEN = row(None, distance=None, nearest_reference=None, error="metric 'sort': ValueError: no")
NOT_DRAWN = BROKEN | {"images_sha256": None, "error": "rotate.yaml:6: case 'rings-045': empty"}
ZERO_PASSED = row(None, passed=True, distance=0.0, nearest_reference_distance=2.0)
ZERO_FAILED = row(None, distance=0.0, nearest_reference_distance=0.0)
TIE = row(0.0)


def recorded(*rows: dict[str, Any], **about: Any) -> Baseline:
    return baseline.record(rows, ABOUT | about, "b.json")


def standing(then: dict[str, Any], now: dict[str, Any]) -> Standing:
    return compare(recorded(then), now)


def words(known: Baseline, now: dict[str, Any]) -> str:
    return describe_standing(known, now, compare(known, now))


# ------------------------------------------------------------------------------------------- the file


def test_the_whole_file_by_hand(tmp_path: Path) -> None:
    rows = [
        row(-0.0312345678, network="vgg16"),
        row(0.51),
        row(0.2, **PIXEL),
        row(None, distance=0.0, case="bars-001", metric='my "own".py:name', nearest_reference_distance=0.0),
    ]
    write(tmp_path / "b.json", rows, ABOUT)
    assert (tmp_path / "b.json").read_text(encoding="utf-8") == (
        "{\n"
        '"dps_baseline": 1,\n'
        '"measured": {\n'
        '"dps": "0.1.0",\n'
        '"python": "3.11.7",\n'
        '"torch": "2.9.0",\n'
        '"torchvision": "0.24.0",\n'
        '"numpy": "2.4.6",\n'
        '"machine": "x86_64",\n'
        '"device": "cpu",\n'
        '"reduction": "sum",\n'
        f'"networks": {{"alexnet": "{WEIGHTS}", "vgg16": "{"7be5" * 16}"}}\n'
        "},\n"
        '"images": [\n'
        f'["rotate", "bars-001", "{IMAGES}"],\n'
        f'["rotate", "rings-045", "{IMAGES}"]\n'
        "],\n"
        '"margins": [\n'
        '["rotate", "bars-001", "my \\"own\\".py:name", "none", {"alexnet": false}],\n'
        '["rotate", "rings-045", "pixel", null, 0.2],\n'
        '["rotate", "rings-045", "sort", "none", {"alexnet": 0.51, "vgg16": -0.0312346}]\n'
        "]\n"
        "}\n"
    )


@pytest.mark.parametrize(
    ("now", "margin"),
    [
        (row(0.5), 0.5),
        (row(-0.123456789), -0.123457),
        (row(1e-12), 1e-12),
        (row(-0.0), 0.0),  # a tie
        (ZERO_PASSED, True),
        (ZERO_FAILED, False),
        (row(0.5, passed=False), False),  # the sign of the margin and the verdict disagree
        (row(-0.5, passed=True), True),
        (row(0.5, error="negative"), False),  # measured, and failed
        (row(math.nan, passed=True, nearest_reference_distance=3.0), True),
    ],
)
def test_what_is_kept_of_a_row(now: dict[str, Any], margin: float | bool) -> None:
    (kept,) = recorded(now).margins.values()
    assert (kept, type(kept), math.copysign(1, kept)) == (margin, type(margin), math.copysign(1, margin))


NAMES = st.text(min_size=1, max_size=6)
PROBES = st.text(min_size=1, max_size=6).filter(lambda name: "/" not in name)
PLAIN_MARGINS = st.integers(-20_000, 20_000).map(lambda n: n / 1_000_000)
MARGINS = st.floats(min_value=-1) | st.none() | st.floats()
ROWS = st.builds(
    lambda margin, passed, **names: row(margin, passed=passed, nearest_reference_distance=3.0, **names),
    MARGINS,
    st.booleans(),
    probe=PROBES,
    case=NAMES,
    metric=NAMES,
    network=st.sampled_from([None, "alexnet", "vgg16"]),
    normalization=st.none() | NAMES,
)
RUNS = st.lists(ROWS, min_size=1, max_size=8, unique_by=lambda each: (case_name(each), variant_key(each)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=RUNS, seed=st.integers(0, 9))
def test_what_is_written_is_read_in_any_order_of_rows(tmp_path: Path, rows: list[dict[str, Any]], seed: int) -> None:
    write(tmp_path / "b.json", rows, ABOUT)
    assert read(tmp_path / "b.json") == recorded(*rows)
    write(tmp_path / "shuffled.json", random.Random(seed).sample(rows, len(rows)), ABOUT)
    assert (tmp_path / "shuffled.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert {compare(recorded(*rows), each) for each in rows} == {Standing.UNCHANGED}


# ------------------------------------------------------------------------------------------- standings


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        *((row(then), row(now), expected) for then, now, expected in [
            (0.5, 0.4, Standing.UNCHANGED),
            (-0.5, -0.4, Standing.UNCHANGED),
            (-0.5, 0.0, Standing.UNCHANGED),  # from a failure to a tie, which is one
            (0.5, -0.5, Standing.REGRESSED),
            (-0.5, 0.5, Standing.IMPROVED),
            (0.0075, -0.0025, Standing.INCONCLUSIVE),  # by 0.01 exactly
            (0.0075, -0.002501, Standing.REGRESSED),
            (1e-9, -1e-9, Standing.INCONCLUSIVE),
            (0.001, 0.0, Standing.REGRESSED),  # a tie now
            (0.0, 0.001, Standing.IMPROVED),  # a tie then
        ]),
        *((row(0.001), now, Standing.REGRESSED)  # without a margin nothing is inconclusive
          for now in (ZERO_FAILED, TIE, row(-0.001, distance=0.0), row(0.001, error="negative"))),
        (row(0.001), row(-0.001, nearest_reference_distance=2.0), Standing.REGRESSED),  # equal distances are a tie
        (row(-0.001), ZERO_FAILED, Standing.UNCHANGED),
        (ZERO_PASSED, row(-0.001), Standing.REGRESSED),
        (ZERO_FAILED, row(0.001), Standing.IMPROVED),
    ],
)  # fmt: skip
def test_standings_by_hand(then: dict[str, Any], now: dict[str, Any], expected: Standing) -> None:
    assert standing(then, now) is expected


@pytest.mark.parametrize("known", [recorded(row(0.5)), recorded(row(-0.5)), recorded(row(**PIXEL)), Baseline()])
def test_a_case_that_could_not_be_measured_is_that_and_nothing_else(known: Baseline) -> None:
    for now in (BROKEN, NOT_DRAWN, row(0.5, distance=math.nan), row(0.5, nearest_reference_distance=math.inf)):
        assert compare(known, now) is Standing.NOT_MEASURED
    assert words(known, BROKEN) == ("rotate/rings-045-alexnet-none-sort: metric 'sort': ValueError: no")
    assert words(known, NOT_DRAWN) == ("rotate/rings-045-alexnet-none-sort: rotate.yaml:6: case 'rings-045': empty")


@given(PLAIN_MARGINS, PLAIN_MARGINS)
def test_a_changed_verdict_is_inconclusive_both_ways_or_neither(one: float, other: float) -> None:
    there, back = standing(row(one), row(other)), standing(row(other), row(one))
    assert (there is Standing.REGRESSED) == (back is Standing.IMPROVED)
    assert ((one > 0) == (other > 0)) == (there is Standing.UNCHANGED) == (back is Standing.UNCHANGED)


@pytest.mark.parametrize(
    "changed", [{"case": "new"}, {"probe": "new"}, {"metric": "mean"}, {"network": "vgg16"}, {"normalization": "unit"}]
)
def test_what_the_baseline_does_not_know_is_judged_by_its_verdict(changed: dict[str, str]) -> None:
    known = recorded(row(0.5))
    assert compare(known, row(0.001, **changed)) is Standing.NEW_PASSED
    assert compare(known, row(-0.001, **changed)) is Standing.NEW_FAILED
    assert compare(known, TIE | changed) is Standing.NEW_FAILED


@pytest.mark.parametrize("margin", [0.5, -0.5])
@pytest.mark.parametrize("metric", ["sort", "not in the baseline"])
def test_other_images_are_another_case_whatever_the_verdict(margin: float, metric: str) -> None:
    known = recorded(row(0.5), row(-0.5, network="vgg16"))
    now = row(margin, metric=metric, images_sha256=OTHER_IMAGES)
    assert compare(known, now) is Standing.OTHER_IMAGES
    assert words(known, now) == (
        "rotate/rings-045: its images have SHA-256 e2ade2ade2ad.. but 1ade1ade1ade.. in b.json, so it is a "
        "different case. If this is intended: dps test --update-baseline b.json"
    )


def test_probes_that_a_baseline_is_not_about() -> None:
    known = baseline.without_probes(recorded(row(), row(probe="rotate_far")), ["rotate"])
    assert compare(known, row(images_sha256=OTHER_IMAGES)) is Standing.NEW_PASSED
    assert compare(known, row(probe="rotate_far")) is Standing.UNCHANGED


@pytest.mark.parametrize(
    ("known", "now", "text"),
    [
        (
            recorded(row(0.51)),
            row(-0.023),
            "alexnet-none-sort: passed (margin +51.0%) in the baseline, now distorted at 2, but reference 'gray' at "
            "1.954 (margin -2.3%)",
        ),
        (
            recorded(ZERO_PASSED),
            row(0.5, passed=False, error="metric 'sort': negative"),
            "alexnet-none-sort: passed in the baseline, now metric 'sort': negative",
        ),
        (
            recorded(row()),
            row(-0.25, **PIXEL),
            "pixel: not in the baseline; distorted at 2, but reference 'gray' at 1.5 (margin -25.0%)",
        ),
        (Baseline(), row(-0.25), "alexnet-none-sort: distorted at 2, but reference 'gray' at 1.5 (margin -25.0%)"),
    ],
)
def test_a_standing_in_words_has_old_and_new_in_one_line(known: Baseline, now: dict[str, Any], text: str) -> None:
    assert words(known, now) == f"rotate/rings-045-{text}"


# ------------------------------------------------------------------------------------------- before a run


@pytest.mark.parametrize(
    ("networks", "reduction", "message"),
    [
        ({"alexnet": OTHER_WEIGHTS}, "sum", "weights of alexnet of SHA-256 443c443c443c.., but this run has "
         "2ecb2ecb2ecb.., which"),
        ({}, "mean", "--reduction sum, but this run has mean, which"),
    ],
)  # fmt: skip
def test_other_weights_and_another_reduction_are_refused(
    networks: dict[str, str], reduction: str, message: str
) -> None:
    known = recorded(row(), row(network="vgg16"))
    baseline.check(known, {"alexnet": WEIGHTS, "squeezenet": "not in the baseline"}, "sum")
    assert refusal(lambda: baseline.check(known, networks, reduction), UsageError) == (
        f"b.json: recorded with {message} changes the margins. Use --gate off or --gate strict, or record this run "
        "and compare with that: dps test --update-baseline FILE, then --baseline FILE."
    )


def test_other_versions_are_noted_and_no_more() -> None:
    known = recorded(row())
    assert baseline.notes(known, ABOUT | {"threads": 8, "command": "another", "networks": {}}) == []
    assert baseline.notes(known, ABOUT | {"torch": "2.14.1", "machine": "aarch64"}) == [
        "the baseline was recorded with torch 2.9.0; this is 2.14.1",
        "the baseline was recorded with machine x86_64; this is aarch64",
    ]


# ------------------------------------------------------------------------------------------- after a run


def grid(
    cases: str = "abc", networks: tuple[str, ...] = ("alexnet", "vgg16"), metrics: tuple[str, ...] = ("mean", "sort")
) -> list[dict[str, Any]]:
    return [row(case=c, network=n, metric=m) for c in cases for n in networks for m in metrics]


def test_what_is_missing_by_name() -> None:
    pixel = row(case="a", **PIXEL)
    known = recorded(*grid(), pixel)
    assert baseline.missing(known, [*grid(), pixel, row(case="new")]) == []
    assert baseline.missing(known, grid()[:-1]) == [
        "rotate/a-pixel: in the baseline, but not measured",
        "rotate/c-vgg16-none-sort: in the baseline, but not measured",
    ]


def test_a_narrowed_run_changes_what_it_measured(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    write(path, [*grid(cases="ab"), row(0.2, case="a", **PIXEL)], ABOUT)
    before = path.read_text(encoding="utf-8").splitlines()
    networks = {"alexnet": {"sha256": WEIGHTS}}
    write(path, [row(-0.25, case="a", metric="mean")], ABOUT | {"networks": networks, "torch": "2.14.1"}, read(path))
    after = path.read_text(encoding="utf-8").splitlines()
    assert [pair for pair in zip(before, after, strict=True) if len(set(pair)) > 1] == [
        ('"torch": "2.9.0",', '"torch": "2.14.1",'),
        (
            '["rotate", "a", "mean", "none", {"alexnet": 0.5, "vgg16": 0.5}],',
            '["rotate", "a", "mean", "none", {"alexnet": -0.25, "vgg16": 0.5}],',
        ),
    ]
    write(path, [row()], ABOUT)  # without a previous one nothing is kept
    assert read(path) == recorded(row())


@pytest.mark.parametrize(
    ("rows", "about", "changed"),
    [
        ([row(case="new")], {"reduction": "mean"}, "reduction"),
        ([row(case="new")], {"networks": {"alexnet": {"sha256": OTHER_WEIGHTS}}}, "alexnet"),
        ([row(metric="new", images_sha256=OTHER_IMAGES)], {}, "rotate/rings-045"),
    ],
)
def test_what_does_not_fit_what_is_kept_is_refused(
    tmp_path: Path, rows: list[dict[str, Any]], about: dict[str, Any], changed: str
) -> None:
    path = tmp_path / "b.json"
    write(path, [row()], ABOUT)
    before = path.read_bytes()
    assert refusal(lambda: write(path, rows, ABOUT | about, read(path)), UsageError) == (
        f"{path}: not written: entries that this run did not measure have other images, weights or "
        f"reduction ({changed}). Measure all entries, or name another file."
    )
    assert path.read_bytes() == before


def test_what_is_measured_again_may_have_other_weights_and_images(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    pixel = row(0.2, case="b", **PIXEL)
    write(path, [row(), pixel], ABOUT)
    about = ABOUT | {"networks": {"alexnet": {"sha256": OTHER_WEIGHTS}}, "reduction": "mean"}
    now = row(0.25, images_sha256=OTHER_IMAGES)
    write(path, [now], about, read(path))
    assert read(path) == baseline.record([now, pixel], about, "")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "no case was measured."),
        ([row(), NOT_DRAWN | PIXEL], "1 could not be measured: rotate/rings-045-pixel."),
        (
            [row(), *(BROKEN | {"case": f"c{n}"} for n in range(5))],
            "5 could not be measured: rotate/c0-alexnet-none-sort, rotate/c1-alexnet-none-sort, "
            "rotate/c2-alexnet-none-sort, ...",
        ),
    ],
)
def test_a_run_with_what_could_not_be_measured_is_not_recorded(
    tmp_path: Path, rows: list[dict[str, Any]], reason: str
) -> None:
    assert (
        refusal(lambda: write(tmp_path / "b.json", rows, ABOUT), UsageError)
        == f"{tmp_path / 'b.json'}: not written: {reason}"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"b\.json: the baseline cannot be written \(No such file or directory\)\.$"):
        write(tmp_path / "nowhere" / "b.json", [row()], ABOUT)


# ------------------------------------------------------------------------------------------- files of others


def good() -> dict[str, Any]:
    """A file with one margin."""
    data: dict[str, Any] = json.loads("".join(baseline.as_json(recorded(row(**PIXEL)))))
    return data


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        ('{\n"dps_baseline": 1,\n<<<<<<< HEAD\n', "Invalid JSON: key must be a string at line 3 column 1"),
        ("[]", "Input should be an object, got '[]'"),
        ('{"schema": 1, "cases": []}', "dps_baseline: Field required"),  # a results.json
        ('{"dps_baseline": 2, "all": "new"}', "dps_baseline: Input should be 1, got '2'"),
        (json.dumps(good() | {"new": 1}), "new: Extra inputs are not permitted"),
        (json.dumps(good() | {"images": good()["images"] * 2}), "rotate/rings-045 appears twice"),
        (json.dumps(good() | {"margins": good()["margins"] * 2}), "rotate/rings-045-pixel appears twice"),
        *((json.dumps(good()).replace("0.5", margin, 1), f"margins[0][4].float: Input should be a {kind}, got '{got}'")
          for margin, kind, got in [("NaN", "finite number", "nan"), ("1e999", "finite number", "inf"),
                                    ('"0.5"', "valid number", "0.5"), ("null", "valid number", "None")]),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(text, encoding="utf-8")
    assert refusal(lambda: read(path), UsageError) == (
        f"{path}: not a valid baseline: {fault}. It may be cut short, have merge conflicts or be of a newer dps. "
        f"To record it again, remove it; then dps test --update-baseline {path}"
    )


def test_a_missing_file_says_how_to_record_one(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    message = f"{path}: cannot be read (No such file or directory). To record one: dps test --update-baseline {path}"
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        read(path)

